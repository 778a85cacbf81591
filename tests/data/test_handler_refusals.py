"""What is wrong with a provider or an option is named, with what to do."""

from __future__ import annotations

import re

import numpy as np
import pytest

from handlers.alpha158vwap import Alpha158vwap
from qlib_ext.errors import ConfigError, DataError, ProviderError


def test_an_unknown_field_in_the_label_is_answered_with_the_nearest(small, init):
    init(small[0])
    with pytest.raises(ProviderError, match=r"the field \$vwpa at day frequency; did you mean \$vwap\?"):
        Alpha158vwap(label=(["Ref($vwpa, -2)/Ref($vwpa, -1) - 1"], ["LABEL0"]), instruments="csi300")


def test_a_vwap_that_is_nan_throughout_is_named(init, copy):
    folder = copy("novwap", edit=lambda bars, start: bars.fill(np.nan), files="*/vwap.day.bin")
    init(folder)
    with pytest.raises(DataError, match=rf"NaN in all \d+ rows.*share is \$vwap: .*{re.escape(str(folder))}"):
        Alpha158vwap(instruments="csi300")


def test_a_group_that_is_nan_throughout_is_named(init, copy):
    folder = copy("nogroup", edit=lambda bars, start: bars.fill(np.nan), files="*/industry.day.bin")
    init(folder)
    with pytest.raises(DataError, match=r"NaN in all \d+ rows, the first 'GROUP' = \$industry\. .* is \$industry: "):
        Alpha158vwap(instruments="csi300", group="$industry")


def test_a_damaged_file_is_named(init, copy):
    folder = copy("damaged")
    path = folder / "features" / "sh600001" / "close.day.bin"
    path.write_bytes(path.read_bytes()[:-3])
    init(folder)
    with pytest.raises(ProviderError, match=rf"{re.escape(str(path))} is damaged"):
        Alpha158vwap(instruments="csi300")


def test_a_missing_provider_is_named_with_what_to_do(init, tmp_path):
    init(tmp_path / "nowhere")
    with pytest.raises(
        ProviderError, match=rf"{re.escape(str(tmp_path))}/nowhere does not.*QLIB_DATA.*qlib-ext market"
    ):
        Alpha158vwap(instruments="csi300")


def test_an_unknown_universe_is_named(small, init):
    init(small[0])
    with pytest.raises(DataError, match="universe 'csi500'"):
        Alpha158vwap(instruments="csi500")


def test_a_universe_without_members_in_the_dates_is_named(small, init):
    init(small[0])
    with pytest.raises(DataError, match="universe 'csi300' has no member between 2030-01-01 and None"):
        Alpha158vwap(instruments="csi300", start_time="2030-01-01")


def test_a_misspelt_option_names_the_nearest_one():
    with pytest.raises(ConfigError, match=r"Alpha158vwap has no option 'instrumnets'; did you mean 'instruments'\?"):
        Alpha158vwap(instrumnets="csi300")

"""Panels out of a provider's files, whole and in part."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.errors import ProviderError
from qlib_ext.provider.panels import fields_known, read_panels
from qlib_ext.provider.writer import write_provider

DAYS = pd.bdate_range("2020-01-01", periods=8)
LIVES = {"SH600000": (0, 8), "SH600001": (3, 8), "SH600002": (0, 2), "SH600003": (4, 6)}
FIRST, LAST = "2020-01-01", "2020-01-10"


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    bars = [
        (stock, pd.DataFrame({"close": 10 * place + np.arange(low, high) + 1.0}, DAYS[low:high]))
        for place, (stock, (low, high)) in enumerate(LIVES.items())
    ]
    folder = tmp_path_factory.mktemp("panels") / "provider"
    return write_provider(folder, DAYS, bars, {"all": [(stock, FIRST, LAST) for stock in LIVES]})


@pytest.mark.parametrize(("first", "last"), [(0, None), (2, 5), (5, 6), (6, 8), (3, 3)])
def test_any_days_of_any_stocks(provider, first, last):
    stocks = [*LIVES, "SH699999"]
    whole = np.full((8, 5), np.nan)
    for place, (low, high) in enumerate(LIVES.values()):
        whole[low:high, place] = 10 * place + np.arange(low, high) + 1
    panels = read_panels(provider, ["close", "nothing"], stocks, first, last)
    np.testing.assert_array_equal(panels["close"], whole[first:last])
    assert np.isnan(panels["nothing"]).all()
    assert panels["close"].flags.c_contiguous
    assert fields_known(provider, ["close", "nothing"], stocks) == ["close"]


def test_a_damaged_file_is_refused(provider):
    path = provider / "features" / "sh600003" / "close.day.bin"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(ProviderError, match=r"close\.day\.bin"):
        read_panels(provider, ["close"], ["SH600003"])
    path.write_bytes(content)

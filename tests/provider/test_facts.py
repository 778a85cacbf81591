from __future__ import annotations

import pandas as pd
import pytest

from qlib_ext.errors import ProviderError
from qlib_ext.provider.facts import ProviderFacts
from qlib_ext.provider.writer import write_provider


def test_a_simulated_market_is_one(small):
    folder, market = small
    facts = ProviderFacts.of(folder)
    assert (facts.days, facts.stocks, facts.simulated) == (300, 20, True)
    assert ProviderFacts.read(facts.as_json()) == facts
    last = f"{market.calendar[-1]:%Y-%m-%d}"
    assert str(facts) == f"SIMULATED {folder}, 2014-09-01 to {last}, 300 days, 20 stocks"


@pytest.mark.parametrize(("universe", "stocks"), [("all", 1), ("csi300", 2)])
def test_other_data_are_not(tmp_path, universe, stocks):
    days = pd.bdate_range("2020-01-01", periods=3)
    bars = pd.DataFrame({"close": 1.0}, days)
    spans = {universe: [("SH600000", days[0], days[-1])]}
    folder = write_provider(tmp_path / "p", days, [("SH600000", bars), ("SH000300", bars)], spans, about={"made": "x"})
    assert ProviderFacts.of(folder) == ProviderFacts(str(folder), "2020-01-01", "2020-01-03", 3, stocks, False)


def test_a_folder_that_is_no_provider_is_named(tmp_path):
    with pytest.raises(ProviderError, match="does not exist"):
        ProviderFacts.of(tmp_path / "none")

"""What the simulator plants is found, by factors that are told by fields and ranks; in shuffled labels nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import qlib

from qlib_ext.cross_section.ic import rank_information_coefficient
from qlib_ext.provider.group_means import add_group_mean
from qlib_ext.search.evaluation import values_of
from qlib_ext.search.search import Limits, Search, Settings
from qlib_ext.simulator.simulate import simulate, write_market

LABEL = "Ref($vwap, -2)/Ref($vwap, -1) - 1"
FEW = {"fields": ("close", "change", "industry_change"), "operators": ("Mean", "Std", "Ref", "Div", "Sub", "Add")}


def planted_and_found(folder, stocks, days, limits, begin=0, **settings):
    """The search, and the mean rank correlation of each factor of its pool with each planted part: a row a factor.

    begin  the training's first day: before it is history, of which momentum needs 120 days to be covered
    """
    provider, market = folder / "provider", simulate(stocks, days, seed=0)
    write_market(provider, stocks=stocks, days=days, seed=0)
    add_group_mean(provider, "change", "industry")
    qlib.init(provider_uri=str(provider), region="cn", kernels=1, logging_level=40)
    calendar = market.calendar.strftime("%Y-%m-%d")
    split = begin + int(0.7 * (days - begin))
    own = Settings((calendar[begin], calendar[split]), (calendar[split + 1], calendar[-1]), label=LABEL, **settings)
    search = Search(own, folder / "state")
    found = search.run(limits)
    seen = search.market
    cells = np.ix_(market.calendar.get_indexer(found.days), pd.Index(market.symbols).get_indexer(seen.stocks))
    rows = {}
    for factor in found.pool:
        (values,) = values_of([factor.node], seen.bars, seen.days.get_indexer(found.days))
        known = values.T.astype(float)
        rows[factor.node.text] = {
            name: np.nanmean(rank_information_coefficient(known, np.where(np.isnan(known), np.nan, part[cells])))
            for name, part in market.parts.items()
        }
    return found, pd.DataFrame(rows).T


def test_reversal_and_the_lead_lag_are_found_in_few_tries(tmp_path):
    limits = Limits(generations=6)
    found, parts = planted_and_found(
        tmp_path, 150, 600, limits, **FEW, windows=(5, 20), lags=(20, 120), size=60, measured=10
    )
    assert found.control == []
    assert parts["reversal"].abs().max() > 0.6
    leading = parts["lead_lag"].abs().idxmax()
    assert "$industry_change" in leading
    assert abs(parts.loc[leading, "lead_lag"]) > 0.3


@pytest.mark.slow
def test_every_planted_effect_is_found_within_ten_minutes(tmp_path):
    limits = Limits(minutes=10.0, n_jobs=2)
    found, parts = planted_and_found(tmp_path, 300, 870, limits, begin=120, size=500)
    assert found.control == []
    strongest = parts.abs().max()
    assert (strongest[["reversal", "volatility", "momentum", "lead_lag"]] > 0.6).all(), parts.round(2).to_string()
    assert "$industry_change" in parts["lead_lag"].abs().idxmax()
    assert any(f", {days})" in parts["momentum"].abs().idxmax() for days in (20, 60, 120))

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
from qlib_ext.search.tree import Node
from qlib_ext.simulator.simulate import simulate, write_market

LABEL = "Ref($vwap, -2)/Ref($vwap, -1) - 1"
FEW = {"fields": ("close", "change", "industry_change"), "operators": ("Mean", "Std", "Ref", "Div", "Sub", "Add")}


@pytest.fixture(scope="module")
def small_market(tmp_path_factory):
    """A provider of 150 stocks and 600 days, and the market that was simulated for it."""
    return written(tmp_path_factory.mktemp("planted") / "provider", 150, 600)


def written(provider, stocks, days):
    write_market(provider, stocks=stocks, days=days, seed=0)
    add_group_mean(provider, "change", "industry")
    return provider, simulate(stocks, days, seed=0)


def search_of(small_market, folder, begin=0, **settings):
    """A search of the days from ``begin`` on: what comes before is history, of which momentum needs 120 days."""
    provider, market = small_market
    qlib.init(provider_uri=str(provider), region="cn", kernels=1, logging_level=40)
    calendar = market.calendar.strftime("%Y-%m-%d")
    split = begin + int(0.7 * (len(calendar) - begin))
    own = Settings((calendar[begin], calendar[split]), (calendar[split + 1], calendar[-1]), label=LABEL, **settings)
    return Search(own, folder / "state")


def planted_in(market, search, days, nodes):
    """The mean rank correlation of each expression with each planted part: a row an expression."""
    seen = search.market
    cells = np.ix_(market.calendar.get_indexer(days), pd.Index(market.symbols).get_indexer(seen.stocks))
    rows = {}
    for node, values in zip(nodes, values_of(nodes, seen.bars, seen.days.get_indexer(days)), strict=True):
        known = values.T.astype(float)
        rows[node.text] = {
            name: np.nanmean(rank_information_coefficient(known, np.where(np.isnan(known), np.nan, part[cells])))
            for name, part in market.parts.items()
        }
    return pd.DataFrame(rows).T


def test_each_planted_effect_has_a_form_that_the_grammar_says_and_the_rules_take(small_market, tmp_path):
    search = search_of(small_market, tmp_path, begin=120)
    change, others, close = Node("$change"), Node("$industry_change"), Node("$close")
    forms = {
        "reversal": Node("Sub", (Node("Mean", (change,), 5), Node("Mean", (others,), 5))),
        "volatility": Node("Std", (Node("Sub", (change, others)),), 20),
        "momentum": Node("Div", (Node("Ref", (close,), 20), Node("Ref", (close,), 120))),
        "lead_lag": Node("Add", (Node("Mean", (others,), 5), Node("Mean", (others,), 10))),
    }
    evolution = search._evolutions(search._ground())["search"]
    ground = evolution.ground
    found = evolution.measured(list(forms.values()), lambda work, jobs: [work(ground, job) for job in jobs])
    parts = planted_in(small_market[1], search, search.market.days[ground.days], list(forms.values())).abs()
    for (effect, node), measured in zip(forms.items(), found, strict=True):
        assert search.grammar.admits(node)
        assert parts.loc[node.text].idxmax() == effect
        assert parts.loc[node.text, effect] > 0.5, parts.round(2).to_string()
        assert evolution.pool.offer(node, measured, ground.train, len(forms)) == "", effect


def test_reversal_and_the_lead_lag_are_found_in_few_tries(small_market, tmp_path):
    search = search_of(small_market, tmp_path, **FEW, windows=(5, 20), lags=(20, 120), size=60, measured=10)
    found = search.run(Limits(generations=6))
    parts = planted_in(small_market[1], search, found.days, [factor.node for factor in found.pool])
    assert found.control == []
    assert parts["reversal"].abs().max() > 0.6
    leading = parts["lead_lag"].abs().idxmax()
    assert "$industry_change" in leading
    assert abs(parts.loc[leading, "lead_lag"]) > 0.3


@pytest.mark.slow
def test_reversal_volatility_and_the_lead_lag_are_found_within_ten_minutes(tmp_path):
    """Momentum is found as well in some searches; ten minutes are not always enough for it."""
    market = written(tmp_path / "provider", 300, 750)
    search = search_of(market, tmp_path, size=500)
    found = search.run(Limits(minutes=10.0, n_jobs=2))
    parts = planted_in(market[1], search, found.days, [factor.node for factor in found.pool])
    assert found.control == []
    strongest = parts.abs().max()
    assert (strongest[["reversal", "volatility", "lead_lag"]] > 0.6).all(), parts.round(2).to_string()
    assert "$industry_change" in parts["lead_lag"].abs().idxmax()

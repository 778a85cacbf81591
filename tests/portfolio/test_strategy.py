"""The strategy in Qlib's backtest: when it decides, what it orders, and what it earns of a planted score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.portfolio.backtest import backtest
from qlib_ext.portfolio.boards import Boards
from qlib_ext.portfolio.ledger import Costs
from qlib_ext.portfolio.quotes import read_quotes
from qlib_ext.portfolio.setting import rebalancing_days, setting_of
from tests.portfolio.conftest import BENCHMARK, CONSTRAINTS


def constraints(**changes) -> list:
    """The constraints with other kwargs by class."""
    return [each | {"kwargs": changes.get(each["class"], each["kwargs"])} for each in CONSTRAINTS]


def excess(report: pd.DataFrame) -> pd.Series:
    return report["return"] - report["cost"] - report["bench"]


def test_it_decides_for_the_first_trading_day_of_a_week_at_the_close_before(enhanced, planted, market):
    report, strategy = enhanced(planted, 322, 380)
    days = market.calendar[322:381]
    mondays = days[rebalancing_days(days, "week")]
    assert [decision.traded for decision in strategy.decisions] == list(mondays)
    before = market.calendar[market.calendar.get_indexer(mondays) - 1]
    assert [decision.day for decision in strategy.decisions] == list(before)
    assert set(report.index[report["turnover"] > 0]) <= set(mondays)
    assert (report["turnover"] > 0).sum() > 8


@pytest.mark.parametrize(("rebalance", "count"), [("day", 21), ("month", 2)])
def test_it_decides_every_day_or_month(enhanced, planted, rebalance, count):
    _, strategy = enhanced(planted, 320, 340, rebalance=rebalance)
    assert len(strategy.decisions) == count


@pytest.mark.parametrize(("te", "status"), [(0.04, "socp"), (0.08, "lp")])
@pytest.mark.parametrize("lots", [False, True])
def test_what_is_ordered_keeps_every_bound(enhanced, planted, days, lots, te, status):
    _, strategy = enhanced(planted, 320, 360, lots=lots, constraints=constraints(TrackingError={"limit": te}))
    for decision in strategy.decisions:
        day = days.at(decision.day, planted.xs(decision.day), pd.Series(decision.held, decision.stocks))
        assert day.stocks == decision.stocks
        price = days.closes(day.day, day.stocks)
        ordered = np.nan_to_num(decision.shares * price) / decision.value
        weights = day.held + ordered
        factor = days.factors(day.day, day.stocks)
        # of each stock that is traded less than a lot is left undone
        lot = (
            np.where(ordered != 0, np.nan_to_num(100 * price / factor) / decision.value, 0.0)
            if lots
            else np.zeros(len(price))
        )
        within = 1e-6 + lot.sum()
        assert weights.min() >= -1e-12
        assert day.tracking_error(weights) <= te + np.sqrt(((lot * day.risk.specific) ** 2).sum()) + within
        styles = [name in day.styles for name in day.factors]
        assert (
            np.abs(day.active_exposures(weights))[styles].max()
            <= 0.5 + 1e-6 + (lot * np.abs(day.risk.exposures).max()).sum()
        )
        assert weights[day.member].sum() >= 0.8 - within
        assert (
            np.abs(weights - day.benchmark) <= np.maximum(0.05, np.abs(day.held - day.benchmark)) + 1e-6 + lot
        ).all()
        if day.held.any():
            assert max(ordered.clip(0).sum(), -ordered.clip(max=0).sum()) <= 0.2 + 1e-6
        assert (ordered[~day.tradable] == 0).all()
        if lots:
            shares = np.abs(decision.shares * factor)
            kept = (weights > 1e-9) & (shares > 0)
            np.testing.assert_allclose(shares[kept] / 100, np.round(shares[kept] / 100), atol=1e-3)
    assert {decision.solution.status for decision in strategy.decisions} == {status}


def test_a_planted_score_earns_more_the_more_may_be_traded(days, planted, provider, market):
    """Of 80 stocks a year's return is mostly noise, so that what rises is the return that was planted."""
    quotes, score, index = read_quotes(provider, *market.calendar[[320, 480]]), planted.unstack(), market.index["close"]
    bench = index.pct_change().reindex(quotes.days)
    promised = []
    for delta in (0.05, 0.1, 0.2):
        setting = setting_of(BENCHMARK, constraints(Turnover={"one_sided": delta}))
        made = backtest(days, setting, quotes, score, 1e9, Costs(0.001, 0.002), Boards(), bench)
        assert 252 * excess(made.report).mean() > 0.02
        weights = pd.DataFrame([pd.Series(each.solution.weights, each.stocks) for each in made.decisions])
        planted_then = score.loc[[each.day for each in made.decisions]].set_axis(weights.index)
        promised.append((weights * planted_then).sum(axis=1).mean())
    assert promised[1] > 1.2 * promised[0] > 0
    assert promised[2] > 1.1 * promised[1]


def test_a_permuted_score_earns_minus_its_costs(enhanced, planted):
    random = np.random.default_rng(3)
    permuted = planted.groupby(level="datetime").transform(lambda day: random.permutation(day.to_numpy()))
    report, _ = enhanced(permuted, 320, 440)
    before_costs = report["return"] - report["bench"]
    error = before_costs.std() / np.sqrt(len(report))
    assert report["cost"].mean() > 1e-5
    assert abs(before_costs.mean()) < 2 * error

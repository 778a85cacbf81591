"""The traps of Qlib's own enhanced indexing: each test shows Qlib's own class in it, then ours beside it."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from qlib.backtest import backtest
from qlib.backtest.position import Position
from qlib.contrib.strategy.optimizer import EnhancedIndexingOptimizer
from qlib.contrib.strategy.signal_strategy import EnhancedIndexingStrategy, WeightStrategyBase
from qlib.utils.resam import resam_calendar

from qlib_ext.errors import InfeasibleError
from qlib_ext.portfolio.constraints import ActiveWeight, Turnover
from qlib_ext.portfolio.day import Day
from qlib_ext.portfolio.objective import Objective
from qlib_ext.portfolio.setting import rebalancing_days
from qlib_ext.portfolio.solve import solve
from qlib_ext.simulator.listing import trading_days
from qlib_ext.simulator.simulate import INDEX
from tests.portfolio.conftest import EXECUTOR
from tests.portfolio.days import random_day

AT = 330


def by_qlib(day: Day, fixed: np.ndarray | None = None, sold: np.ndarray | None = None, **options) -> np.ndarray:
    risk = day.risk
    optimizer = EnhancedIndexingOptimizer(**options)
    return optimizer(
        day.score, risk.exposures, risk.covariance, risk.specific**2, day.held, day.benchmark, mfh=fixed, mfs=sold
    )


@pytest.fixture
def solver_that_is_there(monkeypatch):
    """Clarabel under the name of ECOS, so that Qlib's optimiser gets to its end."""
    monkeypatch.setattr(cp, "ECOS", cp.CLARABEL)


def test_the_first_portfolio_is_not_cash():
    """enhanced_indexing.py:171, 183: the solver it names is not installed, and :192 what was held comes back."""
    day = random_day(held=np.zeros(40))
    assert not by_qlib(day).any()
    assert solve(day, [ActiveWeight(0.05)], Objective()).weights.sum() > 0.99


def test_turnover_is_not_dropped_in_silence(solver_that_is_there):
    """enhanced_indexing.py:177: what cannot be reached within the turnover is bought without it."""
    day = random_day(held=np.where(np.arange(40) >= 20, 0.997 / 20, 0.0))  # nothing of the index
    weights = by_qlib(day, delta=0.1, b_dev=0.01)
    assert np.abs(weights - day.held).sum() > 1.5
    limits = [ActiveWeight(0.01), Turnover(two_sided=0.1), AtMostOutside()]
    with pytest.raises(InfeasibleError, match=r"on 2020-01-03.*turnover"):
        solve(day, limits, Objective(), relax=[])
    found = solve(day, limits, Objective(), relax=["turnover"])
    (relaxed,) = found.relaxed
    assert (relaxed.block, relaxed.asked) == ("turnover", pytest.approx(0.1))
    assert found.buys.sum() + found.sells.sum() == pytest.approx(relaxed.granted, abs=1e-6)


class AtMostOutside(ActiveWeight):
    """Active weights within their limit of the index, whatever is held: as Qlib's ``b_dev`` says it."""

    name = "b_dev"

    def __init__(self) -> None:
        super().__init__(0.01)

    def blocks(self, day: Day):
        return super().blocks(replace(day, held=day.benchmark))


def test_no_bound_is_broken_by_what_is_cut_off(solver_that_is_there):
    """enhanced_indexing.py:199: small weights are set to 0 and the others scaled up, beyond their bounds."""
    day = random_day()
    weights = by_qlib(day, b_dev=0.01, epsilon=0.02, delta=1.0)
    assert (weights - day.benchmark).max() > 0.01 + 1e-4
    ours = solve(day, [ActiveWeight(0.01), AtMostOutside()], Objective()).weights
    assert np.abs(ours - day.benchmark).max() <= 0.01 + 1e-6


def test_what_is_suspended_is_not_sold(solver_that_is_there):
    """enhanced_indexing.py:147: a stock that is to be sold is sold, though it does not trade."""
    day = random_day()
    suspended = np.arange(40) == int(np.argmax(day.held))
    assert by_qlib(day, suspended, suspended, b_dev=None)[suspended] == 0
    known = replace(day, tradable=~suspended, may_buy=~suspended, score=np.where(suspended, -5.0, day.score))
    found = solve(known, [ActiveWeight(0.05)], Objective())
    assert found.weights[suspended] == day.held[suspended]


def test_an_index_without_weights_and_a_stock_without_a_score(days, market, planted, provider, init, tmp_path):
    """signal_strategy.py:487: without a field of weights the index is nothing; :475: a missing score is the worst."""
    init(provider)
    before, traded = market.calendar[[AT, AT + 1]]
    score = planted.xs(before, level="datetime")
    known = days.at(before, score.iloc[5:])
    unscored = [place for place, stock in enumerate(known.stocks) if stock in score.index[:5]]
    assert unscored
    assert not known.may_buy[unscored].any()
    assert (known.score[unscored] == 0).all(), "in the middle"

    folder, stocks = tmp_path / f"{before:%Y%m%d}", list(known.stocks)
    folder.mkdir()
    pd.DataFrame(known.risk.exposures, stocks).to_pickle(folder / "factor_exp.pkl")
    pd.DataFrame(known.risk.covariance).to_pickle(folder / "factor_cov.pkl")
    pd.Series(known.risk.specific, stocks).to_pickle(folder / "specific_risk.pkl")
    strategy = EnhancedIndexingStrategy(riskmodel_root=str(tmp_path), market="nowhere", signal=planted)
    asked: dict = {}
    strategy.optimizer = lambda **given: asked.update(given) or given["wb"]
    strategy.generate_target_weight_position(score.iloc[5:], Position(1e8), traded, traded)
    assert (asked["r"][unscored] == score.iloc[5:].min()).all()
    assert not asked["wb"].any()
    assert known.benchmark.sum() == pytest.approx(1)


def test_no_week_is_missed(qlib_expressions):
    """utils/resam.py: a week of a holiday that begins later than the last ended is none to Qlib."""
    days = trading_days("2020-01-01", 250)
    days = days[~days.isin(pd.to_datetime(["2020-05-06", "2020-05-07", "2020-05-08", "2020-05-11", "2020-05-12"]))]
    by_qlib = pd.DatetimeIndex(resam_calendar(np.array(list(days)), "day", "week"))
    ours = days[rebalancing_days(days, "week")]
    weeks = days.isocalendar()[["year", "week"]].drop_duplicates()
    assert len(ours) == len(weeks)
    assert list(ours.difference(by_qlib)) == [pd.Timestamp("2020-05-13"), pd.Timestamp("2020-10-08")]


class HoldsTheIndex(WeightStrategyBase):
    """Asks for what was held of the benchmark."""

    def __init__(self, weights: dict[str, float], **kwargs) -> None:
        super().__init__(**kwargs)
        self.weights = weights

    def generate_target_weight_position(self, score, current, trade_start_time, trade_end_time):
        return self.weights


def test_nearly_all_of_the_account_is_held(enhanced, planted, days, market):
    """order_generator.py:187: a risk_degree of .95 leaves a twentieth of it in cash."""
    report, strategy = enhanced(planted, AT, AT + 1)
    (decision,) = strategy.decisions[:1]
    assert report["cash"].iloc[0] < 0.01 * report["account"].iloc[0]
    start, end = market.calendar[[AT, AT + 1]]
    weights = days.weights.loc[decision.day].dropna().to_dict()
    kwargs = {"start_time": start, "end_time": end, "open_cost": 0.001, "close_cost": 0.002}
    exchange = {"class": "BoardExchange", "module_path": "qlib_ext.portfolio.exchange", "kwargs": kwargs}
    qlibs = HoldsTheIndex(weights, signal=planted)
    metrics, _ = backtest(start, end, qlibs, EXECUTOR, INDEX, 1e8, {"exchange": exchange})
    first = metrics["1day"][0].iloc[0]
    assert first["cash"] > 0.045 * first["account"]

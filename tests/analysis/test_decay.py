"""How long a score tells something, and what the strategy's files say, against pandas day by day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.backtest.position import Position

from qlib_ext.analysis.decay import decay_frame
from qlib_ext.analysis.performance import added_up_by_year
from qlib_ext.analysis.report.strategy import by_month, under_water
from qlib_ext.analysis.strategy import last_holdings, strategy_frames
from tests.analysis.matrices import random_frame, random_prices


def test_the_decay_is_pandas():
    score, price = random_frame(), random_prices(holes=0)
    found = decay_frame(score, price, every=3, longest=6)
    assert found.index.tolist() == [1, 2, 3, 4, 5, 6]
    for days in (1, 6):
        gain = price.shift(-1 - days) / price.shift(-1) - 1
        ic = score.corrwith(gain, axis=1, method="spearman").iloc[::3].dropna()
        own = score.corrwith(score.shift(days), axis=1, method="spearman").iloc[::3].dropna()
        row = found.loc[days]
        assert row["rank_ic"] == pytest.approx(ic.mean())
        assert row["icir"] == pytest.approx(ic.mean() / ic.std())
        assert row["autocorrelation"] == pytest.approx(own.mean())


def test_a_score_that_does_not_change_is_its_own_past():
    score = pd.DataFrame(np.tile(np.arange(9.0), (30, 1)), pd.bdate_range("2020-01-01", periods=30))
    found = decay_frame(
        score, np.exp(0.01 * random_frame(30, 9, holes=0).set_axis(score.index).set_axis(range(9), axis=1)), 1
    )
    np.testing.assert_allclose(found["autocorrelation"], 1.0)
    late = decay_frame(score[:5], score[:5] + 1, 1)
    assert late.loc[5:, "rank_ic"].isna().all(), "there is no later day"


@pytest.fixture
def backtest():
    days = pd.bdate_range("2020-01-01", periods=60)
    random = np.random.default_rng(0)
    report = pd.DataFrame(
        {"return": random.normal(0, 0.01, 60), "cost": 0.001, "bench": random.normal(0, 0.01, 60)}, days
    )
    report = report.assign(value=90.0, cash=10.0, account=100.0, turnover=0.2)
    report.iloc[0, report.columns.get_indexer(["value", "turnover"])] = 0.0
    return report


def test_costs_other_than_the_configured_ones(backtest):
    frames = strategy_frames(backtest, None, backtest.index[0])
    costs, own = frames["strategy_costs.pkl"], backtest[1:]
    assert list(costs.index) == ["0", "0.5", "1", "2", "3"]
    assert costs.loc["0", "annual_return"] == pytest.approx(252 * own["return"].mean())
    assert costs.loc["3", "annual_return"] == pytest.approx(252 * (own["return"] - 0.003).mean())
    assert costs.loc["1", "excess_max_drawdown"] == frames["performance_by_year.pkl"].loc["all", "excess_max_drawdown"]
    account = frames["strategy_account.pkl"]
    assert (len(account), account["cash"].iloc[0], account["turnover"].iloc[0]) == (59, 0.1, 0.2)
    assert "holdings.pkl" not in frames


def test_the_drawing_of_a_drawdown_ends_at_the_tables(backtest):
    returns = strategy_frames(backtest, None, backtest.index[0])["strategy_returns.pkl"]
    table = added_up_by_year(returns)
    assert under_water(returns["return"]).min() == pytest.approx(table.loc["all", "max_drawdown"])
    months = by_month({"net": returns})["net"]
    assert months.loc[2020, 2] == pytest.approx(returns.loc["2020-02", "return"].sum())
    assert months.sum().sum() == pytest.approx(returns["return"].sum())
    assert months[12].isna().all()


def test_the_largest_holdings_of_the_last_day():
    stocks = {f"SH{600000 + i}": {"amount": 100.0 * i, "price": 2.0} for i in range(1, 30)}
    days = pd.to_datetime(["2020-01-02", "2020-01-03"])
    positions = {days[1]: Position(cash=500.0, position_dict=stocks), days[0]: Position(cash=1.0)}
    found = last_holdings(positions)
    worth = 500 + sum(200 * i for i in range(1, 30))
    assert (len(found), found.index[0], found.index[-1]) == (21, "SH600029", "cash")
    assert found.loc["SH600029", "weight"] == pytest.approx(5800 / worth)
    assert found.loc["cash", "weight"] == pytest.approx(500 / worth)

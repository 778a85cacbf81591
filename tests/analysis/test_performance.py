from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.contrib.evaluate import risk_analysis

from qlib_ext.analysis.performance import (
    added_up_by_year,
    compounded,
    compounded_by_year,
    returns_after_cost,
    since_first_score,
)
from qlib_ext.errors import DataError


@pytest.fixture
def report():
    random = np.random.default_rng(0)
    index = pd.bdate_range("2019-06-03", "2021-02-02", name="datetime")
    columns = {"return": 0.001, "cost": 0.0002, "bench": 0.0}
    return pd.DataFrame({name: at + 0.01 * random.standard_normal(len(index)) for name, at in columns.items()}, index)


def deepest(returns):
    """How far the sum of the first i returns lies below that of the first j, for j up to i, at most."""
    sums = [returns[:i].sum() for i in range(len(returns) + 1)]
    return min(sums[i] - max(sums[: i + 1]) for i in range(len(sums)))


def test_the_whole_table_is_that_of_the_reports_code(report):
    net = report["return"] - report["cost"]
    over = net - report["bench"]
    table = added_up_by_year(returns_after_cost(report))
    assert list(table.index) == ["all", "2019", "2020", "2021"]
    for name, row in table.iterrows():
        r, e = (x if name == "all" else x[str(name)] for x in (net, over))
        expected = {
            "steps": len(r),
            "annual_return": r.mean() * 252,
            "volatility": np.nanstd(r) * np.sqrt(252),
            "sharpe": r.mean() * 252 / (np.nanstd(r) * np.sqrt(252)),
            "max_drawdown": deepest(r.to_numpy()),
            "annual_excess_return": e.mean() * 252,
            "excess_volatility": np.nanstd(e) * np.sqrt(252),
            "information_ratio": e.mean() / e.std(ddof=1) * np.sqrt(252),
            "excess_max_drawdown": deepest(e.to_numpy()),
        }
        assert row.to_dict() == pytest.approx(expected, rel=1e-12)


def test_it_agrees_with_qlibs_risk_analysis(report):
    returns = returns_after_cost(report)
    theirs = risk_analysis(returns["excess_return"], N=252, freq=None)["risk"]
    ours = added_up_by_year(returns).loc["all"]
    assert ours["annual_excess_return"] == pytest.approx(theirs["annualized_return"], rel=1e-12)
    assert ours["information_ratio"] == pytest.approx(theirs["information_ratio"], rel=1e-12)
    assert ours["excess_max_drawdown"] == pytest.approx(theirs["max_drawdown"], rel=1e-12)


def test_a_strategy_that_does_not_move_has_no_ratio(report):
    table = added_up_by_year(returns_after_cost(report * 0))
    assert table[["sharpe", "information_ratio"]].isna().all(axis=None)
    assert (table["max_drawdown"] == 0).all()


def test_a_report_without_a_benchmark_is_refused(report):
    with pytest.raises(DataError, match="has no bench"):
        returns_after_cost(report.drop(columns="bench"))


def test_days_before_the_first_trade_are_left_out(report):
    report = report.assign(value=1.0, turnover=0.0)
    first = report.index[1]
    assert since_first_score(report, first).equals(report), "an account that began with stocks"
    report.iloc[:4, report.columns.get_loc("value")] = 0.0
    assert since_first_score(report, first).equals(report.iloc[2:]), "cash after the first score is a decision"
    report.iloc[0, report.columns.get_loc("turnover")] = 1.0
    assert since_first_score(report, first).index[0] == report.index[0], "bought and sold within the day"
    with pytest.raises(DataError, match="has no turnover, value"):
        since_first_score(report[["return"]], first)


def test_compounded_figures():
    days = pd.bdate_range("2020-01-20", periods=22)
    returns = pd.DataFrame({"a": [-0.1, 0.2, *[0.0] * 18, 0.05, -0.05], "b": [np.nan, np.nan, *[0.01] * 20]}, days)
    figures = compounded(returns)
    a = returns["a"]
    value = 0.9 * 1.2 * 1.05 * 0.95
    assert figures.loc["a", "annual_return"] == pytest.approx(value ** (252 / 22) - 1)
    assert figures.loc["a", "volatility"] == pytest.approx(np.sqrt(252) * np.std(a, ddof=1))
    assert figures.loc["a", "ratio"] == pytest.approx(np.sqrt(252) * a.mean() / np.std(a, ddof=1))
    assert figures.loc["a", "max_drawdown"] == pytest.approx(-0.1), "a loss on the first day is one"
    assert figures.loc["a", "monthly_win_rate"] == 0.5
    assert figures.loc["b", "annual_return"] == pytest.approx(1.01**252 - 1)
    assert figures.loc["b", "monthly_win_rate"] == 1
    assert np.isnan(figures.loc["b", "ratio"])
    assert compounded_by_year(returns).loc[2020].tolist() == pytest.approx([value - 1, 1.01**20 - 1])


LOSS_FIRST = pd.DataFrame({"return": [-0.3, *[0.001] * 24]}, pd.bdate_range("2020-01-01", periods=25))


def test_a_loss_on_the_first_day_is_a_drawdown():
    returns = LOSS_FIRST.assign(excess_return=LOSS_FIRST["return"])
    table = added_up_by_year(returns)
    assert table["max_drawdown"].tolist() == table["excess_max_drawdown"].tolist() == [-0.3, -0.3]
    assert compounded(returns)["max_drawdown"].tolist() == pytest.approx([-0.3, -0.3])


def test_of_fewer_than_twenty_days_nothing_is_brought_to_a_year():
    returns = pd.DataFrame({"return": 0.01 * np.sin(np.arange(22))}, pd.bdate_range("2020-12-31", periods=22))
    returns["excess_return"] = returns["return"]
    table = added_up_by_year(returns)
    assert table["steps"].to_dict() == {"all": 22, "2020": 1, "2021": 21}
    of_a_year = table.columns.drop(["steps", "max_drawdown", "excess_max_drawdown"])
    assert table.loc["2020", of_a_year].isna().all()
    assert table.loc[["all", "2021"]].notna().all(axis=None)
    few = compounded(returns.iloc[:19])
    assert few[["annual_return", "volatility", "ratio"]].isna().all(axis=None)
    assert few[["max_drawdown", "monthly_win_rate"]].notna().all(axis=None)
    assert compounded(returns.iloc[:20]).notna().all(axis=None)


@pytest.mark.parametrize("value", [0.1, 0.001, 1 / 3])
def test_returns_that_do_not_vary_have_no_ratio_whatever_rounding_leaves(value):
    returns = pd.DataFrame({"return": value, "excess_return": value}, pd.bdate_range("2020-01-01", periods=30))
    assert added_up_by_year(returns)[["sharpe", "information_ratio"]].isna().all(axis=None)
    assert compounded(returns)["ratio"].isna().all()

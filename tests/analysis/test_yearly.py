from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.contrib.evaluate import risk_analysis

from qlib_ext.analysis.yearly import daily_returns, strategy_table
from qlib_ext.errors import DataError


@pytest.fixture
def report():
    random = np.random.default_rng(0)
    index = pd.bdate_range("2019-06-03", "2021-02-02", name="datetime")
    columns = {"return": 0.001, "cost": 0.0002, "bench": 0.0}
    return pd.DataFrame({name: at + 0.01 * random.standard_normal(len(index)) for name, at in columns.items()}, index)


def test_the_whole_table_is_that_of_the_reports_code(report):
    net = report["return"] - report["cost"]
    over = net - report["bench"]
    table = strategy_table(daily_returns(report))
    assert list(table.index) == ["all", "2019", "2020", "2021"]
    for name, row in table.iterrows():
        r, e = (x if name == "all" else x[str(name)] for x in (net, over))
        expected = {
            "annual_return": r.mean() * 252,
            "volatility": np.nanstd(r) * np.sqrt(252),
            "sharpe": r.mean() * 252 / (np.nanstd(r) * np.sqrt(252)),
            "max_drawdown": min(
                r.iloc[: i + 1].sum() - max(r.iloc[: j + 1].sum() for j in range(i + 1)) for i in range(len(r))
            ),
            "annual_excess_return": e.mean() * 252,
            "excess_volatility": np.nanstd(e) * np.sqrt(252),
            "information_ratio": e.mean() / e.std(ddof=1) * np.sqrt(252),
            "excess_max_drawdown": (e.cumsum() - e.cumsum().cummax()).min(),
        }
        assert row.to_dict() == pytest.approx(expected, rel=1e-12)


def test_it_agrees_with_qlibs_risk_analysis(report):
    returns = daily_returns(report)
    theirs = risk_analysis(returns["excess_return"], N=252, freq=None)["risk"]
    ours = strategy_table(returns).loc["all"]
    assert ours["annual_excess_return"] == pytest.approx(theirs["annualized_return"], rel=1e-12)
    assert ours["information_ratio"] == pytest.approx(theirs["information_ratio"], rel=1e-12)
    assert ours["excess_max_drawdown"] == pytest.approx(theirs["max_drawdown"], rel=1e-12)


def test_a_strategy_that_does_not_move_has_no_ratio(report):
    table = strategy_table(daily_returns(report * 0))
    assert table[["sharpe", "information_ratio"]].isna().all(axis=None)
    assert (table["max_drawdown"] == 0).all()


def test_a_report_without_a_benchmark_is_refused(report):
    with pytest.raises(DataError, match="has no bench"):
        daily_returns(report.drop(columns="bench"))

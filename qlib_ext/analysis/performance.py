"""Figures of daily returns: of a backtest added up, of groups compounded, over a whole test and by year.

A year has 252 days. A figure that is brought to a year is NaN where there are fewer than 20 days: a return of one day
would become -735 %. ``backtest.Step`` says how many weeks and months these are.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.analysis.backtest import DAILY, FEWEST_DAYS, Step
from qlib_ext.errors import DataError
from qlib_ext.provider.calendar import DAYS_PER_YEAR


def since_first_score(report: pd.DataFrame, first_score: pd.Timestamp) -> pd.DataFrame:
    """PortAnaRecord's report_normal without the days on which nothing is held, as no score is known yet.

    The score of day t is known at its close and traded on t + 1, so that on the first day of a backtest from
    ``first_score`` on the account is cash, whose excess return is the benchmark's return with the other sign. Qlib's
    own figures count that day.

    Raises DataError where the report lacks one of the columns value, turnover.
    """
    _require_columns(report, "value", "turnover")
    waits = (report.index <= first_score) & (report["value"] == 0) & (report["turnover"] == 0)
    return report.loc[~waits]


def returns_after_cost(report: pd.DataFrame) -> pd.DataFrame:
    """``return = r - cost`` and ``excess_return = r - cost - bench`` by step of PortAnaRecord's report_normal.

    Fractions. Raises DataError where the report lacks one of the columns return, cost, bench.
    """
    _require_columns(report, "return", "cost", "bench")
    net = report["return"] - report["cost"]
    return pd.DataFrame({"return": net, "excess_return": net - report["bench"]})


def _require_columns(report: pd.DataFrame, *names: str) -> None:
    if missing := set(names) - set(report.columns):
        raise DataError(f"The backtest's report has no {', '.join(sorted(missing))}; it has {list(report.columns)}.")


def added_up_by_year(returns: pd.DataFrame, step: Step = DAILY) -> pd.DataFrame:
    """Eight figures of returns after cost by step, and the number of steps: "all", then a row a year of its own steps.

    For r the return, and the same for the excess return, with 252 days a year, or as many steps as ``Step.a_year``:
    annual_return ``252 mean(r)``, volatility ``sqrt(252) std(r)`` with std over n, sharpe
    ``annual_return / volatility``, max_drawdown ``min_t (C_t - max_{s <= t} C_s)`` of the sum ``C_t = r_1 + ... + r_t``
    with s from 0, where ``C_0 = 0``; nothing is compounded. information_ratio is ``sqrt(252) mean / std`` with std over
    n - 1, as in Qlib's risk_analysis; the report's table does so too: 24.12 / 12.16 is 1.98, and its 22 days of 2021
    show 1.94.

    returns [steps, (return, excess_return)]; a ratio is NaN where nothing varies.

    Source: Huatai, AI series 42 (2021-02-21), exhibits 21 and 32.
    """
    periods = {"all": returns} | {str(year): part for year, part in returns.groupby(returns.index.year)}
    return pd.DataFrame.from_dict({name: _added_up(part, step) for name, part in periods.items()}, "index")


def _added_up(returns: pd.DataFrame, step: Step) -> dict[str, float]:
    yearly = step.a_year * returns.mean().where(returns.count() >= step.fewest)
    volatility = np.sqrt(step.a_year) * _deviation(returns, ddof=0, fewest=step.fewest)
    sharpe = yearly / volatility.where(volatility > 0)
    information_ratio = sharpe * np.sqrt((returns.count() - 1) / returns.count())
    total = returns.cumsum()
    drawdown = (total - total.cummax().clip(lower=0)).min()
    return {
        "steps": len(returns),
        "annual_return": yearly["return"],
        "volatility": volatility["return"],
        "sharpe": sharpe["return"],
        "max_drawdown": drawdown["return"],
        "annual_excess_return": yearly["excess_return"],
        "excess_volatility": volatility["excess_return"],
        "information_ratio": information_ratio["excess_return"],
        "excess_max_drawdown": drawdown["excess_return"],
    }


def _deviation(returns: pd.DataFrame, ddof: int, fewest: int = FEWEST_DAYS) -> pd.Series:
    """The standard deviation of each column: NaN of fewer than ``fewest``, exactly 0 of a constant."""
    deviation = returns.std(ddof=ddof).where(returns.max() > returns.min(), 0.0)
    return deviation.where(returns.count() >= fewest)


def compounded(returns: pd.DataFrame) -> pd.DataFrame:
    """Compounded figures of daily returns, one row a column of ``returns``; days that are NaN do not count.

    With the value ``N_t = prod_{s <= t} (1 + r_s)`` over D days and N_0 = 1:
    annual_return ``N_D^(252 / D) - 1``, volatility ``sqrt(252) std(r)`` (n - 1), ratio ``sqrt(252) mean(r) / std(r)``
    (the Sharpe ratio of returns, the information ratio of excess returns; NaN where nothing varies), max_drawdown
    ``min_t N_t / max_{s <= t} N_s - 1`` with s from 0, monthly_win_rate the share of calendar months whose compounded
    return is above 0.

    Source: Orient Securities, factor selection series 110 (2024-02-19), section 2.1, figures 4 and 10.
    """
    count = returns.count()
    value = (1 + returns).cumprod()
    deviation = _deviation(returns, ddof=1)
    months = (1 + returns).groupby(returns.index.to_period("M")).prod(min_count=1) - 1
    annual = value.ffill().iloc[-1] ** (DAYS_PER_YEAR / count) - 1
    return pd.DataFrame(
        {
            "annual_return": annual.where(count >= FEWEST_DAYS),
            "volatility": np.sqrt(DAYS_PER_YEAR) * deviation,
            "ratio": np.sqrt(DAYS_PER_YEAR) * returns.mean() / deviation.where(deviation > 0),
            "max_drawdown": (value / value.cummax().clip(lower=1) - 1).min(),
            "monthly_win_rate": (months > 0).sum() / months.count(),
        }
    )


def compounded_by_year(returns: pd.DataFrame) -> pd.DataFrame:
    """Compounded return of each calendar year, ``prod (1 + r) - 1``: [years, columns]; NaN where a year has no day.

    Source: Orient Securities, factor selection series 110, figure 9.
    """
    return (1 + returns).groupby(returns.index.year).prod(min_count=1).sub(1).rename_axis("year")

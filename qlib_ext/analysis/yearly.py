"""The table of a backtest by year."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.errors import DataError

DAYS_PER_YEAR = 252


def daily_returns(report: pd.DataFrame) -> pd.DataFrame:
    """Daily `return = r - cost` and `excess_return = r - cost - bench`, fractions, of PortAnaRecord's report_normal.

    Raises DataError where the report lacks one of the columns return, cost, bench.
    """
    missing = {"return", "cost", "bench"} - set(report.columns)
    if missing:
        raise DataError(f"The backtest's report has no {', '.join(sorted(missing))}; it has {list(report.columns)}.")
    net = report["return"] - report["cost"]
    return pd.DataFrame({"return": net, "excess_return": net - report["bench"]})


def strategy_table(returns: pd.DataFrame) -> pd.DataFrame:
    """Eight figures of daily returns after cost: "all", then one row a year, each from its own days alone.

    For r the return, and the same for the excess return:
    annual_return `252 mean(r)`, volatility `sqrt(252) std(r)` with std over n, sharpe `annual_return / volatility`,
    max_drawdown `min_t (C_t - max_{s <= t} C_s)` of the sum `C_t = r_1 + ... + r_t`; nothing is compounded.
    information_ratio is `sqrt(252) mean / std` with std over n - 1, as in Qlib's risk_analysis; the report's table
    does so too: 24.12 / 12.16 is 1.98, and its 22 days of 2021 show 1.94.

    returns [days, (return, excess_return)]; a ratio is NaN where nothing varies.

    Source: Huatai, AI series 42 (2021-02-21), exhibits 21 and 32.
    """
    years = {str(year): part for year, part in returns.groupby(returns.index.year)}
    return pd.DataFrame.from_dict({name: _figures(part) for name, part in ({"all": returns} | years).items()}, "index")


def _figures(returns: pd.DataFrame) -> dict[str, float]:
    yearly = DAYS_PER_YEAR * returns.mean()
    volatility = np.sqrt(DAYS_PER_YEAR) * returns.std(ddof=0)
    sample = np.sqrt(DAYS_PER_YEAR) * returns.std(ddof=1)
    total = returns.cumsum()
    drawdown = (total - total.cummax()).min()
    return {
        "annual_return": yearly["return"],
        "volatility": volatility["return"],
        "sharpe": _ratio(yearly["return"], volatility["return"]),
        "max_drawdown": drawdown["return"],
        "annual_excess_return": yearly["excess_return"],
        "excess_volatility": volatility["excess_return"],
        "information_ratio": _ratio(yearly["excess_return"], sample["excess_return"]),
        "excess_max_drawdown": drawdown["excess_return"],
    }


def _ratio(value: float, over: float) -> float:
    return value / over if over > 0 else np.nan

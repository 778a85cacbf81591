"""What a score is worth to a portfolio of few stocks, and to one of many."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.analysis.groups import GroupTest, hold
from qlib_ext.analysis.performance import compounded

NUMBERS = (10, 20, 30, 50, 100, 200, 300, 500)
COLUMNS = {
    "annual_return": "annual_excess_return",
    "volatility": "excess_volatility",
    "ratio": "information_ratio",
    "max_drawdown": "excess_max_drawdown",
}


def top_k_frame(score: pd.DataFrame, price: pd.DataFrame, rebalance: int) -> pd.DataFrame:
    """The figures of the k stocks with the highest scores, for each k that is at most half of a median day's scores.

    Held in equal weights and rebalanced as the groups of ``group_test``, without cost; the excess is that over the mean
    of all stocks with a score. Rows: k, as text; columns annual_excess_return, excess_volatility, information_ratio,
    excess_max_drawdown, as in ``compounded``, and turnover, the share of the names that were not held before.

    score, price [days, stocks] by the same trading days and stocks.
    """
    most = score.count(axis=1).replace(0, np.nan).median() / 2
    rows = {}
    for k in (number for number in NUMBERS if number <= most):
        test = _top_and_rest(score, price, k, rebalance)
        figures = compounded(test.excess.iloc[:, [0]]).iloc[0].rename(COLUMNS)[[*COLUMNS.values()]]
        rows[str(k)] = {**figures, "turnover": test.turnover.iloc[:, 0].mean()}
    return pd.DataFrame.from_dict(rows, "index", columns=[*COLUMNS.values(), "turnover"])


def _top_and_rest(score: pd.DataFrame, price: pd.DataFrame, k: int, rebalance: int) -> GroupTest:
    rows = np.arange(0, len(score), rebalance)
    rank = score.iloc[rows].rank(axis=1, ascending=False, method="first").to_numpy()
    groups = np.where(np.isnan(rank), 0, np.where(rank <= k, 1, 2))
    return hold(groups, rows, score.index, price, 2)

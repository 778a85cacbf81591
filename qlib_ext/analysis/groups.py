"""Portfolios of the stocks sorted by score: pure functions of matrices [days, stocks].

Source of the test: Orient Securities, factor selection series 110 (2024-02-19), section 2.1: weekly rebalancing at the
next day's close without cost, against the whole universe in equal weights. The report's yearly figures fit returns
that are compounded, as here, and not those of Huatai, AI series 42, exhibit 27, which adds daily returns up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.analysis.performance import compounded, compounded_by_year
from qlib_ext.cross_section.ic import Matrix
from qlib_ext.errors import ConfigError, DataError

UNIVERSE = "universe"
Groups = NDArray[np.int64]


def assign_groups(score: Matrix, n: int) -> Groups:
    """Group of each stock on each day, 1 for the highest scores to n for the lowest, 0 for none: [days, stocks].

    Of N scores, the one with p others below it is in group ``n + 1 - max(1, ceil(p n / (N - 1)))``: sizes differ by one
    at most, and equal scores share a group, the lower one. Equal to ``pandas.qcut``, counted from the top. A day with
    fewer scores than groups, or with all scores equal, has no groups.
    """
    scored = np.isfinite(score)
    count = scored.sum(1, keepdims=True)
    below = pd.DataFrame(score).rank(axis=1, method="min").fillna(1).to_numpy().astype(np.int64) - 1
    placed = scored & (count >= n) & (below.max(1, keepdims=True) > 0)
    from_bottom = np.maximum(1, -(-below * n // np.maximum(count - 1, 1)))
    return np.where(placed, n + 1 - from_bottom, 0)


@dataclass(frozen=True)
class GroupTest:
    """What the groups earned.

    returns   [days, groups 1..n and "universe"], fractions a day, NaN before the first purchase
    turnover  [rebalancing days, groups 1..n], share of the names that were not held before, NaN on the first
    """

    returns: pd.DataFrame
    turnover: pd.DataFrame

    @property
    def excess(self) -> pd.DataFrame:
        """Daily return over the universe's, ``r_g - r_universe``: [days, groups]."""
        return self.returns.drop(columns=UNIVERSE).sub(self.returns[UNIVERSE], axis=0)

    @property
    def long_short(self) -> pd.Series:
        """Daily return of holding the top group against the bottom group, ``r_1 - r_n``."""
        return (self.returns.iloc[:, 0] - self.returns.iloc[:, -2]).rename("long_short")


def group_test(score: pd.DataFrame, price: pd.DataFrame, n: int, rebalance: int = 5) -> GroupTest:
    """Hold the n groups in equal weights from one rebalancing to the next.

    Every ``rebalance`` trading days, on day t, groups are formed of the scores of t and bought at the price of t + 1;
    they are kept, without rebalancing in between, until the price of the day after the next rebalancing day, the last
    ones to the end of the rows. Group g, bought on day e, is worth ``V_s = mean_{i in g} P_{i,s} / P_{i,e}`` on day s
    and returns ``V_s / V_{s-1} - 1``; the universe is all stocks of all groups, so it has the same stocks and days. No
    cost.

    A rebalancing day that has no groups (see ``assign_groups``) leaves the holdings as they are. A stock without a
    price on a day, or with one that is not above 0, suspended or delisted, carries its last one, and is bought at it;
    one that never had a price is left out. Turnover counts names: one-sided turnover of equal weights, the drift of
    weights in between left out.

    score and price are [days, stocks] by the same trading days and stocks; the last days need no scores.
    Raises ConfigError for fewer than two groups or a rebalance below 1, DataError where no day forms groups that
    can be bought.
    """
    if n < 2 or rebalance < 1:
        raise ConfigError(f"groups is at least 2 and rebalance at least 1; they are {n} and {rebalance}.")
    rows = np.arange(0, len(score), rebalance)
    groups = assign_groups(score.to_numpy()[rows], n)
    test = hold(groups, rows, score.index, price, n)
    if test.returns.isna().all(axis=None):
        raise DataError(
            f"No day of {len(score)} forms {n} groups that can be bought the day after: that needs {n} stocks with "
            f"prices and scores that differ; the days have {score.count(axis=1).max()} scores at most."
        )
    return test


def hold(groups: Groups, rows: NDArray[np.int64], days: pd.DatetimeIndex, price: pd.DataFrame, n: int) -> GroupTest:
    """Hold groups [rebalancing days, stocks] that were formed on the days of these rows, see ``group_test``."""
    rows, groups = rows[groups.any(1)], groups[groups.any(1)]
    carried = price.where(price > 0).ffill().to_numpy()
    returns = np.full((len(price), n + 1), np.nan)
    bounds = np.append(rows + 1, len(price) - 1)  # days of purchase, and the last day
    for start, end, group in zip(bounds[:-1], bounds[1:], groups, strict=True):
        if end > start:
            value = _value(carried[start : end + 1], group, n)
            returns[start + 1 : end + 1] = value[1:] / value[:-1] - 1
    names = pd.Index(range(1, n + 1), name="group")
    daily = pd.DataFrame(returns, price.index, [*names, UNIVERSE])
    return GroupTest(daily, pd.DataFrame(turnover(groups, n), days[rows], names))


def _value(price: Matrix, group: Groups, n: int) -> Matrix:
    """Value [days, n + 1] of 1 put into each group, and into all of them, on the first of these days."""
    bought = (group > 0) & np.isfinite(price[0])
    member = np.zeros((price.shape[1], n + 1))
    member[bought, group[bought] - 1] = 1
    member[bought, n] = 1
    worth = np.where(bought, price / np.where(bought, price[0], 1), 0)
    with np.errstate(invalid="ignore"):  # a group none of whose stocks can be bought is worth NaN
        return worth @ member / member.sum(0)


def turnover(groups: Groups, n: int) -> Matrix:
    """Share of each group's names that were not in it one row before: [rows, stocks] -> [rows, n], NaN in row 0.

    ``|G_k \\ G_{k-1}| / |G_k|``; equal to alphalens' ``quantile_turnover``.

    Source: Orient Securities, factor selection series 110, section 2.1: weekly one-sided turnover of the holdings.
    """
    result = np.full((len(groups), n), np.nan)
    for g in range(1, n + 1):
        member = groups == g
        size = member[1:].sum(1)
        new = (member[1:] & ~member[:-1]).sum(1)
        np.divide(new, size, out=result[1:, g - 1], where=size > 0)
    return result


def group_summary(test: GroupTest) -> pd.DataFrame:
    """One row a group, then "long_short": its ``compounded`` figures, its excess over the universe, its turnover.

    Columns: annual_return, volatility, sharpe, max_drawdown; annual_excess_return, excess_volatility,
    information_ratio, excess_max_drawdown, monthly_win_rate (of the excess); turnover, a fraction each rebalancing.
    long_short has no excess; long-average, the top group against the universe, is the excess of group 1.
    """
    own = compounded(pd.concat([test.returns.drop(columns=UNIVERSE), test.long_short], axis=1))
    own = own.drop(columns="monthly_win_rate").rename(columns={"ratio": "sharpe"})
    excess = compounded(test.excess).rename(
        columns={
            "annual_return": "annual_excess_return",
            "volatility": "excess_volatility",
            "ratio": "information_ratio",
            "max_drawdown": "excess_max_drawdown",
        }
    )
    return own.join(excess).join(test.turnover.mean().rename("turnover"))


def group_frames(score: pd.DataFrame, price: pd.DataFrame, n: int, rebalance: int) -> dict[str, pd.DataFrame]:
    """The files of FactorRecord on the groups, see ``group_test`` and ``group_summary``."""
    test = group_test(score, price, n, rebalance)
    return {
        "group_returns.pkl": test.returns,
        "group_turnover.pkl": test.turnover,
        "group_summary.pkl": group_summary(test),
        "group_years.pkl": compounded_by_year(test.excess.join(test.long_short)),
    }

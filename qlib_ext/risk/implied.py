"""The weights of an index's members, implied by the index's own returns: a filter that reads no day after its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlib_ext.errors import DataError
from qlib_ext.expressions.kernels import compiled

Matrix = NDArray[np.float64]
PRIOR_DEVIATION = 0.6  # of a new member's weight, over the weight
DAILY_DEVIATION = 0.01  # of what changes a weight in a day beside prices, over the weight
NOISE, LEAST_NOISE = 0.025, 1e-4  # the index's return that members do not explain: over their dispersion; a day
LARGEST_SURPRISE = 0.02  # of a day; beyond it the day teaches nothing
LARGEST_STEP = 1.0  # of ln w in a day
LARGEST_CASH = 1.09  # a larger jump of the factor is a split


@dataclass(frozen=True)
class Implied:
    """What the filter found.

    weights    [days, stocks]: at the close of the day, of the day's members, sum 1; 0 for others, NaN before the start
    surprises  [days]: the index's return less that of the weights known before it, NaN where there is none
    skipped    days whose surprise was larger than 2 %, of which the filter learned nothing
    missing    days after the start whose index return is not known; weights drift with the members' own return
    """

    weights: Matrix
    surprises: Matrix
    skipped: NDArray[np.int_]
    missing: NDArray[np.int_]


def prior_of(cap: Matrix | None, amount: Matrix) -> Matrix:
    """What a stock's weight is thought to be before the index says more: ``cap^0.75 amount^0.25``, in no unit.

    Equal to ``cap turnover^0.25``: of two stocks of one size the one that is traded more has the larger float. Where no
    market value is to be had, cap None, it is ``sqrt(amount)``; both are never mixed, for their units differ.
    cap, amount [days, stocks]: market value, mean amount of 250 days; NaN where either is. Ours: the exponents, of six
    pairs the nearest to the official weights of CSI300 in 2012-2021.
    """
    return np.sqrt(amount) if cap is None else cap**0.75 * amount**0.25


def price_returns(close: Matrix, factor: Matrix) -> Matrix:
    """``C_t / C_{t-1} - 1`` as a price index counts it: adjusted for splits, not for cash; 0 without two closes.

    close adjusted and carried through suspensions, factor likewise, [days, stocks]. A factor that grows by less than
    9 % in a day is taken for cash: the smallest bonus issue in use, one share for ten, is 10 %.
    """
    change, grown = (ratio_to_the_day_before(values) for values in (close, factor))
    cash = (grown > 1) & (grown < LARGEST_CASH)
    return np.nan_to_num(np.where(cash, change / grown, change) - 1)


def ratio_to_the_day_before(values: Matrix) -> Matrix:
    """``x_t / x_{t-1}``, NaN on the first day: [days, ...] -> the same."""
    ratio = np.full(values.shape, np.nan)
    np.divide(values[1:], values[:-1], out=ratio[1:])
    return ratio


def implied_weights(returns: Matrix, index_returns: Matrix, members: NDArray[np.bool_], prior: Matrix) -> Implied:
    """Follow an index's weights by its own return R and the members' returns r, a Kalman filter over ln w.

        e = R - w'r,  z = r - w'r,  K = P z / (z'P z + s^2),  s = max(0.025 sqrt(sum w z^2), 1e-4)
        w <- w exp(K e / w),  P <- P - K (P z)',  then w and P drift by (1 + r) / (1 + R), and (0.01 w)^2 comes to
                              diag P

    Skipped where |e| > 2 %. A member that joins starts at its prior, in the unit of those that stay, with the standard
    deviation 0.6 w. Weights are scaled to sum 1.

    returns        [days, stocks]: price returns, 0 where a stock does not trade
    index_returns  [days], NaN where one of its two closes is missing
    members        [days, stocks]
    prior          [days, stocks]: as ``prior_of``; that of the day before is read

    It starts on the first day with an index return on which at least half of the members have a prior the day before;
    a member without one takes the members' median. Raises DataError where there is no such day.

    Source: the filter is ours; with s = 0.0003 and additive steps in the first prototype.
    """
    days, stocks = members.shape
    weights, surprises = np.zeros((days, stocks)), np.full(days, np.nan)
    start = _first_day(index_returns, members, prior)
    weights[:start] = np.nan
    skipped, missing = [], []
    of = np.flatnonzero(members[start])  # the members, by place
    w, covariance = _fresh(prior[start - 1, of])
    for day in range(start, days):
        now = np.flatnonzero(members[day])
        if not np.array_equal(now, of):
            w, covariance = _changed(w, covariance, of, now, prior[day - 1, now])
            of = now
        r = returns[day, of]
        index_return = index_returns[day]
        if np.isnan(index_return):
            missing.append(day)
            index_return = w @ r
        else:
            surprises[day] = index_return - w @ r
            if abs(surprises[day]) > LARGEST_SURPRISE:
                skipped.append(day)
            else:
                w = _learn(w, covariance, r, surprises[day])
        growth = (1 + r) / (1 + index_return)
        w = w * growth
        total = w.sum()
        w /= total
        _drift(covariance, growth / total, (DAILY_DEVIATION * w) ** 2)
        weights[day, of] = w
    return Implied(weights, surprises, np.array(skipped, dtype=int), np.array(missing, dtype=int))


def _first_day(index_returns: Matrix, members: NDArray[np.bool_], prior: Matrix) -> int:
    known = (members[1:] & (prior[:-1] > 0)).sum(1)
    count = members[1:].sum(1)
    usable = np.flatnonzero(np.isfinite(index_returns[1:]) & (count > 0) & (2 * known >= count))
    if not len(usable):
        raise DataError(
            "On no day has the index a return and half of its members a market value or an amount the day before; see "
            "the index's $close, and $total_mv or $amount of the members."
        )
    return int(usable[0]) + 1


def _filled(prior: Matrix) -> Matrix:
    usable = prior > 0
    if not usable.any():
        return np.ones(len(prior))
    return np.where(usable, prior, np.median(prior[usable]))


def _fresh(prior: Matrix) -> tuple[Matrix, Matrix]:
    w = _filled(prior)
    w /= w.sum()
    return w, np.diag((PRIOR_DEVIATION * w) ** 2)


def _changed(
    w: Matrix, covariance: Matrix, of: NDArray[np.int_], now: NDArray[np.int_], prior: Matrix
) -> tuple[Matrix, Matrix]:
    """The state for other members: leavers dropped, joiners at their prior beside those that stay."""
    stays = np.isin(of, now)
    if not stays.any():
        return _fresh(prior)
    prior = _filled(prior)
    joins, place = ~np.isin(now, of), np.searchsorted(now, of[stays])
    after = prior * (w[stays].sum() / prior[place].sum())
    after[place] = w[stays]
    wider = np.zeros((len(now), len(now)))
    wider[np.ix_(place, place)] = covariance[np.ix_(stays, stays)]
    wider[joins, joins] = (PRIOR_DEVIATION * after[joins]) ** 2
    total = after.sum()
    return after / total, wider / total**2


def _learn(w: Matrix, covariance: Matrix, r: Matrix, surprise: float) -> Matrix:
    """The weights after a day's surprise; the covariance shrinks in place."""
    z = r - w @ r
    noise = max(NOISE * float(np.sqrt(w @ z**2)), LEAST_NOISE)
    towards = covariance @ z
    variance = float(z @ towards) + noise**2
    _shrink(covariance, towards / np.sqrt(variance))
    # a factor, so that no weight turns negative
    return w * np.exp(np.clip(towards * (surprise / variance) / w, -LARGEST_STEP, LARGEST_STEP))


@compiled
def _shrink(covariance, direction):
    """``P <- P - d d'`` in place: P [members, members], d [members]."""
    for i in range(len(direction)):
        row, scale = covariance[i], direction[i]
        for j in range(len(direction)):
            row[j] -= scale * direction[j]


@compiled
def _drift(covariance, growth, added):
    """``P_ij <- g_i P_ij g_j + a_i 1[i = j]`` in place."""
    for i in range(len(growth)):
        row, scale = covariance[i], growth[i]
        for j in range(len(growth)):
            row[j] *= scale * growth[j]
        row[i] += added[i]

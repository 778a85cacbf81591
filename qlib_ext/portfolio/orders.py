"""From weights to shares: what is sold and bought, in lots."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qlib_ext.errors import DataError
from qlib_ext.portfolio.day import Day, Vector

LEAST_WEIGHT = 1e-7  # of an account, that is traded or kept: the conic solver leaves less of what it does not hold
ROUNDING = 1e-3  # of a lot, so that 100 shares that became 99.99999 are one
LEAST_BOUGHT = 0.5  # of the value that is to be bought; an account that buys less in whole lots is too small


def traded_shares(day: Day, weights: Vector, value: float, price: Vector, lot: Vector | None = None) -> Vector:
    """By how many shares each holding changes: above 0 a buy, below 0 a sale; [n].

    ``(w - w0) value / price``, toward zero to whole lots, so that turnover stays within its limit; what is sold off is
    sold whole.

    value   of the account at the close; price [n] at it, NaN where the stock does not trade
    lot     [n] shares, in the units of the price; None: any number

    Raises DataError for an account whose buys are mostly smaller than a lot.
    """
    change = weights - day.held
    change[np.abs(change) < LEAST_WEIGHT] = 0.0
    whole = (weights < LEAST_WEIGHT) & (day.held > 0) & day.tradable
    change[whole] = -day.held[whole]
    moved = change != 0
    if (wrong := moved & ~(price > 0)).any():
        first = int(np.argmax(wrong))
        raise DataError(f"{day.stocks[first]} is to be traded and has no close on {day.day:%Y-%m-%d}.")
    shares = np.zeros(len(change))
    shares[moved] = change[moved] * value / price[moved]
    if lot is None:
        return shares
    in_lots = moved & ~whole
    lots = shares[in_lots] / lot[in_lots]
    rounded = np.trunc(lots + ROUNDING * np.sign(lots)) * lot[in_lots]
    bought = np.where(moved & (shares > 0), shares * np.nan_to_num(price), 0.0)
    shares[in_lots] = rounded
    kept = np.where(moved & (shares > 0), shares * np.nan_to_num(price), 0.0)
    if kept.sum() < LEAST_BOUGHT * bought.sum() and not day.held.any():
        raise DataError(
            f"An account of {value:,.0f} buys {(kept > 0).sum()} of {(bought > 0).sum()} stocks on "
            f"{day.day:%Y-%m-%d}, as most weights are less than a lot; it needs "
            f"{value * _most_short(bought, price, lot):,.0f} or so, or an exchange without lots."
        )
    return shares


def in_order(shares: Vector, price: Vector) -> NDArray[np.int_]:
    """The places of the orders in which they are given: sales, then buys, the largest first."""
    value = np.nan_to_num(shares * price)
    places = np.flatnonzero(value)
    return places[np.lexsort((-np.abs(value[places]), value[places] > 0))]


def _most_short(bought: Vector, price: Vector, lot: Vector) -> float:
    """How many times larger the account must be for half of the buys to be a lot or more."""
    wanted = bought > 0
    return float(np.median(price[wanted] * lot[wanted] / bought[wanted]))

"""The trades of one simulated stock and day, which add up to its day bar.

Active orders arrive one after another, more of them after 09:30 and before 14:57. Their prices walk from the bar's
open to its close; one order of one lot trades at the open, one at the high and one at the low; the closing auction
trades at the close. Then the walk is drawn towards the high or the low until the amounts add up to the bar's amount,
and each price between two fen is split into lots at the fen below and lots at the fen above.

Who is active: an order buys with probability 1 / (1 + exp(-1.5 x - 0.3 flow)), x being its step of the walk in
standard deviations, and it is large (e^2.2 times the lots) with probability 0.12 (1 + 0.9 d tanh flow), where d is
+1 for a buyer, -1 for a seller and flow what informed traders do (``qlib_ext.simulator.informed``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from qlib_ext.errors import DataError
from qlib_ext.provider.sessions import MINUTES_A_DAY

MINUTE = 60_000  # ms
CLOSE = MINUTES_A_DAY * MINUTE  # 15:00, when the closing auction trades
CONTINUOUS = CLOSE - 3 * MINUTE  # 14:57
FEWEST_LOTS = 4  # one each at the open, the high, the low and the close

_ORDERS, _ORDERS_SPREAD = 350, 0.3  # active orders a day, and their spread between days in logs
_AUCTION = 0.02  # of the day's lots trade in the closing auction
_CLOSING = 5  # trades in it, on average, after the first
_WALK = 0.7  # standard deviation of the walk before it is tied to the close, in ranges of the day
_FOLLOW, _LEAN = 1.5, 0.3
_LARGE, _CHOICE, _LARGER = 0.12, 0.9, 2.2
_SIZE_SPREAD = 0.9  # of the orders' lots, in logs
_FURTHER = 0.4  # further resting orders that an order of mean size meets at a price, on average

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Bar(NamedTuple):
    """A day bar as traded: prices in fen, volume in lots of 100 shares, amount in yuan."""

    open: int
    high: int
    low: int
    close: int
    lots: int
    amount: float


@dataclass(frozen=True)
class Fills:
    """The trades in order, one value each.

    time    milliseconds of trading since 09:30, so 120 minutes are 13:00; the closing auction has 240 minutes
    price   fen
    lots    of 100 shares
    side    1 the buyer was active, -1 the seller, 0 the closing auction
    active  number of the active order, 0, 1, ...; -1 in the closing auction
    """

    time: Ints
    price: Ints
    lots: Ints
    side: Ints
    active: Ints


def draw_fills(bar: Bar, flow: float, rng: np.random.Generator) -> Fills:
    """Draw the trades of a day.

    First price, highest, lowest, last and the sum of lots are the bar's. The sum of price times lots is the
    bar's amount rounded to the yuan, or the nearest that one lot each at open, high, low and close allows.

    Raises DataError for a bar of less than 4 lots or whose prices do not lie between its low and its high.
    """
    amount = _reachable_amount(bar)
    auction = _auction_lots(bar, amount)
    free = bar.lots - 3 - auction
    count = 3 + min(round(_ORDERS * np.exp(_ORDERS_SPREAD * rng.standard_normal())), free)
    walk = _walk(bar, count, rng)
    step = np.diff(walk, prepend=bar.open)
    side = np.where(rng.random(count) < expit(_FOLLOW * step / (step.std() + 1e-12) + _LEAN * flow), 1, -1)
    large = rng.random(count) < _LARGE * (1 + _CHOICE * side * np.tanh(flow))
    weight = np.exp(_SIZE_SPREAD * rng.standard_normal(count) + _LARGER * large)

    fixed = _first_highest_lowest(walk)
    loose = np.setdiff1d(np.arange(count), fixed)
    walk[fixed] = bar.open, bar.high, bar.low
    lots = np.ones(count, dtype=np.int64)
    lots[loose] = allot(np.array([free]), np.array([len(loose)]), weight[loose])
    rest = amount - auction * bar.close - (bar.open + bar.high + bar.low)
    walk[loose] = _draw_towards(walk[loose], lots[loose], rest, bar.low, bar.high)

    parts = _cut(*_whole_fen(walk, lots, side), rng)
    n = min(auction, 1 + rng.poisson(_CLOSING))
    closing = allot(np.array([auction]), np.array([n]), rng.exponential(size=n))
    time = np.sort(draw_moments(count, rng))
    return Fills(
        time=np.append(time[parts[0]], np.full(n, CLOSE)),
        price=np.append(parts[1], np.full(n, bar.close)),
        lots=np.append(parts[2], closing),
        side=np.append(side[parts[0]], np.zeros(n, dtype=np.int64)),
        active=np.append(parts[0], np.full(n, -1)),
    )


def allot(totals: Ints, counts: Ints, weights: Floats) -> Ints:
    """Split each total into its count of positive integers in proportion to their weights; all counts in one array.

    totals, counts    [groups], each total at least its count
    weights           [sum of counts], positive
    """
    group = np.repeat(np.arange(len(counts)), counts)
    share = weights / np.bincount(group, weights, minlength=len(counts))[group]
    ends = np.round(np.cumsum(share * (totals - counts)[group])).astype(np.int64)
    return 1 + np.diff(ends, prepend=0)


def draw_moments(count: int, rng: np.random.Generator) -> Ints:
    """Times of continuous trading, in no order; a quarter falls into the first half-hour, an eighth into the last."""
    minute = np.arange(CONTINUOUS // MINUTE)
    density = 1 + 3.5 * np.exp(-minute / 25) + 1.2 * np.exp(-(minute[-1] - minute) / 20)
    reached = np.append(0.0, np.cumsum(density) / density.sum())
    return (np.interp(rng.random(count), reached, np.arange(len(reached))) * MINUTE).astype(np.int64)


def _reachable_amount(bar: Bar) -> int:
    prices = (bar.open, bar.high, bar.low, bar.close)
    if bar.lots < FEWEST_LOTS or not bar.low == min(prices) <= max(prices) == bar.high:
        raise DataError(
            f"The day bar {bar} cannot be traded. It needs at least {FEWEST_LOTS} lots, and open and close between low "
            "and high."
        )
    at_least, others = sum(prices), bar.lots - FEWEST_LOTS
    return min(max(round(bar.amount), at_least + others * bar.low), at_least + others * bar.high)


def _auction_lots(bar: Bar, amount: int) -> int:
    """A fiftieth of the day, or less where the other lots could not make up for so many at the close."""
    others = bar.lots - FEWEST_LOTS
    above_low = amount - (bar.open + bar.high + bar.low + bar.close) - others * bar.low
    below_high = others * (bar.high - bar.low) - above_low
    most = _AUCTION * others
    if bar.close > bar.low:
        most = min(most, 0.5 * above_low / (bar.close - bar.low))
    if bar.close < bar.high:
        most = min(most, 0.5 * below_high / (bar.high - bar.close))
    return 1 + int(most)


def _walk(bar: Bar, count: int, rng: np.random.Generator) -> Floats:
    """Prices of the active orders in fen, not yet whole: from open to close, as high as high, as low as low."""
    done = np.arange(1, count + 1) / count
    walk = np.cumsum(rng.standard_normal(count)) / np.sqrt(count)
    path = bar.open + (bar.close - bar.open) * done + _WALK * (bar.high - bar.low) * (walk - done * walk[-1])
    path += 6 * done * (1 - done) * (bar.amount / bar.lots - path.mean())  # the day's average price
    upper, lower = max(bar.open, bar.close), min(bar.open, bar.close)
    for edge, bound, outside in ((upper, bar.high, path - upper), (lower, bar.low, lower - path)):
        if (furthest := outside.max()) > 0:
            path = np.where(outside > 0, edge + (bound - edge) * outside / furthest, path)
    return path


def _first_highest_lowest(walk: Floats) -> Ints:
    highest = 1 + int(np.argmax(walk[1:]))
    others = np.setdiff1d(np.arange(1, len(walk)), highest)
    return np.array([0, highest, others[np.argmin(walk[others])]])


def _draw_towards(prices: Floats, lots: Ints, amount: int, low: int, high: int) -> Floats:
    """Draw prices towards the low or the high, hardly at the day's ends, until price times lots make the amount.

    price + min(1, pull * weight) * (bound - price), the pull being where the piecewise linear sum meets the amount.
    """
    if not len(prices):
        return prices
    missing = amount - (prices * lots).sum()
    gap = (high if missing > 0 else low) - prices
    weight = np.sin(np.pi * (np.arange(len(prices)) + 0.5) / len(prices))
    first = np.argsort(-weight)  # those that arrive at the bound first
    reach, room = 1 / weight[first], (np.abs(gap) * lots)[first]
    moving = room * weight[first]
    moved = np.cumsum(room) + reach * (moving.sum() - np.cumsum(moving))
    pull = np.interp(abs(missing), np.append(0.0, moved), np.append(0.0, reach))
    return np.clip(prices + np.minimum(1, pull * weight) * gap, low, high)


def _whole_fen(prices: Floats, lots: Ints, side: Ints) -> tuple[Ints, Ints, Ints]:
    """Split orders into whole prices, the sum unchanged: (order, price, lots); a buyer pays the lower price first."""
    below = np.floor(prices).astype(np.int64)
    dearer = np.diff(np.round(np.cumsum((prices - below) * lots)).astype(np.int64), prepend=0)
    rising = (side > 0)[:, None]
    pairs = np.stack([lots - dearer, dearer], axis=1)  # [orders, 2]
    levels = below[:, None] + np.array([0, 1])
    order = np.repeat(np.arange(len(lots)), 2)
    pairs, levels = (np.where(rising, both, both[:, ::-1]).ravel() for both in (pairs, levels))
    filled = pairs > 0
    return order[filled], levels[filled], pairs[filled]


def _cut(order: Ints, price: Ints, lots: Ints, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Cut what trades at one price into the trades with one resting order each."""
    counts = np.minimum(lots, 1 + rng.poisson(_FURTHER * lots / lots.mean()))
    pieces = allot(lots, counts, rng.exponential(size=counts.sum()))
    return np.repeat(order, counts), np.repeat(price, counts), pieces

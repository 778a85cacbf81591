"""The orders behind the trades of one simulated stock and day, and those that never trade.

Every trade is an active order that meets a resting one; an active order meets a resting order once, and a resting
order may meet several active orders at its price. A resting order arrives after the active order before the one that
it meets first, so of the two orders of a trade the active one has the larger number. In the closing auction buyers
and sellers arrive between 14:57 and 15:00. A tenth of the resting orders ask for more than they get and cancel the
rest. Further orders, 0.6 for each that trades, rest away from the last price and never trade; seven in ten are
cancelled. Nobody cancels after 14:57.

No order book is kept: an order that never trades may stand at a price at which others trade later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlib_ext.simulator.fills import CONTINUOUS, Fills, draw_moments

_MET_AGAIN = 0.5  # chance that the next active order at the same price meets the same resting order
_AUCTION_AGAIN = 0.4  # chance that an order of the closing auction has the next trade, too
_PARTLY = 0.1  # of the resting orders trade in part only
_NEVER, _CANCELLED = 0.6, 0.7
_AWAY = 0.15  # an order that never trades rests 1 / 0.15 fen from the last price, on average

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Orders:
    """Adds and cancels in the order of time, one value each.

    time    milliseconds of trading since 09:30, as in Fills
    price   limit, fen
    lots    of 100 shares: asked for, or cancelled
    side    1 a buyer, -1 a seller
    number  1, 2, ... in the order of arrival; a cancel has its order's
    cancel  whether the row is a cancel
    """

    time: Ints
    price: Ints
    lots: Ints
    side: Ints
    number: Ints
    cancel: NDArray[np.bool_]


def draw_orders(fills: Fills, rng: np.random.Generator) -> tuple[Orders, Ints, Ints]:
    """Draw the orders of a day; return them, and each trade's number of its buy and of its sell order."""
    buyer, seller = _counterparts(fills, rng)
    trade = np.arange(len(fills.time))
    count = 1 + max(buyer.max(), seller.max())
    first, last, side = (np.empty(count, dtype=np.int64) for _ in range(3))
    for party, of_side in ((buyer, 1), (seller, -1)):
        first[party[::-1]] = trade[::-1]  # the last assignment stays
        last[party] = trade
        side[party] = of_side
    lots = np.bincount(buyer, fills.lots, count) + np.bincount(seller, fills.lots, count)
    active = np.arange(count) <= fills.active.max()

    before = np.append(0, fills.time[first[active]])[fills.active[first]]  # the active order before, or 09:30
    since = np.where(active, fills.time[first], np.where(fills.active[first] < 0, CONTINUOUS, before))
    arrival = _between(since, fills.time[first], rng)
    partly = ~active & (fills.active[first] >= 0) & (rng.random(count) < _PARTLY)
    left = np.where(partly, rng.permutation(lots), 0).astype(np.int64)
    asked = np.stack([arrival, fills.price[last], lots.astype(np.int64) + left, side])
    cancelled = np.stack([_between(fills.time[last], np.maximum(CONTINUOUS, fills.time[last]), rng), left])

    never, gone = _never(fills, asked, rng)
    rows, cancels = np.hstack([asked, never]), np.hstack([cancelled, gone])  # [4, orders], [2, orders]
    number = np.empty(rows.shape[1], dtype=np.int64)
    # in the same millisecond the resting order comes first
    number[np.lexsort((np.arange(len(number)) <= fills.active.max(), rows[0]))] = np.arange(1, len(number) + 1)
    return _in_time(rows, cancels, number), number[buyer], number[seller]


def _counterparts(fills: Fills, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Who buys and who sells in each trade: first the active orders 0, 1, ..., then the resting, then the auction's."""
    auction = fills.active < 0
    active, price, side = fills.active[~auction], fills.price[~auction], fills.side[~auction]
    other = (np.diff(price) != 0) | (np.diff(side) != 0) | (np.diff(active) == 0)
    starts = np.append(True, other | (rng.random(len(other)) >= _MET_AGAIN))
    resting = active[-1] + np.cumsum(starts)

    fresh = rng.random((2, int(auction.sum()))) >= _AUCTION_AGAIN  # [buyer and seller, trades]
    fresh[1] |= ~fresh[0]  # no two trades of the same two orders
    fresh[:, 0] = True
    buying, selling = np.cumsum(fresh, axis=1)
    buyer = np.append(np.where(side > 0, active, resting), resting[-1] + buying)
    seller = np.append(np.where(side > 0, resting, active), resting[-1] + buying[-1] + selling)
    return buyer, seller


def _never(fills: Fills, asked: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Orders that never trade: [time, price, lots, side] and [time of the cancel, cancelled lots], one column each."""
    count = round(_NEVER * asked.shape[1])
    time = draw_moments(count, rng)
    side = rng.choice([1, -1], count)
    seen = fills.price[np.maximum(np.searchsorted(fills.time, time) - 1, 0)]
    price = np.clip(seen - side * rng.geometric(_AWAY, count), fills.price.min(), fills.price.max())
    lots = rng.choice(asked[2], count)
    gone = np.where(rng.random(count) < _CANCELLED, lots, 0)
    return np.stack([time, price, lots, side]), np.stack([_between(time, CONTINUOUS, rng), gone])


def _in_time(rows: Ints, cancels: Ints, number: Ints) -> Orders:
    gone = cancels[1] > 0
    time, price, lots, side = np.hstack([rows, np.stack([cancels[0], rows[1], cancels[1], rows[3]])[:, gone]])
    number = np.append(number, number[gone])
    cancel = np.arange(len(number)) >= rows.shape[1]
    order = np.lexsort((number, time))  # stable: of one number the add comes first
    return Orders(time[order], price[order], lots[order], side[order], number[order], cancel[order])


def _between(since: Ints, until: Ints | int, rng: np.random.Generator) -> Ints:
    return since + (rng.random(len(since)) * (until - since)).astype(np.int64)

"""Random trades and orders, with everything that a day may hold: auctions, empty minutes, lone orders, equal rows."""

from __future__ import annotations

from datetime import time

import numpy as np
import polars as pl
from hypothesis import strategies as st

from qlib_ext.ticks.schema import ORDERS, TRADES

PRICES = [9.99, 10.0, 10.01, 10.05, 12.34, 1800.5]


def day_times(size):
    """Sorted times of day: before, in and between the sessions, and the closing auction."""
    moments = st.one_of(
        st.integers(9 * 3600 + 900, 15 * 3600 + 90),
        st.integers(9 * 3600 + 1800, 10 * 3600),  # early
        st.integers(14 * 3600 + 1800, 15 * 3600),  # late
    )
    return st.lists(moments, min_size=size, max_size=size).map(lambda s: [_time(seconds) for seconds in sorted(s)])


def _time(seconds):
    return time(seconds // 3600, seconds % 3600 // 60, seconds % 60)


@st.composite
def trades(draw, stocks=3, most=40):
    frames = []
    for stock in range(draw(st.integers(1, stocks))):
        size = draw(st.integers(1, most))
        prices = draw(st.lists(st.sampled_from(PRICES), min_size=1, max_size=4))
        sides = draw(st.sampled_from(["BSN", "BS", "B", "N"]))
        orders, lots = draw(st.integers(1, 15)), draw(st.integers(1, 50))
        dice = np.random.default_rng(draw(st.integers(0, 2**32)))
        volume, price = dice.integers(1, lots + 1, size) * 100, dice.choice(prices, size)
        frames.append(
            {
                "instrument": [f"SH60000{stock}"] * size,
                "time": draw(day_times(size)),
                "price": price,
                "volume": volume,
                "amount": price * volume,
                "buy_order": dice.integers(1, orders + 1, size),
                "sell_order": dice.integers(1, orders + 1, size),
                "side": dice.choice(list(sides), size),
            }
        )
    return pl.concat([pl.DataFrame(frame, schema=TRADES) for frame in frames])


@st.composite
def orders(draw, stocks=3, most=40):
    frames = []
    for stock in range(draw(st.integers(1, stocks))):
        size = draw(st.integers(1, most))
        dice = np.random.default_rng(draw(st.integers(0, 2**32)))
        frames.append(
            {
                "instrument": [f"SZ00000{stock}"] * size,
                "time": draw(day_times(size)),
                "price": dice.choice(draw(st.lists(st.sampled_from(PRICES), min_size=1, max_size=4)), size),
                "volume": dice.integers(1, draw(st.integers(2, 50)), size) * 100,
                "side": dice.choice(list(draw(st.sampled_from(["BS", "B"]))), size),
                "order_id": range(1, size + 1),
                "kind": dice.choice(["add", "add", "cancel"], size),
            }
        )
    return pl.concat([pl.DataFrame(frame, schema=ORDERS) for frame in frames])

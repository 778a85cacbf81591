from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.simulator.fills import CLOSE, CONTINUOUS, Bar, draw_fills
from qlib_ext.simulator.resting import draw_orders

from .strategies import bars


@settings(deadline=None, max_examples=100)
@given(bars(), st.integers(0, 2**32))
def test_every_trade_has_its_orders(bar, seed):
    rng = np.random.default_rng(seed)
    fills = draw_fills(bar, 0.0, rng)
    orders, buy, sell = draw_orders(fills, rng)

    assert (np.diff(orders.time) >= 0).all()
    adds = ~orders.cancel
    assert orders.number[adds].tolist() == list(range(1, adds.sum() + 1))  # in the order of arrival
    asked = {n: row for n, *row in zip(*(column[adds] for column in columns(orders)), strict=True)}
    left = {n: asked[n][3] for n in asked}
    for number, side in ((buy, 1), (sell, -1)):
        for n, time, price, lots in zip(number, fills.time, fills.price, fills.lots, strict=True):
            arrived, its_side, limit, _ = asked[n]
            assert its_side == side
            assert arrived <= time
            assert (limit - price) * side >= 0
            left[n] -= lots
    last = dict(zip(np.append(buy, sell), np.append(fills.time, fills.time), strict=True))
    gone = set()
    for n, time, side, price, lots in zip(*(column[orders.cancel] for column in columns(orders)), strict=True):
        arrived, its_side, limit, _ = asked[n]
        assert (side, price) == (its_side, limit)
        assert max(arrived, last.get(n, 0)) <= time < CONTINUOUS
        assert n not in gone
        assert left[n] == lots > 0  # all that has not traded
        gone.add(n)
    assert all(left[n] == 0 for n in last if n not in gone)


def columns(orders):
    return orders.number, orders.time, orders.side, orders.price, orders.lots


@settings(deadline=None, max_examples=50)
@given(bars(), st.integers(0, 2**32))
def test_who_came_later_was_active(bar, seed):
    rng = np.random.default_rng(seed)
    fills = draw_fills(bar, 0.0, rng)
    orders, buy, sell = draw_orders(fills, rng)
    on = fills.side != 0
    np.testing.assert_array_equal(np.sign(buy - sell)[on], fills.side[on])
    assert len({*zip(buy, sell, strict=True)}) == len(buy)  # two orders meet once
    arrival = dict(zip(orders.number[~orders.cancel], orders.time[~orders.cancel], strict=True))
    for number in {*buy[~on], *sell[~on]}:
        assert CONTINUOUS <= arrival[number] < CLOSE
    assert bar.low <= orders.price.min() <= orders.price.max() <= bar.high


def test_all_in_the_same_millisecond():
    rng = np.random.default_rng(0)
    fills = draw_fills(Bar(1000, 1030, 985, 1012, 30_000, 1009.3 * 30_000), 0.0, rng)
    on = fills.side != 0
    _, buy, sell = draw_orders(replace(fills, time=np.where(on, 7, CLOSE)), rng)
    np.testing.assert_array_equal(np.sign(buy - sell)[on], fills.side[on])


def test_the_mixture():
    """Shares of what happens on an ordinary day, as in the real samples: a quarter of the rows are cancels."""
    rng = np.random.default_rng(0)
    fills = draw_fills(Bar(1000, 1030, 985, 1012, 30_000, 1009.3 * 30_000), 0.0, rng)
    orders, buy, sell = draw_orders(fills, rng)
    assert 0.2 < orders.cancel.mean() < 0.3
    traded = len({*buy, *sell})
    assert 0.55 < traded / (~orders.cancel).sum() < 0.7
    assert 1.2 < 2 * len(buy) / traded < 3  # trades of an order

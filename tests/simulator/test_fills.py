from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.errors import DataError
from qlib_ext.simulator.fills import CLOSE, CONTINUOUS, Bar, allot, draw_fills, draw_moments

from .strategies import bars


@settings(deadline=None, max_examples=200)
@given(bars(), st.floats(-4, 4), st.integers(0, 2**32))
def test_the_trades_add_up_to_the_bar(bar, flow, seed):
    fills = draw_fills(bar, flow, np.random.default_rng(seed))
    assert fills.price[0] == bar.open
    assert fills.price.max() == bar.high
    assert fills.price.min() == bar.low
    assert fills.price[-1] == bar.close
    assert fills.lots.min() >= 1
    assert fills.lots.sum() == bar.lots
    others = bar.lots - 4
    reachable = bar.open + bar.high + bar.low + bar.close + np.array([others * bar.low, others * bar.high])
    assert (fills.price * fills.lots).sum() == np.clip(round(bar.amount), *reachable)


@settings(deadline=None, max_examples=50)
@given(bars(), st.integers(0, 2**32))
def test_times_and_sides(bar, seed):
    fills = draw_fills(bar, 0.0, np.random.default_rng(seed))
    auction = fills.side == 0
    assert (np.diff(fills.time) >= 0).all()
    assert (fills.time[auction] == CLOSE).all()
    assert auction[-1]
    assert (fills.price[auction] == bar.close).all()
    assert fills.time[~auction].min() >= 0
    assert fills.time[~auction].max() < CONTINUOUS
    np.testing.assert_array_equal(fills.active == -1, auction)
    assert set(np.diff(fills.active[~auction])) <= {0, 1}  # numbered without a gap
    assert fills.active[0] == 0


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 10**6)), min_size=1, max_size=20), st.integers(0, 99))
def test_allot(groups, seed):
    counts = np.array([count for count, _ in groups])
    totals = counts + [more for _, more in groups]
    weights = np.random.default_rng(seed).exponential(size=counts.sum()) + 1e-9
    parts = allot(totals, counts, weights)
    for total, part, weight in zip(
        totals, np.split(parts, counts.cumsum()[:-1]), np.split(weights, counts.cumsum()[:-1]), strict=True
    ):
        assert part.min() >= 1
        assert part.sum() == total
        assert np.abs(part - 1 - (total - len(part)) * weight / weight.sum()).max() <= 1 + 1e-6


def test_when_people_trade():
    time = draw_moments(100_000, np.random.default_rng(0))
    share = np.bincount(time // (30 * 60_000), minlength=8) / len(time)
    assert share[0] == pytest.approx(0.26, abs=0.02)
    assert share[7] == pytest.approx(0.13, abs=0.02)
    assert share[0] > share[1] > share[3]


def test_a_full_days_trades():
    """Few jumps: a step between two trades is hardly ever a tenth of the day's range."""
    bar = Bar(1000, 1030, 985, 1012, 30_000, 1009.3 * 30_000)
    fills = draw_fills(bar, 0.0, np.random.default_rng(0))
    assert 300 < len(fills.time) < 3000
    assert np.abs(np.diff(fills.price)).mean() < 1.5
    assert np.abs(np.diff(fills.price)).max() <= 10
    assert 0.45 < (fills.side[fills.side != 0] > 0).mean() < 0.55


@pytest.mark.parametrize(
    "wrong",
    [
        Bar(100, 102, 99, 101, 3, 300.0),
        Bar(103, 102, 99, 101, 9, 900.0),
        Bar(100, 102, 99, 98, 9, 900.0),
        Bar(100, 99, 102, 100, 9, 900.0),
    ],
)
def test_impossible_bars(wrong):
    with pytest.raises(DataError, match=r"day bar Bar\(open=.* cannot be traded\. It needs at least 4 lots"):
        draw_fills(wrong, 0.0, np.random.default_rng(0))

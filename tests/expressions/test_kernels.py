"""Each kernel equals the slow and obvious answer, window by window: with holes, ties, constants, few rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qlib_ext.expressions import kernels, order

WINDOWS = np.array([1, 2, 5, 9, 23])  # fewer and more than the rows that a walk takes at once
NUMBERS = st.one_of(
    st.just(np.nan),
    st.sampled_from([0.0, 1.0, 2.5, -3.0]),  # ties, and windows that are constant
    st.floats(-1e6, 1e6, width=32),
)
SERIES = arrays(np.float64, st.integers(0, 32), elements=NUMBERS)
PAIRS = st.integers(0, 32).flatmap(lambda n: st.tuples(*2 * [arrays(np.float64, n, elements=NUMBERS)]))


def each(values, answer):
    """``[windows, rows]`` of answer(window's values, oldest first)."""
    ends = range(1, len(values) + 1)
    return np.array([[answer(values[max(end - n, 0) : end]) for end in ends] for n in WINDOWS]).reshape(
        len(WINDOWS), len(values)
    )


def known(window):
    return window[~np.isnan(window)]


def spread(window):
    """The standard deviation, exactly zero where the values are all the same."""
    own = known(window)
    if len(own) < 2:
        return np.nan
    return np.std(own, ddof=1) if np.ptp(own) else 0.0


def equal(ours, theirs, scale):
    """To the precision of float64 sums of values of this size; the same NaN."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12 * scale)


def size(values):
    return max(np.nanmax(np.abs(values), initial=1.0), 1.0)


@settings(max_examples=150, deadline=None)
@given(SERIES)
def test_sum_mean_and_deviation(values):
    total, mean, deviation = kernels.moments(values, WINDOWS)
    equal(total, each(values, lambda w: known(w).sum() if len(known(w)) else np.nan), size(values))
    equal(mean, each(values, lambda w: known(w).mean() if len(known(w)) else np.nan), size(values))
    equal(deviation, each(values, spread), 1e4 * size(values))
    assert (deviation[each(values, spread) == 0] == 0).all(), "a constant window has a deviation of exactly zero"


def line(window, of):
    at = np.flatnonzero(~np.isnan(window))
    if len(at) < 2:
        return np.nan
    x, y = at - at.mean(), window[at] - window[at].mean()
    slope = (x * y).sum() / (x * x).sum()
    if of == "slope":
        return slope
    return window[-1] - window[at].mean() - slope * (len(window) - 1 - at.mean())


@settings(max_examples=150, deadline=None)
@given(SERIES)
def test_slope_and_residual(values):
    slope, _, residual = kernels.lines(values, WINDOWS)
    equal(slope, each(values, lambda w: line(w, "slope")), 10 * size(values))
    equal(residual, each(values, lambda w: line(w, "residual")), 10 * size(values))


@settings(max_examples=150, deadline=None)
@given(SERIES)
def test_r_squared_is_the_squared_correlation_with_time(values):
    square = kernels.lines(values, WINDOWS)[1]
    time = np.where(np.isnan(values), np.nan, np.arange(len(values), dtype=float))
    varies = each(values, spread) > 1e-3 * size(values)
    equal(square[varies], kernels.correlations(values, time, WINDOWS)[varies] ** 2, 1e3)
    assert np.isnan(square[~(each(values, spread) > 0)]).all()


@settings(max_examples=150, deadline=None)
@given(SERIES)
def test_maximum_and_its_place(values):
    top, place = order.highest(values, WINDOWS)
    some = each(values, lambda w: float(len(known(w)) > 0)) > 0
    expected = each(values, lambda w: known(w).max() if len(known(w)) else np.nan)
    np.testing.assert_array_equal(top, expected)
    np.testing.assert_array_equal(place, np.where(some, each(values, lambda w: float(w.argmax() + 1)), np.nan))


@settings(max_examples=150, deadline=None)
@given(SERIES)
def test_rank(values):
    expected = [pd.Series(values).rolling(n, min_periods=1).rank(pct=True) for n in WINDOWS]
    np.testing.assert_allclose(
        order.ranks(values, WINDOWS), np.reshape(expected, (len(WINDOWS), len(values))), rtol=1e-12
    )


@settings(max_examples=150, deadline=None)
@given(SERIES, st.lists(st.floats(0.05, 0.95), min_size=1, max_size=3))
def test_quantiles(values, shares):
    ours = order.quantiles(values, WINDOWS, np.array(shares))
    for share, own in zip(shares, ours, strict=True):
        equal(own, each(values, lambda w: np.nanquantile(w, share) if len(known(w)) else np.nan), size(values))  # noqa: B023


def correlation(x, y):
    both = ~np.isnan(x) & ~np.isnan(y)
    if both.sum() < 2 or not np.ptp(x[both]) or not np.ptp(y[both]):
        return np.nan
    return np.corrcoef(x[both], y[both])[0, 1]


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_correlation(pair):
    left, right = pair
    rows = range(len(left))
    of = [
        [correlation(left[max(t - n + 1, 0) : t + 1], right[max(t - n + 1, 0) : t + 1]) for t in rows] for n in WINDOWS
    ]
    expected = np.reshape(of, (len(WINDOWS), len(left)))
    ours = kernels.correlations(left, right, WINDOWS)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
    even = (each(left, spread) > 1e-3 * size(left)) & (each(right, spread) > 1e-3 * size(right))
    np.testing.assert_allclose(ours[even], expected[even], atol=1e-6)


def test_what_left_the_window_leaves_no_trace():
    values = np.concatenate([[1e12, -3e11, np.nan, 7e10], np.full(9, 0.1), [0.2]])
    total, mean, deviation = kernels.moments(values, np.array([5]))[:, 0]
    assert (deviation[8:13] == 0).all()
    assert mean[12] == 0.1
    assert total[13] == pytest.approx(0.6, rel=1e-15)
    assert kernels.correlations(values, values**2, np.array([5]))[0, 13] == pytest.approx(1, rel=1e-15)


def cut(window, by, highest):
    both = ~np.isnan(window) & ~np.isnan(by)
    x, y = window[both], by[both]
    if not len(x):
        return np.nan
    share = max(len(x) // 4, 1)
    last = np.sort(y)[-share] if highest else np.sort(y)[share - 1]
    return x[y >= last].mean() if highest else x[y <= last].mean()


@settings(max_examples=150, deadline=None)
@given(PAIRS)
def test_means_where_another_is_extreme(pair):
    values, by = pair
    found = order.cuts(values, by, WINDOWS)
    for place, highest in enumerate((True, False)):
        ends = range(1, len(values) + 1)
        expected = [
            [cut(values[max(end - n, 0) : end], by[max(end - n, 0) : end], highest) for end in ends] for n in WINDOWS
        ]
        equal(found[place], np.array(expected).reshape(len(WINDOWS), len(values)), size(values))


EVERY = (
    kernels.moments,
    kernels.lines,
    order.highest,
    order.ranks,
    lambda values, windows: order.quantiles(values, windows, np.array([0.2, 0.5])),
    lambda values, windows: kernels.correlations(values, np.roll(values, 1), windows),
    lambda values, windows: order.cuts(values, np.roll(values, 1), windows),
)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, 40, elements=NUMBERS), st.integers(1, 12), st.sampled_from(EVERY))
def test_a_number_is_that_of_its_own_window_to_the_bit(values, window, kernel):
    """Whatever stands before the window, and however many rows of it are loaded."""
    whole = kernel(values, np.array([window]))
    alone = kernel(np.concatenate([values[-window - 1 :]]), np.array([window]))
    np.testing.assert_array_equal(alone[..., -1], whole[..., -1])
    beside = kernel(values, np.array([window, window + 7]))
    np.testing.assert_array_equal(beside[..., 0, :], whole[..., 0, :])

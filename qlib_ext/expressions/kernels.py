"""Rolling statistics of one stock's bars for several windows at once, each number from its own window alone.

Every function reads ``[rows]`` float64 and ascending ``windows`` and returns ``[..., windows, rows]`` float64. The
window of N at row t is the rows t-N+1..t, fewer at the start; NaN stands for no value and is passed over; a window
without a value gives NaN. Windows are nested, so one walk from the newest row to the oldest serves all of them. Here
are sums of values and of their products; ``order`` has what depends on the order of the values.

Squares are summed about the window's newest value: a constant window gives exactly zero, and what left the window
long ago leaves no trace, as it does in sums that slide.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# the inner loops run over slices, side by side: an index that might be negative would keep them from SIMD, and so
# would more than about five arrays in one loop, whose overlaps are checked before it
compiled = njit(cache=True, error_model="numpy")
STEPS = 5  # older rows that a walk takes at once, so that the sums of a row are read and written once for all of them


@compiled
def without_infinities(values):
    """float64, with NaN for an infinity, as pandas' rolling statistics read their input: ``[rows]``."""
    finite = np.empty(len(values))
    for row in range(len(values)):
        value = 1.0 * values[row]  # of a comparison as well
        finite[row] = value if abs(value) < np.inf else np.nan
    return finite


@compiled
def newest(values):
    """The newest value at or before each row: ``[rows]``."""
    latest = np.empty_like(values)
    value = np.nan
    for row in range(len(values)):
        if not np.isnan(values[row]):
            value = values[row]
        latest[row] = value
    return latest


@compiled
def counts(values, window):
    """How many rows of the window have a value: ``[rows]``."""
    result = np.empty(len(values))
    count = 0.0
    for row in range(len(values)):
        count += 0.0 if np.isnan(values[row]) else 1.0
        if row >= window:
            count -= 0.0 if np.isnan(values[row - window]) else 1.0
        result[row] = count
    return result


@compiled
def preceded(values, windows):
    """The values after as many rows without one as a walk of these windows may reach back: ``[before + rows]``."""
    before = min(windows[-1], len(values)) + STEPS
    result = np.full(before + len(values), np.nan)
    result[before:] = values
    return result


@compiled
def steps_of(values, back, rows):
    """What ``preceded`` gave, from ``STEPS - 1`` rows before that which is ``back`` before the first of ``rows``."""
    newest_row = len(values) - rows - back
    return values[newest_row - STEPS + 1 : newest_row + rows]


@compiled
def add_sums(first, second, past, origin, steps):
    """Add the distances of some older rows, and their squares, to the sums of each row."""
    for i in range(len(origin)):
        total, squares = first[i], second[i]
        for step in range(STEPS):
            distance = past[i + STEPS - 1 - step] - origin[i]
            distance = distance if (distance == distance) & (step < steps) else 0.0
            total += distance
            squares += distance * distance
        first[i], second[i] = total, squares


@compiled
def add_products(product, left, origin_left, right, origin_right, steps):
    """Add the products of two distances of some older rows to the sum of each row."""
    for i in range(len(product)):
        total = product[i]
        for step in range(STEPS):
            older = i + STEPS - 1 - step
            both = (left[older] - origin_left[i]) * (right[older] - origin_right[i])
            total += both if (both == both) & (step < steps) else 0.0
        product[i] = total


@compiled
def moments(values, windows):
    """Sum, mean and sample standard deviation: ``[3, windows, rows]``."""
    rows = len(values)
    anchor, past = newest(values), preceded(values, windows)
    first, second = np.zeros(rows), np.zeros(rows)
    out = np.empty((3, len(windows), rows))
    back = 0
    for w in range(len(windows)):
        while back < min(windows[w], rows):
            steps = min(STEPS, windows[w] - back)
            add_sums(first, second, steps_of(past, back, rows), anchor, steps)
            back += steps
        count = counts(values, windows[w])
        total, mean, deviation = out[0, w], out[1, w], out[2, w]
        for i in range(rows):
            offset = first[i] / count[i]
            total[i] = first[i] + count[i] * anchor[i] if count[i] else np.nan
            mean[i] = total[i] / count[i]  # exact for counts, which a mean of distances would not be
            deviation[i] = np.sqrt(max(second[i] - first[i] * offset, 0.0) / (count[i] - 1.0))  # 0 / 0 where alone
    return out


@compiled
def times(values, window):
    """Number, sum and sum of squares of the times of a window's values, 0 at its last row: ``[3, rows]``."""
    result = np.empty((3, len(values)))
    count, first, second = 0, 0, 0  # whole numbers, which slide without a trace
    for row in range(len(values)):
        second += count - 2 * first  # all times are one earlier
        first -= count
        if row >= window and not np.isnan(values[row - window]):
            count -= 1
            first += window
            second -= window * window
        count += 0 if np.isnan(values[row]) else 1
        result[0, row], result[1, row], result[2, row] = count, first, second
    return result


@compiled
def lines(values, windows):
    """The least-squares line over time: slope a row, r squared, and the last row's residual: ``[3, windows, rows]``.

    With x = 0 at the last row and -1 at the one before: ``slope = Sxy / Sxx``, ``r2 = Sxy^2 / (Sxx Syy)``,
    ``residual = y[t] - mean(y) + slope mean(x)``; NaN where fewer than two rows have a value.
    """
    rows = len(values)
    anchor, past = newest(values), preceded(values, windows)
    time = np.arange(rows - len(past), rows).astype(np.float64)
    now = time[len(past) - rows :]
    y, yy, xy = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    out = np.empty((3, len(windows), rows))
    back = 0
    for w in range(len(windows)):
        while back < min(windows[w], rows):
            steps, heights = min(STEPS, windows[w] - back), steps_of(past, back, rows)
            add_sums(y, yy, heights, anchor, steps)
            add_products(xy, steps_of(time, back, rows), now, heights, anchor, steps)
            back += steps
        count, x, xx = times(values, windows[w])
        slope, square, residual = out[0, w], out[1, w], out[2, w]
        for i in range(rows):
            across = xx[i] - x[i] * x[i] / count[i]
            along = xy[i] - x[i] * y[i] / count[i]
            slope[i] = along / across  # 0 / 0 where a row is alone
            square[i] = along * along / (across * (yy[i] - y[i] * y[i] / count[i]))
            residual[i] = values[i] - anchor[i] - (y[i] - slope[i] * x[i]) / count[i]
    return out


@compiled
def correlations(left, right, windows):
    """The correlation over the rows where both have a value, NaN where one of them is constant: ``[windows, rows]``."""
    rows = len(left)
    left, right = left + 0.0 * right, right + 0.0 * left
    anchor_x, anchor_y = newest(left), newest(right)
    past_x, past_y = preceded(left, windows), preceded(right, windows)
    x, y = np.zeros(rows), np.zeros(rows)
    xx, yy, xy = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    out = np.empty((len(windows), rows))
    back = 0
    for w in range(len(windows)):
        while back < min(windows[w], rows):
            steps = min(STEPS, windows[w] - back)
            older_x, older_y = steps_of(past_x, back, rows), steps_of(past_y, back, rows)
            add_sums(x, xx, older_x, anchor_x, steps)
            add_sums(y, yy, older_y, anchor_y, steps)
            add_products(xy, older_x, anchor_x, older_y, anchor_y, steps)
            back += steps
        count = counts(left, windows[w])
        for i in range(rows):
            square = (xx[i] - x[i] * x[i] / count[i]) * (yy[i] - y[i] * y[i] / count[i])
            value = (xy[i] - x[i] * y[i] / count[i]) / np.sqrt(square)
            out[w, i] = min(max(value, -1.0), 1.0) if square > 0 else np.nan
    return out

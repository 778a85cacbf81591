"""Rolling statistics of one stock's bars for several windows at once, each number from its own window alone.

Every function reads ``[rows]`` float64 and ascending ``windows`` and returns ``[..., windows, rows]`` float64. The
window of N at row t is the rows t-N+1..t, fewer at the start; NaN stands for no value and is passed over; a window
without a value gives NaN. Windows are nested, so one walk from the newest row to the oldest serves all of them.

Squares are summed about the window's newest value: a constant window gives exactly zero, and what left the window
long ago leaves no trace, as it does in sums that slide.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# the inner loops run over slices, side by side: an index that might be negative would keep them from SIMD
compiled = njit(cache=True, error_model="numpy")


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
def moments(values, windows):
    """Sum, mean and sample standard deviation: ``[3, windows, rows]``."""
    rows = len(values)
    anchor = newest(values)
    count, first, second = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    out = np.empty((3, len(windows), rows))
    back = 0
    for w in range(len(windows)):
        while back < min(windows[w], rows):
            past, origin = values[: rows - back], anchor[back:]
            n, s, ss = count[back:], first[back:], second[back:]
            for i in range(len(past)):
                distance = past[i] - origin[i]
                known = distance == distance
                n[i] += 1.0 if known else 0.0
                s[i] += distance if known else 0.0
                ss[i] += distance * distance if known else 0.0
            back += 1
        total, mean, deviation = out[0, w], out[1, w], out[2, w]
        for i in range(rows):
            offset = first[i] / count[i]
            total[i] = first[i] + count[i] * anchor[i] if count[i] else np.nan
            mean[i] = total[i] / count[i]  # exact for counts, which a mean of distances would not be
            deviation[i] = np.sqrt(max(second[i] - first[i] * offset, 0.0) / (count[i] - 1.0))  # 0 / 0 where alone
    return out


@compiled
def lines(values, windows):
    """The least-squares line over time: slope a row, r squared, and the last row's residual: ``[3, windows, rows]``.

    With x = 0 at the last row and -1 at the one before: ``slope = Sxy / Sxx``, ``r2 = Sxy^2 / (Sxx Syy)``,
    ``residual = y[t] - mean(y) + slope mean(x)``; NaN where fewer than two rows have a value.
    """
    rows = len(values)
    anchor = newest(values)
    count, x, xx = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    y, yy, xy = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    out = np.empty((3, len(windows), rows))
    back = 0
    for w in range(len(windows)):
        while back < min(windows[w], rows):
            past, origin, time = values[: rows - back], anchor[back:], -float(back)
            n, sx, sxx, sy, syy, sxy = count[back:], x[back:], xx[back:], y[back:], yy[back:], xy[back:]
            for i in range(len(past)):
                distance = past[i] - origin[i]
                known = 1.0 if distance == distance else 0.0
                height = distance if distance == distance else 0.0
                n[i] += known
                sx[i] += time * known
                sxx[i] += time * time * known
                sy[i] += height
                syy[i] += height * height
                sxy[i] += time * height
            back += 1
        slope, square, residual = out[0, w], out[1, w], out[2, w]
        for i in range(rows):
            across = xx[i] - x[i] * x[i] / count[i]
            along = xy[i] - x[i] * y[i] / count[i]
            slope[i] = along / across  # 0 / 0 where a row is alone
            square[i] = along * along / (across * (yy[i] - y[i] * y[i] / count[i]))
            residual[i] = values[i] - anchor[i] - (y[i] - slope[i] * x[i]) / count[i]
    return out


@compiled
def highest(values, windows):
    """The maximum and its place counted from the window's oldest row, 1 the oldest: ``[2, windows, rows]``.

    Of equal maxima the oldest counts. A window with a NaN has its place at the oldest NaN, as numpy's argmax.

    A window is two overlapping blocks of a power of two rows, and a block two halves: log2(window) steps, not window.
    """
    rows = len(values)
    top, place, hole = np.empty(rows), np.empty(rows), np.empty(rows)  # of the block that ends at each row
    for i in range(rows):
        known = values[i] == values[i]
        top[i] = values[i] if known else -np.inf
        place[i] = float(i)
        hole[i] = np.inf if known else float(i)
    out = np.empty((2, len(windows), rows))
    block = 1
    for w in range(len(windows)):
        window = min(windows[w], rows)
        while 2 * block <= window:
            top, place, hole = joined(top, place, hole, block)
            block *= 2
        own_top, own_place, own_hole = top, place, hole
        if block < window:
            own_top, own_place, own_hole = joined(top, place, hole, window - block)
        best, at = out[0, w], out[1, w]
        for i in range(rows):
            oldest = float(max(i - window + 1, 0))
            first = own_place[i] if own_hole[i] == np.inf else own_hole[i]
            some = own_top[i] > -np.inf
            best[i] = own_top[i] if some else np.nan
            at[i] = first - oldest + 1.0 if some else np.nan
    return out


@compiled
def joined(top, place, hole, before):
    """Maximum, its row and the oldest NaN's row of each block together with the block so many rows before it."""
    new_top, new_place, new_hole = top.copy(), place.copy(), hole.copy()
    rows = len(top) - before
    old_top, old_place, old_hole = top[:rows], place[:rows], hole[:rows]
    later_top, later_place, later_hole = new_top[before:], new_place[before:], new_hole[before:]
    for i in range(rows):
        older = old_top[i] >= later_top[i]
        later_place[i] = old_place[i] if older else later_place[i]
        later_top[i] = old_top[i] if older else later_top[i]
        later_hole[i] = min(old_hole[i], later_hole[i])
    return new_top, new_place, new_hole


@compiled
def ranks(values, windows):
    """The last row's rank among the window's values, ties at their mean, over their number: ``[windows, rows]``."""
    rows = len(values)
    count, less, equal = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    out = np.empty((len(windows), rows))
    back = 0
    for w in range(len(windows)):
        while back < min(windows[w], rows):
            past, last = values[: rows - back], values[back:]
            n, below, same = count[back:], less[back:], equal[back:]
            for i in range(len(past)):
                n[i] += 1.0 if past[i] == past[i] else 0.0
                below[i] += 1.0 if past[i] < last[i] else 0.0
                same[i] += 1.0 if past[i] == last[i] else 0.0
            back += 1
        for i in range(rows):
            known = values[i] == values[i]
            out[w, i] = (less[i] + (equal[i] + 1.0) / 2.0) / count[i] if known else np.nan
    return out


@compiled
def quantiles(values, windows, shares):
    """The quantile of each share, between its two neighbours in proportion: ``[shares, windows, rows]``."""
    out = np.empty((len(shares), len(windows), len(values)))
    for w in range(len(windows)):
        window, n = windows[w], 0
        ordered = np.empty(window)
        for row in range(len(values)):
            n = slide(ordered, n, values[row - window] if row >= window else np.nan, values[row])
            for q in range(len(shares)):
                place = shares[q] * (n - 1)
                low = int(place)
                if n == 0:
                    out[q, w, row] = np.nan
                elif low == place:
                    out[q, w, row] = ordered[low]
                else:
                    out[q, w, row] = ordered[low] + (ordered[low + 1] - ordered[low]) * (place - low)
    return out


@compiled
def slide(ordered, n, gone, come):
    """Take one value out of the first n, which ascend, and put another in, NaN for none; the number there then is."""
    hole, end = 0, n  # where the value that goes is, n where none goes
    if np.isnan(gone):
        hole = n
    while hole < end:
        middle = (hole + end) // 2
        if ordered[middle] < gone:
            hole = middle + 1
        else:
            end = middle
    left = n if np.isnan(gone) else n - 1
    if np.isnan(come):
        for place in range(hole, left):
            ordered[place] = ordered[place + 1]
        return left
    while hole > 0 and ordered[hole - 1] > come:
        ordered[hole] = ordered[hole - 1]
        hole -= 1
    while hole < left and ordered[hole + 1] < come:
        ordered[hole] = ordered[hole + 1]
        hole += 1
    ordered[hole] = come
    return left + 1


@compiled
def correlations(left, right, windows):
    """The correlation over the rows where both have a value, NaN where one of them is constant: ``[windows, rows]``."""
    rows = len(left)
    left, right = left + 0.0 * right, right + 0.0 * left
    anchor_x, anchor_y = newest(left), newest(right)
    count, x, y = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    xx, yy, xy = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    out = np.empty((len(windows), rows))
    back = 0
    for w in range(len(windows)):
        while back < min(windows[w], rows):
            past_x, past_y, origin_x, origin_y = (
                left[: rows - back],
                right[: rows - back],
                anchor_x[back:],
                anchor_y[back:],
            )
            n, sx, sy, sxx, syy, sxy = count[back:], x[back:], y[back:], xx[back:], yy[back:], xy[back:]
            for i in range(len(past_x)):
                dx, dy = past_x[i] - origin_x[i], past_y[i] - origin_y[i]
                known = dx == dx
                dx, dy = dx if known else 0.0, dy if known else 0.0
                n[i] += 1.0 if known else 0.0
                sx[i] += dx
                sy[i] += dy
                sxx[i] += dx * dx
                syy[i] += dy * dy
                sxy[i] += dx * dy
            back += 1
        for i in range(rows):
            square = (xx[i] - x[i] * x[i] / count[i]) * (yy[i] - y[i] * y[i] / count[i])
            value = (xy[i] - x[i] * y[i] / count[i]) / np.sqrt(square)
            out[w, i] = min(max(value, -1.0), 1.0) if square > 0 else np.nan
    return out


@compiled
def cuts(values, by, windows):
    """The mean of values where ``by`` is the highest, and the lowest, of the window: ``[2, windows, rows]``.

    Of the n rows that have both, the highest are those not below the (n // 4)-th largest ``by``, at least one row; the
    lowest likewise. Rows that tie with the last of them count too.
    """
    values, by = values + 0.0 * by, by + 0.0 * values
    rows = len(values)
    out = np.empty((2, len(windows), rows))
    for w in range(len(windows)):
        window, n = windows[w], 0
        ordered, top, bottom = np.empty(window), np.full(rows, np.nan), np.full(rows, np.nan)
        for row in range(rows):
            n = slide(ordered, n, by[row - window] if row >= window else np.nan, by[row])
            if n:
                share = max(n // 4, 1)
                top[row], bottom[row] = ordered[n - share], ordered[share - 1]
        above, high, below, low = np.zeros(rows), np.zeros(rows), np.zeros(rows), np.zeros(rows)
        for back in range(min(window, rows)):
            past, key = values[: rows - back], by[: rows - back]
            upper, lower, n_high, n_low = top[back:], bottom[back:], above[back:], below[back:]
            sum_high, sum_low = high[back:], low[back:]
            for i in range(len(past)):
                is_high, is_low = key[i] >= upper[i], key[i] <= lower[i]  # false for NaN
                n_high[i] += 1.0 if is_high else 0.0
                sum_high[i] += past[i] if is_high else 0.0
                n_low[i] += 1.0 if is_low else 0.0
                sum_low[i] += past[i] if is_low else 0.0
        for i in range(rows):
            out[0, w, i], out[1, w, i] = high[i] / above[i], low[i] / below[i]  # 0 / 0 where there is no row
    return out

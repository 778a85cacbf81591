"""Rolling statistics that depend on the order of a window's values; the rules are those of ``kernels``."""

from __future__ import annotations

import numpy as np

from qlib_ext.expressions.kernels import STEPS, compiled, counts, preceded, steps_of


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
def add_below(below, past, last, steps):
    """Add to each row how many of some older rows are less than ``last``, those equal to it by half."""
    for i in range(len(last)):
        total = below[i]
        for step in range(STEPS):
            older = past[i + STEPS - 1 - step]
            total += 1.0 if (older < last[i]) & (step < steps) else 0.0
            total += 0.5 if (older == last[i]) & (step < steps) else 0.0
        below[i] = total


@compiled
def ranks(values, windows):
    """The last row's rank among the window's values, ties at their mean, over their number: ``[windows, rows]``."""
    rows = len(values)
    past, below = preceded(values, windows), np.zeros(rows)
    out = np.empty((len(windows), rows))
    back = 0
    for w in range(len(windows)):
        while back < min(windows[w], rows):
            steps = min(STEPS, windows[w] - back)
            add_below(below, steps_of(past, back, rows), values, steps)
            back += steps
        count = counts(values, windows[w])
        for i in range(rows):
            known = values[i] == values[i]
            out[w, i] = (below[i] + 0.5) / count[i] if known else np.nan  # one half of the last row itself is in it
    return out


@compiled
def quantiles(values, windows, shares):
    """The quantile of each share, between its two neighbours in proportion: ``[shares, windows, rows]``."""
    out = np.empty((len(shares), len(windows), len(values)))
    for w in range(len(windows)):
        window, n = windows[w], 0
        ordered = np.empty(window)
        for row in range(len(values)):
            hole, place, n = slide(ordered, n, values[row - window] if row >= window else np.nan, values[row])
            shift(ordered, hole, place, values[row])
            for q in range(len(shares)):
                at = shares[q] * (n - 1)
                low = int(at)
                if n == 0:
                    out[q, w, row] = np.nan
                elif low == at:
                    out[q, w, row] = ordered[low]
                else:
                    out[q, w, row] = ordered[low] + (ordered[low + 1] - ordered[low]) * (at - low)
    return out


@compiled
def slide(ordered, n, gone, come):
    """Where one of the first n values, which ascend, leaves and another enters, NaN for none; how many there then are.

    Of equal values the oldest leaves, and the newest stands last. ``shift`` then moves the values themselves.
    """
    below, not_above = 0, 0  # counted over all, which is faster than a search whose branches cannot be foreseen
    for i in range(n):
        below += 1 if ordered[i] < gone else 0
        not_above += 1 if ordered[i] <= come else 0
    leaves, enters = gone == gone, come == come
    hole = below if leaves else n
    left = n - 1 if leaves else n
    if not enters:
        return hole, left, left
    return hole, not_above - 1 if leaves and gone <= come else not_above, left + 1


@compiled
def shift(values, hole, place, value):
    """Close the hole and let the value stand at its place, counted without the hole."""
    if hole < place:
        later = values[hole : place + 1]
        for i in range(len(later) - 1):
            later[i] = later[i + 1]
    else:
        for i in range(hole, place, -1):
            values[i] = values[i - 1]
    values[place] = value


@compiled
def cuts(values, by, windows):
    """The mean of values where ``by`` is the highest, and the lowest, of the window: ``[2, windows, rows]``.

    Of the n rows that have both, the highest are those not below the (n // 4)-th largest ``by``, at least one row; the
    lowest likewise. Rows that tie with the last of them count too.
    """
    values, by = values + 0.0 * by, by + 0.0 * values
    out = np.empty((2, len(windows), len(values)))
    for w in range(len(windows)):
        window, n = windows[w], 0
        ordered, carried = np.empty(window), np.empty(window)  # by, and the values in the same order
        highest_means, lowest_means = out[0, w], out[1, w]
        for row in range(len(values)):
            hole, place, n = slide(ordered, n, by[row - window] if row >= window else np.nan, by[row])
            shift(ordered, hole, place, by[row])
            shift(carried, hole, place, values[row])
            low, high = ends(ordered, n)
            highest_means[row], lowest_means[row] = mean_of(carried, high, n), mean_of(carried, 0, low)
    return out


@compiled
def ends(ordered, n):
    """Of the first n values, which ascend: how many are the lowest quarter, and where the highest begins; with ties."""
    share = max(n // 4, 1)
    low, high = min(share, n), max(n - share, 0)
    while low < n and ordered[low] == ordered[low - 1]:
        low += 1
    while high > 0 and ordered[high - 1] == ordered[high]:
        high -= 1
    return low, high


@compiled
def mean_of(values, begin, end):
    """The mean of some of the values, summed in order; NaN of none."""
    total = 0.0
    for i in range(begin, end):
        total += values[i]
    return total / (end - begin)

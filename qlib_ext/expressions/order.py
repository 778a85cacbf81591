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
def raise_below(best, age, past, own, back, steps):
    """Raise each row's ``best`` to the highest of some older rows that is not above its own, and ``age`` to that's."""
    for i in range(len(own)):
        highest, at = best[i], age[i]
        for step in range(STEPS):
            older = past[i + STEPS - 1 - step]
            closer = (older > highest) & (older <= own[i]) & (step < steps)
            highest = older if closer else highest
            at = float(back + step) if closer else at
        best[i], age[i] = highest, at


@compiled
def cuts(values, by, windows):
    """The mean of values where ``by`` is the highest, and the lowest, of the window: ``[2, windows, rows]``.

    Of the n rows that have both, the highest are those not below the (n // 4)-th largest ``by``, at least one row; the
    lowest likewise. Rows that tie with the last of them count too.
    """
    values, by = values + 0.0 * by, by + 0.0 * values
    rows = len(values)
    past, best, age = preceded(by, windows), np.full(rows, -np.inf), np.zeros(rows)
    out = np.empty((2, len(windows), rows))
    back = 1
    for w in range(len(windows)):
        while back < min(windows[w], rows):
            steps = min(STEPS, windows[w] - back)
            raise_below(best, age, steps_of(past, back, rows), by, back, steps)
            back += steps
        means_at_ends(values, by, age, windows[w], out[0, w], out[1, w])
    return out


@compiled
def means_at_ends(values, by, age, window, high, low):
    """Write the mean of the values where ``by`` is in the highest quarter of each window, and in the lowest.

    The rows of a window are a ring in which ``by`` ascends, the older of equal ones first: ``after`` and ``prior`` of a
    row are those beside it, and 0 stands between the highest and the lowest, so that rows count from 1. ``age`` tells
    how many rows before it that one stands behind which a row enters, 0 for none.
    """
    rows = len(values)
    keys, carried = np.full(rows + 1, np.nan), np.zeros(rows + 1)
    keys[1:], carried[1:] = by, values
    after, prior = np.zeros(rows + 1, dtype=np.uint32), np.zeros(rows + 1, dtype=np.uint32)
    n = 0
    for row in range(rows):  # in one function: a call for each row would take longer than all the rest
        if row >= window and by[row - window] == by[row - window]:
            gone = np.uint32(row - window + 1)  # an index that cannot be negative is looked up at once
            after[prior[gone]], prior[after[gone]] = after[gone], prior[gone]
            n -= 1
        if by[row] == by[row]:
            come = np.uint32(row + 1)
            lower = np.uint32(row + 1 - int(age[row])) if age[row] > 0 else np.uint32(0)
            upper = after[lower]
            after[lower], prior[come], after[come], prior[upper] = come, lower, upper, come
            n += 1
        if n == 0:
            high[row], low[row] = np.nan, np.nan
            continue
        tops = bottoms = max(n // 4, 1)
        top, bottom, down, up = 0.0, 0.0, np.uint32(0), np.uint32(0)
        for _ in range(tops):
            down, up = prior[down], after[up]
            top += carried[down]
            bottom += carried[up]
        while keys[prior[down]] == keys[down]:  # ends at 0, which has NaN
            down = prior[down]
            top += carried[down]
            tops += 1
        while keys[after[up]] == keys[up]:
            up = after[up]
            bottom += carried[up]
            bottoms += 1
        high[row], low[row] = top / tops, bottom / bottoms

"""The eight half-hours of a trading day, 9:30-11:30 and 13:00-15:00, and the bars that lie in them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.errors import DataError

HALF_HOURS = 8
BARS = ("open", "high", "low", "close", "amount")
OPENING, NOON, LUNCH_END, CLOSING = 9 * 60 + 30, 11 * 60 + 30, 13 * 60, 15 * 60  # minutes of the day
AUCTION = 9 * 60 + 15  # the opening auction begins


def half_hours(times: pd.DatetimeIndex, minutes: int) -> np.ndarray:
    """The half-hour 0..7 of each time of an intraday calendar: ``[times]``.

    Times stand for the end of a bar of ``minutes`` where 11:30 is among them, for its beginning where 13:00 is. The
    opening auction, from 9:15 on, belongs to the first half-hour, the closing auction to the last; nothing lies in the
    lunch break. Raises DataError for a time outside the session and for a half-hour of a day that is begun and not
    complete; a whole half-hour may be missing.
    """
    clock = (times.hour * 60 + times.minute).to_numpy()
    at_end, at_start = (clock == NOON).any(), (clock == LUNCH_END).any()
    if at_end == at_start:
        raise DataError(
            f"Bars of {minutes} minutes are named by their end, the last of the morning 11:30, or by their beginning, "
            f"the first of the afternoon 13:00; this calendar has {'both' if at_end else 'neither'} of the two."
        )
    begin = clock - minutes if at_end else clock
    auction = (clock >= AUCTION) & (begin < OPENING)
    closing = at_start & (clock == CLOSING)
    morning, afternoon = (begin >= OPENING) & (begin < NOON), (begin >= LUNCH_END) & (begin < CLOSING)
    outside = ~(auction | closing | morning | afternoon)
    if outside.any():
        raise DataError(
            f"{outside.sum()} times of the {minutes}-minute calendar are outside 9:30-11:30 and 13:00-15:00, the first "
            f"{times[outside][0]}; leave such bars out of the provider."
        )
    half = np.where(morning, begin - OPENING, begin - LUNCH_END + NOON - OPENING) // 30
    half = np.select([auction, closing], [0, HALF_HOURS - 1], half)
    regular = ~(auction | closing)
    in_half = pd.Series(1, pd.MultiIndex.from_arrays([times[regular].normalize(), half[regular]]))
    counts = in_half.groupby(level=[0, 1]).sum()
    broken = counts[counts != 30 // minutes]
    if len(broken):
        day, place = broken.index[0]
        raise DataError(
            f"{len(broken)} half-hours of the {minutes}-minute calendar are incomplete, the first on {day:%Y-%m-%d}: "
            f"half-hour {place + 1} has {broken.iloc[0]} of {30 // minutes} bars. Complete the calendar, NaN where "
            "there are no bars, or leave the half-hour out."
        )
    return half


def fold(bars: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Join bars into longer ones: ``[stocks, times, 5] -> [stocks, len(starts), 5]``, each from its start to the next.

    The first open, the highest high, the lowest low, the last close and the sum of the amounts that are known; NaN
    where none is.
    """
    times = np.arange(bars.shape[1])[:, None]  # [times, 1]
    known = ~np.isnan(bars)
    first = np.minimum.reduceat(np.where(known[..., :1], times, bars.shape[1] - 1), starts, axis=1)
    last = np.maximum.reduceat(np.where(known[..., 3:4], times, 0), starts, axis=1)
    folded = [
        np.take_along_axis(bars[..., :1], first, axis=1),
        np.fmax.reduceat(bars[..., 1:2], starts, axis=1),
        np.fmin.reduceat(bars[..., 2:3], starts, axis=1),
        np.take_along_axis(bars[..., 3:4], last, axis=1),
        np.add.reduceat(np.where(known, bars, 0)[..., 4:], starts, axis=1),
    ]
    joined = np.concatenate(folded, axis=2)  # [stocks, half-hours, 5]
    joined[~np.logical_or.reduceat(known, starts, axis=1)] = np.nan
    return joined

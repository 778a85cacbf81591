"""The trading sessions of a day, 09:30-11:30 and 13:00-15:00, and where a time of the day lies in them.

A time of the day is given in minutes since midnight. ``ticks.sessions`` is the same for columns of polars.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.errors import DataError

OPENING_AUCTION = 9 * 60 + 15
MORNING, MORNING_END = 9 * 60 + 30, 11 * 60 + 30
AFTERNOON, AFTERNOON_END = 13 * 60, 15 * 60
MINUTES_A_SESSION = MORNING_END - MORNING
MINUTES_A_DAY = 2 * MINUTES_A_SESSION
HALF_HOURS = MINUTES_A_DAY // 30


def minute_of(clock: np.ndarray) -> np.ndarray:
    """The trading minute 0..239 of times of the day, -1 outside the two sessions: ``[times] -> [times]``.

    The minute after a session's end, in which the closing auction is printed, belongs to the session's last minute.
    """
    minute = np.full(clock.shape, -1)
    for start, first in ((MORNING, 0), (AFTERNOON, MINUTES_A_SESSION)):
        inside = (clock >= start) & (clock <= start + MINUTES_A_SESSION)
        minute[inside] = first + np.minimum(clock[inside] - start, MINUTES_A_SESSION - 1)
    return minute


def bar_of(times: pd.DatetimeIndex, minutes: int) -> np.ndarray:
    """Which bar of its day each time of an intraday calendar is, 0 the first of ``240 / minutes``: ``[times]``.

    Times stand for the end of a bar of ``minutes`` where 11:30 is among them, for its beginning where 13:00 is. The
    opening auction, from 9:15 on, belongs to the first bar, the closing auction to the last; nothing lies in the lunch
    break. Raises DataError for a calendar that names its bars in both ways or neither, for a time outside the
    sessions or between two bars, and for a half-hour of a day that is begun and not complete; a whole half-hour may be
    missing.
    """
    clock = (times.hour * 60 + times.minute).to_numpy()
    at_end, at_start = (clock == MORNING_END).any(), (clock == AFTERNOON).any()
    if at_end == at_start:
        raise DataError(
            f"Bars of {minutes} minutes are named by their end, the last of the morning 11:30, or by their beginning, "
            f"the first of the afternoon 13:00; this calendar has {'both' if at_end else 'neither'} of the two."
        )
    begin = clock - minutes if at_end else clock
    opening = (clock >= OPENING_AUCTION) & (begin < MORNING)
    closing = at_start & (clock == AFTERNOON_END)
    inside = ((begin >= MORNING) & (begin < MORNING_END)) | ((begin >= AFTERNOON) & (begin < AFTERNOON_END))
    trading = inside & (minute_of(begin) % minutes == 0)
    outside = ~(opening | closing | trading)
    if outside.any():
        raise DataError(
            f"{outside.sum()} times of the {minutes}-minute calendar are outside 9:30-11:30 and 13:00-15:00 or between "
            f"two bars of it, the first {times[outside][0]}. Leave such bars out of the provider."
        )
    minute = np.select([opening, closing], [0, MINUTES_A_DAY - 1], minute_of(begin))
    _refuse_incomplete(times[trading], minute[trading] // 30, minutes)
    return minute // minutes


def _refuse_incomplete(times: pd.DatetimeIndex, half_hour: np.ndarray, minutes: int) -> None:
    bars = pd.Series(1, pd.MultiIndex.from_arrays([times.normalize(), half_hour])).groupby(level=[0, 1]).sum()
    incomplete = bars[bars != 30 // minutes]
    if len(incomplete):
        day, place = incomplete.index[0]
        raise DataError(
            f"{len(incomplete)} half-hours of the {minutes}-minute calendar are incomplete, the first on "
            f"{day:%Y-%m-%d}: half-hour {place + 1} has {incomplete.iloc[0]} of {30 // minutes} bars. Complete the "
            "calendar, NaN where there are no bars, or leave the half-hour out."
        )

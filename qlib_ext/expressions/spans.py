"""When stocks are members of a universe: spans of days, by instrument."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from qlib_ext.cross_section.cells import by_row

Spans = dict[str, list[tuple[pd.Timestamp, pd.Timestamp]]]


def clip(times: Any, calendar: np.ndarray) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The parts of spans (start, end), None for open, that lie within the days of a calendar."""
    if not len(calendar):
        return []
    first, last = calendar[0], calendar[-1]
    clipped = [
        (
            first if start is None else max(pd.Timestamp(start), first),
            last if end is None else min(pd.Timestamp(end), last),
        )
        for start, end in times
    ]
    return [(start, end) for start, end in clipped if start <= end]


def earlier(calendar: pd.DatetimeIndex, day: pd.Timestamp, days: int) -> pd.Timestamp:
    """The trading day ``days`` before ``day``, the calendar's first where it begins later."""
    return calendar[max(calendar.searchsorted(day) - days, 0)]


def grid(spans: Spans, days: pd.DatetimeIndex, names: pd.Index) -> np.ndarray:
    """True where a day lies within one of the instrument's spans: ``[days, names]``."""
    member = np.zeros((len(days), len(names)), dtype=bool)
    for column, name in enumerate(names):
        for start, end in spans.get(name, ()):
            member[days.searchsorted(start) : days.searchsorted(end, side="right"), column] = True
    return member


def in_spans(index: pd.MultiIndex, spans: Spans) -> np.ndarray:
    """True for each row (datetime, instrument) that lies within one of its instrument's spans."""
    return by_row(index, lambda days, names: grid(spans, days, names))

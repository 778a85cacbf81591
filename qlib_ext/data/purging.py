"""Where a segment must end because its labels are known only later, and how far the labels of its days look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from qlib.data.dataset.handler import DataHandlerLP

from qlib_ext.data.segments import bounds_of


def trading_days(handler: Any) -> pd.DatetimeIndex:
    """The trading days of a handler's rows, ascending."""
    rows = handler.fetch(col_set="label", data_key=DataHandlerLP.DK_I)
    return pd.DatetimeIndex(rows.index.unique("datetime")).sort_values()


def last_known_day(days: pd.DatetimeIndex, border: pd.Timestamp, reach: int) -> pd.Timestamp:
    """The last of ``days`` whose label is known before ``border``; the day before all of them where there is none."""
    place = days.searchsorted(border) - reach - 1
    return days[place] if place >= 0 else days[0] - pd.Timedelta(days=1)


def labels_known_on(days: pd.DatetimeIndex, day: pd.Timestamp, reach: int) -> pd.Timestamp:
    """The last of ``days`` that labels look at whose last sample is of ``day``: ``reach`` days later, or the end."""
    place = days.searchsorted(day, side="right") - 1 + reach
    return days[min(max(place, 0), len(days) - 1)]


def next_start(segments: Mapping[str, Any], name: str) -> pd.Timestamp | None:
    """The first day of the segment that begins next after the end of another; None where there is none."""
    _, end = bounds_of(name, segments[name])
    starts = [start for start, _ in (bounds_of(other, segments[other]) for other in segments) if start is not None]
    return min((start for start in starts if end is not None and start > end), default=None)

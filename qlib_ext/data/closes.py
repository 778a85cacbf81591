"""On which days a stock has a close, and what that says of its membership."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.errors import DataError
from qlib_ext.expressions.engine import StockBars
from qlib_ext.expressions.spans import Spans, clip


def seasoned(spans: Spans, calendar: pd.DatetimeIndex, days: int) -> Spans:
    """The parts of the spans after a stock's first ``days`` closes; raises DataError where none is left."""
    left = {}
    for name, times in spans.items():
        closes = places_of_closes(name)
        if len(closes) and closes[0] == 0:
            left[name] = times
        elif len(closes) > days:
            left[name] = clip(times, calendar[closes[days] :])
    left = {name: times for name, times in left.items() if times}
    if not left:
        raise DataError(
            f"None of the {len(spans)} stocks has more than {days} closes; lower seasoned_days, or complete $close."
        )
    return left


def traded(spans: Spans, calendar: pd.DatetimeIndex) -> Spans:
    """The parts of the spans in which a stock has a close on every day."""
    parts: Spans = {}
    for name, times in spans.items():
        closes, runs = places_of_closes(name), []
        for start, end in times:
            inside = slice(
                *closes.searchsorted([calendar.searchsorted(start), calendar.searchsorted(end, side="right")])
            )
            runs += np.split(closes[inside], np.flatnonzero(np.diff(closes[inside]) > 1) + 1)
        parts[name] = [(calendar[run[0]], calendar[run[-1]]) for run in runs if len(run)]
    return parts


def places_of_closes(name: str) -> np.ndarray:
    """The places in the calendar of the days on which an instrument has a close."""
    bars = StockBars.read(name, ["close"])
    return bars.starts["$close"] + np.flatnonzero(~np.isnan(bars.values["$close"]))

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


def has_close(days: pd.DatetimeIndex, names: pd.Index, calendar: pd.DatetimeIndex) -> np.ndarray:
    """True where an instrument has a close on a day: ``[days, instruments]``."""
    on = np.zeros((len(calendar), len(names)), dtype=bool)
    for column, name in enumerate(names):
        on[places_of_closes(name), column] = True
    return on[calendar.get_indexer(days)]


def places_of_closes(name: str) -> np.ndarray:
    """The places in the calendar of the days on which an instrument has a close."""
    bars = StockBars.read(name, ["close"])
    return bars.starts["$close"] + np.flatnonzero(~np.isnan(bars.values["$close"]))

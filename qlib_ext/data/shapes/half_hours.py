"""The eight half-hours of a trading day and the bars that lie in them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.provider.sessions import bar_of

HALF_HOUR_FIELDS = ("open", "high", "low", "close", "amount")


def half_hours(times: pd.DatetimeIndex, minutes: int) -> np.ndarray:
    """The half-hour 0..7 of each time of an intraday calendar: ``[times]``; ``bar_of`` says what it refuses."""
    return bar_of(times, minutes) * minutes // 30


def fold(bars: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Join bars into longer ones: ``[stocks, times, k] -> [stocks, len(starts), k]``, each from its start to the next.

    Columns are open, high, low, close, then volume and amount or one of them: the first open, the highest high, the
    lowest low, the last close and the sums that are known; NaN where none is.
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
    joined = np.concatenate(folded, axis=2)  # [stocks, half-hours, k]
    joined[~np.logical_or.reduceat(known, starts, axis=1)] = np.nan
    return joined

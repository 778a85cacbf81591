"""Week and month bars the slow way: one stock, one bar at a time, with pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd

SIZES = {"day": 1, "week": 5, "month": 20}
PERIODS = {"week": "W", "month": "M"}


def slow_series(bars: pd.DataFrame, frequency: str, length: int, calendar: bool) -> np.ndarray:
    """The last bars of one frequency over the last of them, ``[length, 6]``.

    bars: open, high, low, close, vwap, volume of one stock on all trading days up to today.
    """
    if calendar and frequency != "day":
        period = bars.index.to_period(PERIODS[frequency])
        number = pd.factorize(period)[0]
    else:
        number = -(np.arange(len(bars))[::-1] // SIZES[frequency])
    series = np.full((length, 6), np.nan)
    for back in range(length):
        days = bars[number == number[-1] - back]
        days = days[(days > 0).all(axis=1)]
        if len(days):
            volume = days["volume"].sum()
            vwap = (days["vwap"] * days["volume"]).sum() / volume
            open_, close = days["open"].iloc[0], days["close"].iloc[-1]
            series[length - 1 - back] = [open_, days["high"].max(), days["low"].min(), close, vwap, volume]
    known = np.flatnonzero(~np.isnan(series[:, 0]))
    return series / series[known[-1]] if len(known) else series


def slow_frequencies(bars: pd.DataFrame, lengths: dict[str, int], calendar: bool) -> np.ndarray:
    """All series one after the other, ``[sum of lengths, 6]``."""
    return np.concatenate([slow_series(bars, name, length, calendar) for name, length in lengths.items()])

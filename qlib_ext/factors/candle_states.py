"""Candle states of daily bars: small whole numbers that say what a day looked like, beside the stock's own past.

Functions of frames [days, stocks] whose rows are a stock's own trading days, see ``own_days``; NaN until their window
is full. The value of day t is known at the close of t.
Source: Orient Securities, market microstructure series 32 (2026-01-28), which names the family G; which states are in
it is ours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from qlib_ext.factors.technical import roc

CANDLE_DAYS, CANDLE_BINS = 60, 5  # a candle's parts are compared with those of so many days, in so many classes
LIMIT = 0.095  # a day's return beyond which a close is taken for one at the limit


def candle_sign(open: pd.DataFrame, close: pd.DataFrame) -> pd.DataFrame:
    """0 where the close is below the open, 1 where it is the same, 2 above."""
    return np.sign(close - open) + 1


def body_state(open: pd.DataFrame, close: pd.DataFrame) -> pd.DataFrame:
    """In which fifth of its own 60 days ``|C - O| / C`` is, 0 the smallest."""
    return _class_of_own_days((close - open).abs() / close)


def upper_shadow_state(open: pd.DataFrame, close: pd.DataFrame, high: pd.DataFrame) -> pd.DataFrame:
    """In which fifth of its own 60 days ``(H - max(O, C)) / C`` is."""
    return _class_of_own_days((high - np.maximum(open, close)) / close)


def lower_shadow_state(open: pd.DataFrame, close: pd.DataFrame, low: pd.DataFrame) -> pd.DataFrame:
    """In which fifth of its own 60 days ``(min(O, C) - L) / C`` is."""
    return _class_of_own_days((np.minimum(open, close) - low) / close)


def gap_state(high: pd.DataFrame, low: pd.DataFrame) -> pd.DataFrame:
    """0 where the whole day lies below the day before, 2 where it lies above, else 1."""
    above, below = low > high.shift(1), high < low.shift(1)
    return (1.0 + above - below).where(high.shift(1).notna() & high.notna())


def volume_state(volume: pd.DataFrame) -> pd.DataFrame:
    """0 below the mean of 20 days less their standard deviation, 2 above it and one more, else 1."""
    window = volume.rolling(20)
    away = (volume - window.mean()) / window.std(ddof=0)
    return (1.0 + (away > 1) - (away < -1)).where(window.mean().notna())


def order_of_averages(close: pd.DataFrame) -> pd.DataFrame:
    """Which of the six orders the means of 5, 10 and 20 days are in: 5 where the shorter is the higher, 0 the lower."""
    short, middle, long = (close.rolling(days).mean() for days in (5, 10, 20))
    order = 2.0 * (1.0 * (short > middle) + (short > long)) + (middle > long)
    return order.where(long.notna())


def macd_zone(dif: pd.DataFrame, dea: pd.DataFrame) -> pd.DataFrame:
    """2 where DIF is above 0, and 1 more where it is above DEA."""
    return (2.0 * (dif > 0) + (dif > dea)).where(dif.notna())


def kdj_zone(k: pd.DataFrame) -> pd.DataFrame:
    """0 where K is below 0.2, 2 where it is above 0.8, else 1."""
    return _zone(k, 0.2, 0.8)


def rsi_zone(rsi14: pd.DataFrame) -> pd.DataFrame:
    """0 where the RSI of 14 days is below 0.3, 2 where it is above 0.7, else 1."""
    return _zone(rsi14, 0.3, 0.7)


def boll_zone(place: pd.DataFrame) -> pd.DataFrame:
    """0 below the lower band, 1 up to the mean, 2 up to the upper band, 3 above it, by %B."""
    return ((place > 0) * 1.0 + (place > 0.5) + (place > 1)).where(place.notna())


def extreme_state(high: pd.DataFrame, low: pd.DataFrame) -> pd.DataFrame:
    """2 where the high is the highest of 20 days, 3 of 60; 1 where the low is the lowest of 20 days, 0 of 60; else 4.

    A day that is both is taken for a high.
    """
    state = pd.DataFrame(4.0, high.index, high.columns)
    for days, value in ((20, 1.0), (60, 0.0)):
        state = state.mask(low <= low.rolling(days).min(), value)
    for days, value in ((20, 2.0), (60, 3.0)):
        state = state.mask(high >= high.rolling(days).max(), value)
    return state.where(high.rolling(60).max().notna())


def limit_state(close: pd.DataFrame) -> pd.DataFrame:
    """0 for a return below -9.5 %, 2 for one above 9.5 %, else 1."""
    return _zone(roc(close, 1), -LIMIT, LIMIT)


def _class_of_own_days(values: pd.DataFrame) -> pd.DataFrame:
    share = values.rolling(CANDLE_DAYS).rank(pct=True)  # ties share their mean
    return np.ceil(share * CANDLE_BINS - 1e-9) - 1


def _zone(values: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    return (1.0 + (values > high) - (values < low)).where(values.notna())


# how many values each state has, from 0 on
STATES: dict[str, tuple[Callable[..., pd.DataFrame], int]] = {
    "CANDLE": (candle_sign, 3),
    "BODY": (body_state, CANDLE_BINS),
    "UPPER_SHADOW": (upper_shadow_state, CANDLE_BINS),
    "LOWER_SHADOW": (lower_shadow_state, CANDLE_BINS),
    "GAP": (gap_state, 3),
    "VOLUME_STATE": (volume_state, 3),
    "AVERAGES": (order_of_averages, 6),
    "MACD_ZONE": (macd_zone, 4),
    "KDJ_ZONE": (kdj_zone, 3),
    "RSI_ZONE": (rsi_zone, 3),
    "BOLL_ZONE": (boll_zone, 4),
    "EXTREME": (extreme_state, 5),
    "LIMIT": (limit_state, 3),
}

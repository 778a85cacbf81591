"""Technical indicators of daily bars, over each stock's own trading days.

Each indicator is a function of frames [days, stocks] whose rows are a stock's own trading days, see ``own_days``.
What several of them read is an argument of that name, see ``SHARED``.
Prices are adjusted, volume is over factor, as in Qlib's provider. Indicators are ratios, so that stocks of any price
compare. The value of day t is known at the close of t; it is NaN until its window is full.

Definitions are those of TA-Lib where it has the indicator, the domestic textbook's where it has none (KDJ, PSY, VR).
Smoothed ones begin with their first value, where TA-Lib begins with a mean: the two meet within some windows.
Source: Orient Securities, market microstructure series 32 (2026-01-28), which names the family G; which indicators are
in it is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd


def ma_ratio(close: pd.DataFrame, days: int) -> pd.DataFrame:
    """``C / mean(C, n) - 1``, also called BIAS."""
    return close / close.rolling(days).mean() - 1


def ema_ratio(close: pd.DataFrame, days: int) -> pd.DataFrame:
    """``C / EMA(C, n) - 1``, ``EMA_t = EMA_{t-1} + 2 / (n + 1) (C_t - EMA_{t-1})``."""
    return close / ema(close, days) - 1


def macd_dif(close: pd.DataFrame) -> pd.DataFrame:
    """DIF: ``EMA(C, 12) - EMA(C, 26)``, in yuan."""
    return ema(close, 12) - ema(close, 26)


def macd_dea(dif: pd.DataFrame) -> pd.DataFrame:
    """DEA: ``EMA(DIF, 9)``, in yuan."""
    return ema(dif, 9)


def macd_line(close: pd.DataFrame, dif: pd.DataFrame) -> pd.DataFrame:
    """``DIF / C``."""
    return dif / close


def macd_signal(close: pd.DataFrame, dea: pd.DataFrame) -> pd.DataFrame:
    """``DEA / C``."""
    return dea / close


def macd_histogram(close: pd.DataFrame, dif: pd.DataFrame, dea: pd.DataFrame) -> pd.DataFrame:
    """``(DIF - DEA) / C``."""
    return (dif - dea) / close


def kdj_k(close: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame) -> pd.DataFrame:
    """``K_t = 2/3 K_{t-1} + 1/3 RSV_t``, ``RSV = (C - L9) / (H9 - L9)``, those of nine days; 0 to 1."""
    return wilder(_place_in_range(close, high, low, 9), 3)


def kdj_d(k: pd.DataFrame) -> pd.DataFrame:
    """``D_t = 2/3 D_{t-1} + 1/3 K_t``."""
    return wilder(k, 3)


def kdj_j(k: pd.DataFrame, d: pd.DataFrame) -> pd.DataFrame:
    """``J = 3 K - 2 D``."""
    return 3 * k - 2 * d


def rsi(close: pd.DataFrame, days: int) -> pd.DataFrame:
    """``U / (U + D)``, the rises and falls of the close, ``U_t = U_{t-1} + 1/n (max(dC, 0) - U_{t-1})``; 0 to 1."""
    change = close.diff()
    up, down = wilder(change.clip(lower=0), days), wilder(-change.clip(upper=0), days)
    return up / (up + down)


def cci(close: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame, days: int = 14) -> pd.DataFrame:
    """``(P - mean P) / (0.015 mean |P - mean P|) / 100``, ``P = (H + L + C) / 3``, means over n days."""
    price = (high + low + close) / 3
    mean = price.rolling(days).mean()
    away = sum((price.shift(back) - mean).abs() for back in range(days)) / days
    return (price - mean) / (1.5 * away).where(away > 0)


def williams_r(close: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame, days: int = 14) -> pd.DataFrame:
    """``(H_n - C) / (H_n - L_n)``, the highest and lowest of n days; 0 to 1."""
    return 1 - _place_in_range(close, high, low, days)


def atr(close: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame, days: int = 14) -> pd.DataFrame:
    """The smoothed true range over the close, ``TR = max(H, C_{t-1}) - min(L, C_{t-1})``."""
    return wilder(_true_range(close, high, low), days) / close


def dmi(close: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame, days: int = 14) -> pd.DataFrame:
    """``(DI+ - DI-)``, the smoothed upward moves of the high less the downward ones of the low, over the true range."""
    up, down = _directions(close, high, low, days)
    return up - down


def adx(close: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame, days: int = 14) -> pd.DataFrame:
    """The smoothed ``|DI+ - DI-| / (DI+ + DI-)``; 0 to 1."""
    up, down = _directions(close, high, low, days)
    total = up + down
    return wilder((up - down).abs() / total.where(total > 0), days)


def boll_width(close: pd.DataFrame, days: int = 20) -> pd.DataFrame:
    """``4 s / mean C``, s the standard deviation over n days, divided by n."""
    return 4 * close.rolling(days).std(ddof=0) / close.rolling(days).mean()


def boll_place(close: pd.DataFrame, days: int = 20) -> pd.DataFrame:
    """%B, ``(C - (m - 2 s)) / (4 s)``: 0 at the lower band, 1 at the upper."""
    s = close.rolling(days).std(ddof=0)
    return (close - close.rolling(days).mean()) / (4 * s).where(s > 1e-9 * close) + 0.5


def obv_change(close: pd.DataFrame, volume: pd.DataFrame, days: int = 20) -> pd.DataFrame:
    """``sum(sign(dC) V) / sum V``: how OBV has moved in n days, over their volume; -1 to 1."""
    return (np.sign(close.diff()) * volume).rolling(days).sum() / volume.rolling(days).sum()


def mfi(
    close: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame, volume: pd.DataFrame, days: int = 14
) -> pd.DataFrame:
    """``F+ / (F+ + F-)``, the sums of P V over n days on which ``P = (H + L + C) / 3`` rose, and fell; 0 to 1."""
    price = (high + low + close) / 3
    change, flow = price.diff(), price * volume
    up = flow.where(change > 0, 0.0).where(change.notna()).rolling(days).sum()
    down = flow.where(change < 0, 0.0).where(change.notna()).rolling(days).sum()
    return up / (up + down).where(up + down > 0)


def roc(close: pd.DataFrame, days: int) -> pd.DataFrame:
    """``C_t / C_{t-n} - 1``."""
    return close / close.shift(days) - 1


def trix(close: pd.DataFrame, days: int = 12) -> pd.DataFrame:
    """The return of a day of the close smoothed three times, ``EMA(EMA(EMA(C, n), n), n)``."""
    smooth = ema(ema(ema(close, days), days), days)
    return smooth / smooth.shift(1) - 1


def psy(close: pd.DataFrame, days: int = 12) -> pd.DataFrame:
    """The share of n days on which the close rose."""
    change = close.diff()
    return (change > 0).astype(float).where(change.notna()).rolling(days).mean()


def vr(close: pd.DataFrame, volume: pd.DataFrame, days: int = 26) -> pd.DataFrame:
    """``V+ / (V+ + V-)``, the volume of n days on which the close rose, and fell, a level day's halved; 0 to 1.

    The textbook's V+ / V- is without a bound.
    """
    return (1 + obv_change(close, volume, days)) / 2


def volume_ratio(volume: pd.DataFrame, days: int) -> pd.DataFrame:
    """``V / mean(V, n) - 1``."""
    return ma_ratio(volume, days)


def ema(values: pd.DataFrame, days: int) -> pd.DataFrame:
    return values.ewm(span=days, adjust=False, min_periods=days).mean()


def wilder(values: pd.DataFrame, days: int) -> pd.DataFrame:
    """``S_t = S_{t-1} + 1/n (x_t - S_{t-1})``."""
    return values.ewm(alpha=1 / days, adjust=False, min_periods=days).mean()


def _place_in_range(close: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame, days: int) -> pd.DataFrame:
    highest, lowest = high.rolling(days).max(), low.rolling(days).min()
    reach = highest - lowest
    return ((close - lowest) / reach.where(reach > 0)).where((reach > 0) | reach.isna(), 0.5)


def _true_range(close: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame) -> pd.DataFrame:
    before = close.shift(1)
    return np.maximum(high, before) - np.minimum(low, before)


def _directions(
    close: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame, days: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    up, down = high.diff(), -low.diff()
    rises = up.where((up > down) & (up > 0), 0.0).where(up.notna())
    falls = down.where((down > up) & (down > 0), 0.0).where(down.notna())
    reach = wilder(_true_range(close, high, low), days)
    return wilder(rises, days) / reach.where(reach > 0), wilder(falls, days) / reach.where(reach > 0)


# what several indicators and states read, by the name of their argument
SHARED: dict[str, Callable[..., pd.DataFrame]] = {
    "dif": macd_dif,
    "dea": macd_dea,
    "k": kdj_k,
    "d": kdj_d,
    "rsi14": partial(rsi, days=14),
    "place": boll_place,
}
INDICATORS: dict[str, Callable[..., pd.DataFrame]] = {
    **{f"MA{days}": partial(ma_ratio, days=days) for days in (5, 10, 20, 60, 120)},
    **{f"EMA{days}": partial(ema_ratio, days=days) for days in (12, 26)},
    "MACD_DIF": macd_line,
    "MACD_DEA": macd_signal,
    "MACD": macd_histogram,
    "KDJ_K": kdj_k,
    "KDJ_D": kdj_d,
    "KDJ_J": kdj_j,
    "RSI6": partial(rsi, days=6),
    "RSI14": SHARED["rsi14"],
    "RSI24": partial(rsi, days=24),
    "CCI": cci,
    "WR": williams_r,
    "ATR": atr,
    "DMI": dmi,
    "ADX": adx,
    "BOLL_WIDTH": boll_width,
    "BOLL_PLACE": boll_place,
    "OBV": obv_change,
    "MFI": mfi,
    **{f"ROC{days}": partial(roc, days=days) for days in (1, 5, 10, 20)},
    "TRIX": trix,
    "PSY": psy,
    "VR": vr,
    **{f"VOLUME{days}": partial(volume_ratio, days=days) for days in (5, 20)},
}

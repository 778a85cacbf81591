"""The common price-volume factors of daily bars, to which scores are compared.

Each is a function of fields named as in Qlib's provider (adjusted prices; volume over factor; turnover a fraction of
the float shares), frames [days, stocks] by all trading days, NaN on days a stock does not trade, and returns a frame of
the same shape. The value of day t is known at the close of t. Windows are trading days of the market; half of one is
enough, with less the factor is NaN.

Source: Orient Securities, factor selection series 96 (2023-08-24), table 14, which names each factor in a few words;
SIZE, AMOUNT20, TURNOVER20 and BETA: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibit 56,
which only names them. What a docstring adds to its formula after "ours:" is in neither report.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature

import numpy as np
import pandas as pd

LONGEST_WINDOW = 243  # trading days before a day that its factors read, but for the fading memory of DWF
LISTED, HALF_LIFE = 100, 10
LARGEST_TURNOVER = 0.99


def _rolling(values: pd.DataFrame, window: int) -> pd.api.typing.Rolling:
    return values.rolling(window, min_periods=window // 2)


def daily_return(close: pd.DataFrame) -> pd.DataFrame:
    """``r_t = C_t / C_s - 1``, s the stock's last trading day before t; NaN on days without trading."""
    return close / close.ffill().shift(1) - 1


def vol20(close: pd.DataFrame) -> pd.DataFrame:
    """VOL20, volatility of 20 days: ``std(r_{t-19..t})``; ours: n - 1, close-to-close, not annualised."""
    return _rolling(daily_return(close), 20).std()


def ret20(close: pd.DataFrame) -> pd.DataFrame:
    """RET20, return of 20 days: ``C_t / C_{t-20} - 1``; a suspended stock carries its last close."""
    carried = close.ffill()
    return carried / carried.shift(20) - 1


def ppreversal(vwap: pd.DataFrame) -> pd.DataFrame:
    """PPREVERSAL: ``mean(P_{t-4..t}) / mean(P_{t-59..t}) - 1``; ours: P is the day's average price."""
    return _rolling(vwap, 5).mean() / _rolling(vwap, 60).mean() - 1


def cgo60(close: pd.DataFrame, vwap: pd.DataFrame, turnover: pd.DataFrame) -> pd.DataFrame:
    """CGO60, capital gains overhang: ``C_t / R_t - 1``, R the price at which 60 days' buyers hold, by turnover V.

    Ours: ``R_t = sum_{n=0}^{59} w_n P_{t-n} / sum_n w_n``, ``w_n = V_{t-n} prod_{m=0}^{n-1} (1 - V_{t-m})`` with the
    average price P: of the shares sold n days ago, the part that has not been sold since (Grinblatt and Han, 2005).
    Turnover is cut at 0.99; the weights sum to ``1 - D_t``, ``D_t = prod_{m=0}^{59} (1 - V_{t-m})``.
    """
    v = turnover.where(vwap.notna()).fillna(0).clip(0, LARGEST_TURNOVER).to_numpy()
    spent = v * vwap.fillna(0).to_numpy()
    cost = np.zeros_like(v)  # the sum of w_n P over all of the past, by cost_t = (1 - V_t) cost_{t-1} + V_t P_t
    for day in range(len(v)):
        cost[day] = spent[day] + (1 - v[day]) * cost[day - 1] if day else spent[day]
    kept = np.log1p(-v).cumsum(axis=0)
    cost, kept = (pd.DataFrame(values, close.index, close.columns) for values in (cost, kept))
    kept = np.exp(kept - kept.shift(60, fill_value=0))
    reference = (cost - kept * cost.shift(60, fill_value=0)) / (1 - kept).where(kept < 1)
    enough = turnover.notna().rolling(60, min_periods=1).sum() >= 30
    return (close.ffill() / reference - 1).where(enough)


def p2high(close: pd.DataFrame, high: pd.DataFrame) -> pd.DataFrame:
    """P2HIGH: ``C_t / max(H_{t-242..t})``."""
    return close.ffill() / _rolling(high, 243).max()


def avgamt_20_60(vwap: pd.DataFrame, volume: pd.DataFrame) -> pd.DataFrame:
    """AVGAMT_20_60: ``mean(A_{t-19..t}) / mean(A_{t-59..t})``, A = vwap volume, the day's amount in yuan.

    Ours: days without trading do not count in either mean.
    """
    amount = vwap * volume
    return _rolling(amount, 20).mean() / _rolling(amount, 60).mean()


def dwf(close: pd.DataFrame) -> pd.DataFrame:
    """DWF: how often the stock was one of the day's N = 100 best, with a half-life of 10 days.

    Ours: ``sum_k d^k W_{t-k} / sum_k d^k`` with ``d = 0.5^(1/10)`` and W_t = 1 where the return of day t is one of the
    100 highest of all columns, so give it the whole market; back to the first row. NaN before the stock's first close.
    """
    gain = daily_return(close).fillna(-np.inf).to_numpy()
    best = max(gain.shape[1] - LISTED, 0)
    last = np.partition(gain, best, axis=1)[:, best : best + 1]
    won = pd.DataFrame((gain >= last) & (gain > -np.inf), close.index, close.columns, dtype=float)
    return won.ewm(halflife=HALF_LIFE).mean().where(close.ffill().notna())


def maxret20(close: pd.DataFrame) -> pd.DataFrame:
    """MAXRET20: the mean of the 3 highest daily returns of 20 days."""
    gain = daily_return(close)
    lagged = gain.fillna(-np.inf).to_numpy()
    highest = np.full((3, *gain.shape), -np.inf)
    for lag in range(20):
        new = lagged[: len(lagged) - lag]
        for place in highest[:, lag:]:
            place[:], new = np.maximum(place, new), np.minimum(place, new)
    enough = gain.notna().rolling(20, min_periods=1).sum() >= 10
    return pd.DataFrame(highest.mean(axis=0), gain.index, gain.columns).where(enough)


def mom_20d_120d(close: pd.DataFrame) -> pd.DataFrame:
    """mom_20d_120d: the return of 120 days without the last 20, ``C_{t-20} / C_{t-120} - 1``."""
    carried = close.ffill()
    return carried.shift(20) / carried.shift(120) - 1


def size(float_mv: pd.DataFrame) -> pd.DataFrame:
    """SIZE: the float market value, in yuan; a suspended stock keeps its own."""
    return float_mv


def amount20(vwap: pd.DataFrame, volume: pd.DataFrame) -> pd.DataFrame:
    """AMOUNT20: ``mean(A_{t-19..t})``, A = vwap volume, the day's amount in yuan; ours: the 20 days."""
    return _rolling(vwap * volume, 20).mean()


def turnover20(turnover: pd.DataFrame) -> pd.DataFrame:
    """TURNOVER20: ``mean(V_{t-19..t})``, V the day's turnover; ours: the 20 days."""
    return _rolling(turnover, 20).mean()


def beta(close: pd.DataFrame) -> pd.DataFrame:
    """BETA: ``cov(r, m) / var(m)`` over 242 days, m the mean daily return of these stocks; ours: the days, and m."""
    gain = daily_return(close)
    market = gain.mul(0.0).add(gain.mean(axis=1), axis=0)  # on the stock's own days
    own, common = _rolling(gain, 242).mean(), _rolling(market, 242).mean()
    covariance = _rolling(gain * market, 242).mean() - own * common
    return covariance / (_rolling(market**2, 242).mean() - common**2)


DAY_STYLES: dict[str, Callable[..., pd.DataFrame]] = {
    "VOL20": vol20,
    "RET20": ret20,
    "PPREVERSAL": ppreversal,
    "CGO60": cgo60,
    "P2HIGH": p2high,
    "AVGAMT_20_60": avgamt_20_60,
    "DWF": dwf,
    "MAXRET20": maxret20,
    "mom_20d_120d": mom_20d_120d,
    "SIZE": size,
    "AMOUNT20": amount20,
    "TURNOVER20": turnover20,
    "BETA": beta,
}


def fields_of(style: Callable) -> list[str]:
    """The fields that a style reads, which are the names of its arguments."""
    return list(signature(style).parameters)

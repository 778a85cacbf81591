"""The common factors of minute bars, to which scores are compared; each is made of one day's bars alone.

Each is a function of arrays [days, bars, stocks] of a complete trading day (see ``complete``) and returns
[days, stocks]. Bars may be of 1, 5, 15 or 30 minutes, so that eight equal parts of the day are its eight half hours.
NaN on a day without trading.

Source: Orient Securities, factor selection series 96 (2023-08-24), table 14, which names each factor in a few words;
what a docstring adds to its formula after "ours:" is not in the report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from qlib_ext.errors import DataError
from qlib_ext.provider.sessions import HALF_HOURS

Bars = NDArray[np.float64]
EXTREME = 1.96


def complete(bars: Mapping[str, Bars]) -> dict[str, Bars]:
    """Bars without holes, with their returns, from open, high, low, close, volume and amount as the provider has them.

    A bar without a trade (NaN) has volume and amount 0 and carries the close before it, the day's first open before
    the first one; all is NaN on a day without volume. Added: ``returns_b = log(C_b / C_{b-1})``, the first against the
    day's first open, so that no return is overnight.

    Raises DataError where the number of bars a day is no multiple of eight.
    """
    count = bars["close"].shape[1]
    if count % HALF_HOURS:
        raise DataError(f"A day has {count} bars; the eight half hours of a day ask for 8, 16, 48 or 240.")
    traded = np.nansum(bars["volume"], axis=1, keepdims=True) > 0
    close, first = bars["close"].copy(), bars["open"][:, -1]
    for bar in range(1, count):
        close[:, bar] = np.where(np.isnan(close[:, bar]), close[:, bar - 1], close[:, bar])
    for bar in reversed(range(count - 1)):
        first = np.where(np.isnan(bars["open"][:, bar]), first, bars["open"][:, bar])
    close = np.where(np.isnan(close), first[:, None], close)
    before = np.concatenate([first[:, None], close[:, :-1]], axis=1)
    flows = {name: np.where(traded, np.nan_to_num(bars[name]), np.nan) for name in ("volume", "amount")}
    return flows | {
        "close": np.where(traded, close, np.nan),
        "high": np.where(traded, np.fmax(np.nan_to_num(bars["high"], nan=-np.inf), close), np.nan),
        "low": np.where(traded, np.fmin(np.nan_to_num(bars["low"], nan=np.inf), close), np.nan),
        "returns": np.where(traded, np.log(close / before), np.nan),
    }


def _ratio(part: Bars, whole: Bars) -> Bars:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def rvol(returns: Bars) -> Bars:
    """rvol, volatility within the day; ours: the realised one, ``sqrt(sum_b r_b^2)`` of log returns."""
    return np.sqrt((returns**2).sum(1))


def rskew(returns: Bars) -> Bars:
    """rskew, skewness within the day; ours: the realised one, ``sqrt(B) sum r^3 / (sum r^2)^(3/2)``, B bars.

    Source of the formula: Amaya, Christoffersen, Jacobs and Vasquez, 2015.
    """
    return _ratio(np.sqrt(returns.shape[1]) * (returns**3).sum(1), (returns**2).sum(1) ** 1.5)


def rkurt(returns: Bars) -> Bars:
    """rkurt, kurtosis within the day; ours: the realised one, ``B sum r^4 / (sum r^2)^2`` (as rskew)."""
    return _ratio(returns.shape[1] * (returns**4).sum(1), (returns**2).sum(1) ** 2)


def vhhi(volume: Bars) -> Bars:
    """vhhi, Herfindahl index of the day's volume: ``sum_b (v_b / sum v)^2``, 1/B where it is spread evenly."""
    return (volume**2).sum(1) / volume.sum(1) ** 2


def vvol(volume: Bars) -> Bars:
    """vvol, volatility of the volume over the day's volume: ``std_b(v) / sum v``; ours: n - 1.

    It rises and falls with vhhi, ``vvol^2 = (vhhi - 1/B) / (B - 1)``: their rank correlations with a score are equal.
    """
    return volume.std(1, ddof=1) / volume.sum(1)


def cvpct(volume: Bars) -> Bars:
    """cvpct: the share of the last half hour in the day's volume."""
    return volume[:, -(volume.shape[1] // HALF_HOURS) :].sum(1) / volume.sum(1)


def ovpct(volume: Bars) -> Bars:
    """ovpct: the share of the first half hour in the day's volume."""
    return volume[:, : volume.shape[1] // HALF_HOURS].sum(1) / volume.sum(1)


def rjump(returns: Bars) -> Bars:
    """rjump, extreme returns within the day; ours: ``sum_b r_b 1[|r_b - mean r| > 1.96 std r]``, std over n."""
    centred = returns - returns.mean(1, keepdims=True)
    extreme = np.abs(centred) > EXTREME * returns.std(1, keepdims=True)
    return np.where(np.isnan(returns), np.nan, returns * extreme).sum(1)


def cret(returns: Bars) -> Bars:
    """cret: the log return of the last half hour."""
    return returns[:, -(returns.shape[1] // HALF_HOURS) :].sum(1)


def apb(close: Bars, volume: Bars, amount: Bars) -> Bars:
    """apb: ``1000 log(TWAP / VWAP)``, VWAP = amount / volume of the day; ours: TWAP is the mean of the bars' closes.

    Prices and amount / volume must be adjusted alike, as Qlib's are where volume is divided by the factor.
    """
    return 1e3 * np.log(close.mean(1) * volume.sum(1) / amount.sum(1))


def arpp(close: Bars, high: Bars, low: Bars) -> Bars:
    """arpp: ``(TWAP - L) / (H - L)``, H and L the day's; NaN where they are equal; ours: TWAP as in apb."""
    lowest = low.min(1)
    return _ratio(close.mean(1) - lowest, high.max(1) - lowest)


MINUTE_STYLES: dict[str, Callable[..., Bars]] = {
    function.__name__: function for function in (rvol, rskew, rkurt, vhhi, vvol, cvpct, rjump, ovpct, cret, apb, arpp)
}

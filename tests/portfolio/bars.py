"""A provider made by hand: bars whose every price is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from qlib_ext.provider.writer import write_provider
from qlib_ext.simulator.listing import trading_days

CLOSED = "closed"  # a day on which a stock is suspended


def write_bars(
    folder: Path,
    start: str,
    prices: dict[str, list],
    listed: dict[str, int] | None = None,
    edit: dict[str, Callable] | None = None,
) -> Path:
    """A provider of closes in yuan as traded, stock -> [days]; a day is a close, (high, low, close), or CLOSED.

    The average price is that of high, low and close; the factor is 2 on all days. Stocks of ``listed`` begin at that
    place of the calendar, all others on its first day. ``edit`` changes a stock's frame of fields.
    """
    days = trading_days(start, max(map(len, prices.values())))

    def frames():
        for stock, closes in prices.items():
            bars = pd.DataFrame([bar_of(close) for close in closes], days, ["high", "low", "close"])
            bars["vwap"] = bars.mean(axis=1)
            bars["change"] = bars["close"] / bars["close"].ffill().shift() - 1
            bars[["high", "low", "close", "vwap"]] *= 2
            bars["volume"], bars["factor"] = np.where(bars["close"].notna(), 1e6, np.nan), 2.0
            bars = (edit or {}).get(stock, lambda frame: frame)(bars)
            yield stock, bars.iloc[(listed or {}).get(stock, 0) :]

    spans = [(stock, days[(listed or {}).get(stock, 0)], days[-1]) for stock in prices]
    return write_provider(folder, days, frames(), {"all": spans})


def bar_of(close) -> tuple[float, float, float]:
    if close == CLOSED:
        return (np.nan,) * 3
    return close if isinstance(close, tuple) else (close * 1.01, close * 0.99, close)

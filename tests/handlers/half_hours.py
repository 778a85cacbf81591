"""Intraday bars of the small market, and the slow way from them to a day's image."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from qlib_ext.provider.writer import add_frequency
from qlib_ext.simulator.simulate import Market

FIRST, LAST = "2015-04-20", "2015-07-31"
MINUTES = (30, 15, 5, 1)
ENDS = [pd.Timedelta(hours=h / 2) for h in (20, 21, 22, 23, 27, 28, 29, 30)]  # 10:00 to 11:30, 13:30 to 15:00


def clock(minutes: int, auctions: bool = False) -> list[pd.Timedelta]:
    """The ends of a day's bars, with the opening auction as a bar of its own where that is asked for."""
    times = [end - pd.Timedelta(minutes=m) for end in ENDS for m in range(30 - minutes, -1, -minutes)]
    return [pd.Timedelta("09:25:00"), *times] if auctions else times


def bars_of(market: Market, stock: int, times: list[pd.Timedelta], random: np.random.Generator) -> pd.DataFrame:
    """Bars of a stock's trading days, as traded; some have nothing known, one day in ten has no bar at all."""
    days = [day for day in range(len(market.calendar)) if FIRST <= str(market.calendar[day].date()) <= LAST]
    frames = []
    for day in days:
        raw = {
            name: market.fields[name][day, stock] / market.fields["factor"][day, stock] for name in ("open", "close")
        }
        if np.isnan(raw["close"]) or random.random() < 0.1:
            continue
        close = np.linspace(raw["open"], raw["close"], len(times) + 1)[1:] * random.uniform(0.99, 1.01, len(times))
        close[-1] = raw["close"]
        open_ = np.append(raw["open"], close[:-1])
        high = np.maximum(open_, close) * random.uniform(1, 1.01, len(times))
        low = np.minimum(open_, close) * random.uniform(0.99, 1, len(times))
        amount = random.uniform(1e5, 1e6, len(times))
        bars = np.array([open_, high, low, close, amount]).T
        bars[:-1][random.random(len(times) - 1) < 0.2] = np.nan
        index = market.calendar[day] + pd.TimedeltaIndex(times)
        frames.append(pd.DataFrame(bars, index, ["open", "high", "low", "close", "amount"], dtype="f4"))
    return pd.concat(frames)


def write(
    folder: Path, small: tuple[Path, Market], minutes: int, start_named: bool = False, adjusted: bool = False, **more
) -> dict[str, pd.DataFrame]:
    """A copy of the small market with intraday bars; the bars as traded, by stock, each named by its end."""
    source, market = small
    shutil.copytree(source, folder)
    random, times = np.random.default_rng(minutes), clock(minutes, **more)
    listed = market.listed[market.calendar.slice_indexer(FIRST, LAST)].all(axis=0)
    bars = {market.symbols[i]: bars_of(market, i, times, random) for i in np.flatnonzero(listed)}
    calendar = pd.DatetimeIndex(
        [day + time for day in market.calendar[market.calendar.slice_indexer(FIRST, LAST)] for time in times]
    )
    shift = pd.Timedelta(minutes=minutes if start_named else 0)
    factor = pd.DataFrame(market.fields["factor"], market.calendar, market.symbols)

    def stored(name: str) -> pd.DataFrame:
        frame = bars[name].copy()
        if adjusted:
            scale = factor[name].reindex(frame.index.normalize()).to_numpy()
            frame.iloc[:, :4] = frame.iloc[:, :4].mul(scale, axis=0).astype("f4")
        frame.index -= shift
        return frame

    add_frequency(folder, calendar - shift, ((name, stored(name)) for name in bars), f"{minutes}min")
    return bars


def slow_image(market: Market, bars: pd.DataFrame, stock: int, day: int) -> np.ndarray:
    """One stock's day, ``[5, 8]``, from bars as traded that are named by their ends."""
    factor, close = market.fields["factor"][day, stock], market.fields["close"][:day, stock]
    before = close[~np.isnan(close)][-1]
    float_mv = market.fields["float_mv"][day, stock]
    image = np.full((5, 8), np.nan)
    for half, end in enumerate(ENDS):
        last = market.calendar[day] + end
        first = market.calendar[day] if half == 0 else last - pd.Timedelta(minutes=30)  # with the opening auction
        own = bars[(bars.index > first) & (bars.index <= last)].dropna()
        if len(own):
            prices = [own["open"].iloc[0], own["high"].max(), own["low"].min(), own["close"].iloc[-1]]
            image[:, half] = [*(price * factor / before for price in prices), own["amount"].sum() / float_mv]
    return image

"""What is settled before the first trade: the calendar, and each stock's listing and corporate actions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import ConfigError

_HOLIDAYS = {(1, 1), *((2, day) for day in range(8, 15)), (5, 1), *((10, day) for day in range(1, 8))}
_LATE = 0.1  # share of the stocks that list after the first day
_SUSPENSION, _SPLIT, _DIVIDEND = 1 / 400, 1 / 500, 1 / 250  # chance a day
_LONGEST_SUSPENSION = 20  # days


@dataclass(frozen=True)
class Listing:
    """The stocks of a market and what happens to them; arrays are [days, stocks].

    listed    from the first to the last day in the market
    trading   listed and not suspended
    industry  code 1, 2, ...; two stocks change theirs in mid-sample
    split     new shares for one old share from this day on, 1.0 on most days; a cheap stock does not follow it
    dividend  yield paid on this day, a fraction of the last close, 0.0 on most days
    """

    calendar: pd.DatetimeIndex
    symbols: list[str]
    listed: NDArray[np.bool_]
    trading: NDArray[np.bool_]
    industry: NDArray[np.int64]
    split: NDArray[np.float64]
    dividend: NDArray[np.float64]


def trading_days(start: str, days: int) -> pd.DatetimeIndex:
    """Return the first ``days`` weekdays from ``start`` that are no holiday (1 Jan, 8-14 Feb, 1 May, 1-7 Oct).

    Raises ConfigError when ``start`` is no date.
    """
    first = pd.to_datetime(start, errors="coerce")
    if pd.isna(first):
        raise ConfigError(f"The start {start!r} is no date. Write it as 2014-09-01.")
    weekdays = pd.bdate_range(first, periods=days + days // 10 + 20)
    return weekdays[[(day.month, day.day) not in _HOLIDAYS for day in weekdays]][:days]


def draw_listing(stocks: int, days: int, start: str, rng: np.random.Generator) -> Listing:
    """Draw names, listings, suspensions, industries, splits and dividends of a market.

    A tenth of the stocks lists between 20 % and 70 % of the sample, one leaves at 80 % of it. One industry for
    ten stocks, at least two and at most 28.
    """
    shape = (days, stocks)
    day = np.arange(days)[:, None]
    shuffled = rng.permutation(stocks)
    n_late = max(1, int(_LATE * stocks))
    late, leaver, movers = shuffled[:n_late], shuffled[n_late], shuffled[n_late + 1 : n_late + 3]
    first, last = np.zeros(stocks, dtype=int), np.full(stocks, days - 1)
    first[late] = rng.integers(int(0.2 * days), int(0.7 * days), n_late)
    last[leaver] = int(0.8 * days)
    listed = (first <= day) & (day <= last)

    lengths = np.where(rng.random(shape) < _SUSPENSION, rng.integers(1, _LONGEST_SUSPENSION + 1, shape), 0)
    resumes = np.maximum.accumulate(day + lengths, axis=0)
    # the first and the last day trade, so that every bar file begins and ends with a price
    trading = listed & ((resumes <= day) | (day == first) | (day == last))

    n_industries = int(np.clip(stocks // 10, 2, 28))
    industry = np.tile(rng.permutation(np.arange(stocks) % n_industries + 1), (days, 1))
    industry[days // 2 :, movers] = industry[0, movers] % n_industries + 1

    split = np.where(rng.random(shape) < _SPLIT, rng.choice([1.5, 2.0], shape), 1.0)
    dividend = np.where(rng.random(shape) < _DIVIDEND, rng.uniform(0.01, 0.03, shape), 0.0)
    # what falls on a day without trading never happens: the price could not follow
    happens = trading & (day > first)
    half = (stocks + 1) // 2
    return Listing(
        calendar=trading_days(start, days),
        symbols=[f"SH{600001 + i}" for i in range(half)] + [f"SZ{1 + i:06d}" for i in range(stocks - half)],
        listed=listed,
        trading=trading,
        industry=industry,
        split=np.where(happens, split, 1.0),
        dividend=np.where(happens, dividend, 0.0),
    )

"""The trading of the simulated market: one day after another, all stocks at once; formulas in simulate.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlib_ext.simulator.listing import Listing

_REVERSAL, _REVERSAL_DECAY = 0.0014, 0.7
_VOLATILITY, _VOLATILITY_DECAY = 0.0006, 0.94
_MOMENTUM, _MOMENTUM_DAYS, _MOMENTUM_SKIP = 0.0006, 120, 20  # of the 120 days, without the last 20
_LEAD, _LEAD_DECAY = 0.0008, 0.8
VWAP = 0.5  # how far of the day's return the average price has come
# how much of each part is still expected one day on
KEPT = {"reversal": _REVERSAL_DECAY, "volatility": 1.0, "momentum": 1.0, "lead_lag": _LEAD_DECAY, "accruals": 1.0}

_MARKET, _DRIFT, _INDUSTRY = 0.011, 0.0003, 0.003  # daily standard deviations and mean of the factors
_ARCH, _GARCH = 0.08, 0.90
_JUMP, _JUMP_SIZE = 0.004, 0.06  # chance a day, standard deviation
_LIMIT = 0.10
_FLOOR = 100.0  # fen: no stock trades below one yuan
_SPLIT_FROM = 1000.0  # fen: no stock splits that is cheap already

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trades:
    """What trading left behind, [days, stocks]: bars in Qlib's convention and the planted parts of the label.

    bars   field -> values; float_mv and factor carry on through a suspension, the others are NaN then
    parts  "reversal", "volatility", "momentum", "lead_lag", and "accruals" where these are planted -> expected label, a
           fraction, known at the close of the day
    """

    bars: dict[str, Array]
    parts: dict[str, Array]
    issue_mv: Array  # [stocks] float market value before the first day, yuan


class _Book:
    """The state of all stocks between two days; one value a stock."""

    def __init__(self, stocks: int, rng: np.random.Generator) -> None:
        self.base = 0.017 * np.exp(0.25 * rng.standard_normal(stocks))  # daily volatility, a fraction
        self.beta = 1 + 0.2 * rng.standard_normal(stocks)
        self.liquidity = 0.015 * np.exp(0.4 * rng.standard_normal(stocks))  # usual turnover, a fraction
        self.close = np.round(np.exp(rng.uniform(np.log(800), np.log(6000), stocks)))  # fen, as traded
        self.shares = np.round(2e8 * np.exp(rng.standard_normal(stocks)), -4)  # free float
        self.factor = np.ones(stocks)
        self.variance = self.base**2  # of the next own shock, GARCH(1, 1)
        self.recent = self.base**2  # of the relative return as seen, moving average
        self.trend = np.zeros(stocks)  # of the relative return as seen, moving average
        self.path = np.zeros((_MOMENTUM_DAYS + 1, stocks))  # the relative return as seen, added up; today the last row
        self.news = np.zeros(stocks)  # of the own shocks of the industry's other stocks, moving average
        self.expected = np.zeros(stocks)  # planted part of the next day's return

    @property
    def float_mv(self) -> Array:
        return self.close / 100 * self.shares

    @property
    def sigma(self) -> Array:
        return np.sqrt(self.variance)


def trade(listing: Listing, rng: np.random.Generator, planted: Mapping[str, Array]) -> Trades:
    """Let the stocks of a listing trade through its calendar.

    planted  further parts of the return, by name: [days, stocks], what each day's close lets expect of the next day
    """
    days, stocks = listing.listed.shape
    book = _Book(stocks, rng)
    issue_mv = book.float_mv
    noise = rng.standard_normal((days, 6, stocks))
    jumps = _JUMP_SIZE * rng.standard_normal((days, stocks)) * (rng.random((days, stocks)) < _JUMP)
    market = _DRIFT + _MARKET * rng.standard_normal((days, 1))
    groups = _INDUSTRY * rng.standard_normal((days, int(listing.industry.max()) + 1))
    bars: list[dict[str, Array]] = []
    parts: list[dict[str, Array]] = []
    for t in range(days):
        on, group = listing.trading[t], listing.industry[t]
        weight = np.where(on, np.sqrt(book.float_mv), 0.0)
        common = book.beta * market[t] + groups[t, group] + book.expected
        wanted = common + book.sigma * noise[t, 0] + jumps[t]
        bar, change = _fill(book, on, wanted, noise[t], listing.split[t], listing.dividend[t])
        surprise = np.clip((change - common) / book.sigma, -3, 3)
        bars.append(bar)
        further = {name: _center(values[t], on) for name, values in planted.items()}
        parts.append(_learn(book, on, change, surprise, _spill(surprise, weight, group), further))
    return Trades(bars=_stack(bars), parts=_stack(parts), issue_mv=issue_mv)


def _fill(
    book: _Book,
    on: NDArray[np.bool_],
    wanted: Array,
    noise: Array,
    split: Array,
    dividend: Array,
) -> tuple[dict[str, Array], Array]:
    """Trade one day: move the book to the close, return the bar and the adjusted return."""
    sigma = book.sigma
    split = np.where(book.close >= _SPLIT_FROM, split, 1.0)
    paid = np.round(book.close * dividend)
    before = (book.close - paid) / split  # fen, the last close as seen after split and dividend
    factor = book.factor * (book.close / before)  # the bracket is exactly 1 on most days
    low_limit = np.maximum(np.round(before * (1 - _LIMIT)), _FLOOR)
    high_limit = np.maximum(np.round(before * (1 + _LIMIT)), _FLOOR)

    def within(price: Array) -> Array:
        return np.clip(price, low_limit, high_limit)

    close = within(np.round(before * (1 + wanted)))
    change = close / before - 1
    opening = within(np.round(before * (1 + 0.35 * change + 0.3 * sigma * noise[1])))
    vwap = within(before * (1 + VWAP * change + 0.2 * sigma * noise[2]))
    lowest, highest = (
        np.minimum(np.minimum(opening, close), vwap),
        np.maximum(np.maximum(opening, close), vwap),
    )
    low = within(np.floor(lowest * (1 - 0.3 * sigma * np.abs(noise[3]))))
    high = within(np.ceil(highest * (1 + 0.3 * sigma * np.abs(noise[4]))))
    shares = book.shares * split
    turnover = book.liquidity * np.exp(0.4 * noise[5] + 8 * np.abs(change))
    lots = np.maximum(np.round(turnover * shares / 100), 1)  # a lot is 100 shares

    book.close = np.where(on, close, book.close)
    book.factor = np.where(on, factor, book.factor)
    book.shares = np.where(on, shares, book.shares)
    adjust = factor / 100  # fen as traded -> yuan, adjusted
    bar = {
        "open": opening * adjust,
        "high": high * adjust,
        "low": low * adjust,
        "close": close * adjust,
        "vwap": vwap * adjust,
        "volume": lots * 100 / factor,
        "amount": vwap * lots,
        "turnover": lots * 100 / shares,
        "change": change,
    }
    kept = {"factor": book.factor, "float_mv": book.float_mv}
    return {name: np.where(on, values, np.nan) for name, values in bar.items()} | kept, change


def _learn(
    book: _Book,
    on: NDArray[np.bool_],
    change: Array,
    surprise: Array,
    news: Array,
    further: dict[str, Array],
) -> dict[str, Array]:
    """Move the states past the close; return the planted parts of the label that this close makes known."""
    relative = change - change[on].mean()
    book.trend = np.where(on, _REVERSAL_DECAY * book.trend + relative, book.trend)
    recent = _VOLATILITY_DECAY * book.recent + (1 - _VOLATILITY_DECAY) * relative**2
    book.recent = np.where(on, recent, book.recent)
    book.path = np.vstack([book.path[1:], book.path[-1] + np.where(on, relative, 0.0)])
    momentum = book.path[-1 - _MOMENTUM_SKIP] - book.path[0]
    variance = (1 - _ARCH - _GARCH) * book.base**2 + (_ARCH * surprise**2 + _GARCH) * book.variance
    book.variance = np.where(on, variance, book.variance)

    book.news = _LEAD_DECAY * book.news + news

    parts = {
        "reversal": -_REVERSAL * _score(book.trend, on),
        "volatility": -_VOLATILITY * _score(np.log(book.recent), on),
        "momentum": _MOMENTUM * _score(momentum, on),
        "lead_lag": _LEAD * _center(book.news, on),
        **further,
    }
    book.expected = np.sum(list(parts.values()), axis=0)
    # the label takes 1 - VWAP of the next day's return and VWAP of the day's after
    return {name: np.where(on, part * (1 - VWAP + VWAP * KEPT[name]), np.nan) for name, part in parts.items()}


def _spill(surprise: Array, weight: Array, group: NDArray[np.int64]) -> Array:
    """What each stock hears from the others of its industry: their weighted mean surprise, at unit variance."""
    total = np.bincount(group, weights=weight * surprise)[group] - weight * surprise
    square = np.bincount(group, weights=weight**2)[group] - weight**2
    return np.divide(total, np.sqrt(square), out=np.zeros_like(total), where=square > 0)


def _score(values: Array, on: NDArray[np.bool_]) -> Array:
    """Standardise over the trading stocks, cut at 3; zero elsewhere."""
    return np.clip(_center(values, on) / (values[on].std() + 1e-12), -3, 3)


def _center(values: Array, on: NDArray[np.bool_]) -> Array:
    return np.where(on, values - values[on].mean(), 0.0)


def _stack(days: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.stack([day[name] for day in days]) for name in days[0]}

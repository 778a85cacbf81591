"""A day of the risk model: exposures at its close, and the regression of its returns on those of the day before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import DataError
from qlib_ext.risk.exposures import Mask, exposures
from qlib_ext.risk.market import Market, Source
from qlib_ext.risk.regression import Fit, design, fit
from qlib_ext.risk.styles import Panel

MARKET, INDUSTRY = "market", "industry_"  # the latter and a code
LEAST_IN_INDUSTRY = 5  # seasoned stocks; an industry of fewer is no factor
LEAST_KNOWN = 0.5  # of the seasoned stocks; a style of which fewer have a value is no factor
SMALL_INDUSTRY, FEW_STOCKS = "industry of fewer than 5", "fewer stocks than factors"


@dataclass(frozen=True)
class Exposures:
    """Exposures at the close of a day, of the stocks covered then.

    stocks     their places; cap, industry, seasoned [stocks]; styles [stocks, styles] float32, 0 where a value is
               missing
    codes      the industries that are factors; names: the styles that are
    small      code of an industry that is no factor -> the first of its stocks, which are not here
    missing    style -> how many covered stocks have no value of their own
    excluded   reason -> how many listed stocks are not here, or here but not in the regression
    """

    stocks: NDArray[np.int_]
    cap: Panel
    industry: NDArray[np.int_]
    seasoned: Mask
    styles: NDArray[np.float32]
    codes: list[int]
    names: list[str]
    small: dict[int, int]
    missing: dict[str, int]
    excluded: dict[str, int]

    @property
    def factors(self) -> list[str]:
        """The factors' names, in the order of their exposures."""
        return [MARKET, *(industry_name(code) for code in self.codes), *self.names]

    def matrix(self, rows: NDArray | slice = slice(None)) -> Panel:
        """The exposures [stocks, factors] of some or all of the stocks."""
        return design(self.industry[rows], self.codes, self.styles[rows].astype(np.float64))


@dataclass(frozen=True)
class Returns:
    """A day's regression: the places of the stocks in it, their returns, and the fit; None without one, and why."""

    stocks: NDArray[np.int_] = field(default_factory=lambda: np.zeros(0, dtype=int))
    returns: Panel = field(default_factory=lambda: np.zeros(0))
    factors: list[str] = field(default_factory=list)
    fit: Fit | None = None
    without: str = ""


def industry_name(code: int) -> str:
    return f"{INDUSTRY}{code}"


def exposures_of(source: Source, market: Market) -> list[Exposures]:
    """The exposures of each day that is wanted of a market."""
    wanted = slice(market.first, None)
    cap, seasoned = market.cap[wanted], market.seasoned[wanted]
    found = exposures(market.panels, source.styles, cap, seasoned, market.first)
    values = {name: panel.astype(np.float32) for name, panel in found.items()}
    return [_day(market, values, market.first + day, day) for day in range(len(cap))]


def _day(market: Market, values: dict[str, NDArray[np.float32]], at: int, day: int) -> Exposures:
    industry, seasoned = market.industry[at], market.seasoned[at]
    codes, count = np.unique(industry[seasoned], return_counts=True)
    codes = codes[count >= LEAST_IN_INDUSTRY]
    small = market.covered[at] & ~np.isin(industry, codes)
    first_of_small = np.flatnonzero(small)[np.unique(industry[small], return_index=True)[1]]
    stocks = np.flatnonzero(market.covered[at] & ~small)
    known = {name: np.isfinite(panel[day, stocks]) for name, panel in values.items()}
    enough = seasoned[stocks].sum() * LEAST_KNOWN
    names = [name for name, has in known.items() if has.any() and (has & seasoned[stocks]).sum() >= enough]
    styles = np.zeros((len(stocks), len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        styles[:, column] = np.where(known[name], values[name][day, stocks], 0)
    excluded = {reason: int(mask[at].sum()) for reason, mask in market.excluded.items()}
    return Exposures(
        stocks,
        market.cap[at, stocks],
        industry[stocks],
        seasoned[stocks],
        styles,
        [int(code) for code in codes],
        names,
        {int(industry[stock]): int(stock) for stock in first_of_small},
        {name: int((~has).sum()) for name, has in known.items()},
        excluded | {SMALL_INDUSTRY: int(small.sum()), "negative book value": int(market.negative_book[at].sum())},
    )


def returns_of(before: Exposures, returns: Panel, day: pd.Timestamp) -> Returns:
    """The regression of a day's returns [all stocks] on the exposures of the day before.

    Of the seasoned stocks those with a return take part, in industries that still have five of them. Raises DataError
    where the factors cannot be told apart.
    """
    rows = np.flatnonzero(before.seasoned & np.isfinite(returns[before.stocks]))
    codes, count = np.unique(before.industry[rows], return_counts=True)
    codes = codes[count >= LEAST_IN_INDUSTRY]
    rows = rows[np.isin(before.industry[rows], codes)]
    factors = [MARKET, *(industry_name(int(code)) for code in codes), *before.names]
    if len(rows) <= len(factors):
        return Returns(without=FEW_STOCKS)
    x = design(before.industry[rows], [int(code) for code in codes], before.styles[rows].astype(np.float64))
    r = returns[before.stocks[rows]]
    try:
        return Returns(before.stocks[rows], r, factors, fit(r, x, before.cap[rows], len(codes), factors))
    except DataError as error:
        raise DataError(
            f"The regression of {day:%Y-%m-%d}, of {len(rows)} stocks: {error} Leave a style out by without (--without "
            "STYLE)."
        ) from error


def origins(before: Exposures, now: Exposures) -> list[tuple[int, int, float]]:
    """Where the stocks of an industry that is new came from: (industry, origin, share), shares by cap.

    Of the covered stocks of both days; an industry none of whose stocks was in one before has no row.
    """
    rows: list[tuple[int, int, float]] = []
    place = {stock: row for row, stock in enumerate(before.stocks)}
    for code in sorted({*now.codes} - {*before.codes}):
        came = [place[stock] for stock in now.stocks[now.industry == code] if stock in place]
        shares = np.array([before.cap[came][before.industry[came] == origin].sum() for origin in before.codes])
        if shares.sum() > 0:
            shares /= shares.sum()
            rows += [(code, old, float(share)) for old, share in zip(before.codes, shares, strict=True) if share > 0]
    return rows


def names_in_order(factors: Sequence[str], seen: Sequence[str]) -> list[str]:
    """Both lists as one: the market, then industries by code, then styles in the order they were met."""
    every = [*dict.fromkeys([*seen, *factors])]
    industries = sorted(
        (name for name in every if name.startswith(INDUSTRY)), key=lambda name: int(name.removeprefix(INDUSTRY))
    )
    return [MARKET, *industries, *(name for name in every if name != MARKET and not name.startswith(INDUSTRY))]

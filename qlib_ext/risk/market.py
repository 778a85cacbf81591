"""What the risk model reads of a provider, made ready: who is listed, seasoned and covered, and the styles' panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import DataError, ProviderError
from qlib_ext.keywords import refuse_unknown
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.names import instruments_with_features
from qlib_ext.provider.panels import above_zero, checked_folder, fields_known, membership, read_panels, read_spans
from qlib_ext.risk.exposures import AMOUNT, SIZE, STYLES, Mask, Style
from qlib_ext.risk.styles import LONGEST_REACH, Panel, log_amount
from qlib_ext.risk.windows import CARRIED_DAYS, carried, window_sums

SEASONED_DAYS = 60  # of trading, of the last 250
HISTORY = LONGEST_REACH + CARRIED_DAYS  # days before a day that its exposures read
AMOUNT_DAYS = 250
MARKET_DAYS = 253  # before a day, of which its beta reads the market's return: a window of 252 and the day before it
DERIVED = ("cap", "returns", "market")
LEFT_OUT = "not wanted"
NO_INDUSTRY, NO_CAP, NEW = "no industry", "no market value", "new listing"


@dataclass(frozen=True)
class Source:
    """A provider, and of what the model is made in it.

    market     the instruments file of the stocks that are modelled
    industry   the field of a stock's industry, a whole number above 0
    size       the field of its market value; None: the mean amount of 250 days stands in, and the style is called
               amount
    without    styles that the model is to do without, as where one is a sum of others
    styles     the styles whose fields the provider has; left_out: the others, with the fields that are missing
    """

    provider: Path
    market: str
    industry: str
    size: str | None
    without: tuple[str, ...]
    days: pd.DatetimeIndex
    stocks: list[str]
    spans: pd.DataFrame
    styles: list[Style]
    left_out: dict[str, str]


def source_of(
    provider: str | Path, market: str, industry: str, size: str | None, without: Sequence[str] = ()
) -> Source:
    """See what a provider has.

    Raises ProviderError where it has no industry, no size, no bars of these stocks, ConfigError for a style that is
    none.
    """
    sized = (
        STYLES if size else (Style(AMOUNT, ((1.0, log_amount),)), *(style for style in STYLES if style.name != SIZE))
    )
    refuse_unknown(without, [style.name for style in sized], "The risk model")
    folder = checked_folder(provider)
    days, spans = read_calendar(folder), read_spans(folder, market)
    stocks = sorted({*spans["instrument"]} & instruments_with_features(folder))
    if not stocks:
        raise ProviderError(f"None of the {len(spans)} instruments of {market} has bars in {folder}.")
    wanted = {field for style in STYLES for field in style.fields} - {*DERIVED} | {"close", "high", "low", "amount"}
    names = {"industry": industry.removeprefix("$").lower()} | (
        {"size": size.removeprefix("$").lower()} if size else {}
    )
    there = {*fields_known(folder, sorted({*wanted, *names.values()}), stocks)}
    for role, name in names.items():
        if name not in there:
            hint = "; size=None (--no-size) takes the mean amount in its place" if role == "size" else ""
            raise ProviderError(
                f"{folder} has no ${name}, the {role} of the risk model; write it with `qlib-ext fields`{hint}."
            )
    if size is None and "amount" not in there:
        raise ProviderError(f"{folder} has no $amount, which stands in for size; name the field of the market value.")
    usable, left_out = [], {}
    for style in sized:
        missing = [field for field in style.fields if field not in DERIVED and field not in there]
        if "cap" in style.fields and not size:
            missing.append("a market value")
        if style.name in without or (not style.parts and sized[0].name in without):
            left_out[style.name] = LEFT_OUT
        elif missing:
            left_out[style.name] = ", ".join(f"${field}" if field in wanted else field for field in missing)
        else:
            usable.append(style)
    industry, size = names["industry"], names.get("size")
    return Source(folder, market, industry, size, tuple(sorted(without)), days, stocks, spans, usable, left_out)


@dataclass(frozen=True)
class Market:
    """The panels of some days, with history before them: [days, stocks], ``first`` the first day that is wanted.

    panels     the fields of the styles, with cap, returns (NaN but where the stock trades on the day and the one
               before) and market, [days]: the mean return of the stocks that were seasoned the day before
    cap        market value, or what stands in for it; carried through suspensions; NaN where it is not above 0
    industry   int, 0 where there is none
    covered    listed, with cap and industry; seasoned: covered, and 60 days of the last 250 traded
    excluded   listed stocks that are not covered or not seasoned, by the first reason
    """

    first: int
    panels: dict[str, Panel]
    cap: Panel
    industry: NDArray[np.int_]
    covered: Mask
    seasoned: Mask
    excluded: dict[str, Mask]
    negative_book: Mask


def read_market(source: Source, begin: int, end: int) -> Market:
    """The market of the days begin to end, places in the calendar, the last not included, and of HISTORY before them.

    Raises DataError for an industry that is no code.
    """
    low = max(begin - HISTORY, 0)
    fields = {field for style in source.styles for field in style.fields} - {*DERIVED}
    fields |= {"close", source.industry} | ({source.size} if source.size else {"amount"})
    panels = read_panels(source.provider, sorted(fields), source.stocks, low, end)
    days = source.days[low:end]
    industry = industry_codes(panels.pop(source.industry), days, source.stocks)
    traded = above_zero(panels["close"])
    panels["close"] = carried(traded)
    if source.size:
        cap = carried(panels[source.size])
    else:
        total, count = window_sums(panels["amount"], AMOUNT_DAYS)
        cap = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    cap = above_zero(cap)
    panels["cap"] = cap
    listed = membership(source.spans, days, source.stocks) & ~np.isnan(panels["close"])
    first = max(begin - low - MARKET_DAYS, 0)  # the market's return of no day before is read
    season = np.zeros_like(listed)
    season[first:] = listed[first:] & (window_sums(traded, CARRIED_DAYS, first)[1] >= SEASONED_DAYS)
    panels["returns"] = daily_returns(traded)
    panels["market"] = market_returns(panels["returns"], season)
    covered = listed & (industry > 0) & ~np.isnan(cap)
    excluded = {
        NO_INDUSTRY: listed & (industry == 0),
        NO_CAP: listed & (industry > 0) & np.isnan(cap),
        NEW: covered & ~season,
    }
    negative = covered & (panels["book"] < 0) if "book" in panels else np.zeros_like(covered)
    return Market(begin - low, panels, cap, industry, covered, covered & season, excluded, negative)


def daily_returns(close: Panel) -> Panel:
    """``C_t / C_{t-1} - 1``, NaN where the stock did not trade on both days: over a suspension it is none of a day."""
    returns = np.full(close.shape, np.nan)
    returns[1:] = close[1:] / close[:-1] - 1
    return returns


def market_returns(returns: Panel, seasoned: Mask) -> Panel:
    """The mean return of the stocks that were seasoned the day before: [days, stocks] -> [days], NaN where none."""
    known = np.isfinite(returns[1:]) & seasoned[:-1]
    market = np.full(len(returns), np.nan)
    total, count = np.where(known, returns[1:], 0.0).sum(1), known.sum(1)
    np.divide(total, count, out=market[1:], where=count > 0)
    return market


def industry_codes(values: Panel, days: pd.DatetimeIndex, stocks: Sequence[str]) -> NDArray[np.int_]:
    """Industries as int, 0 for none; raises DataError for what is no whole number above 0."""
    codes = np.nan_to_num(values)
    wrong = (codes < 0) | (codes != np.floor(codes)) | (np.isfinite(values) & (codes == 0)) | np.isinf(values)
    if wrong.any():
        day, stock = np.argwhere(wrong)[0]
        raise DataError(
            f"{wrong.sum()} industries are no codes, whole numbers above 0, first {values[day, stock]:g} of "
            f"{stocks[stock]} on {days[day]:%Y-%m-%d}; correct the field."
        )
    return codes.astype(np.int64)

"""What the factor analysis reads from Qlib's provider and recorder, as frames [days, stocks]."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from qlib.config import C
from qlib.data import D
from qlib.log import get_module_logger

from qlib_ext.cross_section.matrix import to_matrix, without_infinite
from qlib_ext.data.shapes.half_hours import fold
from qlib_ext.errors import DataError
from qlib_ext.factors.intraday_styles import MINUTE_STYLES, complete
from qlib_ext.factors.styles import DAY_STYLES, LONGEST_WINDOW, fields_of
from qlib_ext.provider.calendar import longest_bars
from qlib_ext.provider.names import require_universe
from qlib_ext.provider.panels import above_zero
from qlib_ext.provider.sessions import MINUTES_A_DAY, bar_of
from qlib_ext.recorder.runs import find_runs, load

MINUTES = (15, 5, 1)  # the longest bars that the provider has are the quickest to read
MINUTE_FIELDS = ("open", "high", "low", "close", "volume", "amount")
PRICES = ("$open", "$high", "$low", "$close", "$vwap")
DAYS_AT_ONCE = 60  # of minute bars in memory
STYLES = (*DAY_STYLES, *MINUTE_STYLES)
LOOKBACK = LONGEST_WINDOW + 17  # trading days; DWF's memory has faded to 1e-8 by then
Frames = dict[str, pd.DataFrame]

logger = get_module_logger("qlib_ext.analysis")


def trading_days(first: pd.Timestamp, last: pd.Timestamp, before: int = 0, after: int = 0) -> pd.DatetimeIndex:
    """The provider's trading days from ``before`` days ahead of the first to ``after`` days past the last.

    Raises DataError where one of the two is no trading day of the provider.
    """
    calendar = pd.DatetimeIndex(D.calendar())
    start, end = calendar.get_indexer([first, last])
    if start < 0 or end < 0:
        raise DataError(
            f"The scores run from {first:%Y-%m-%d} to {last:%Y-%m-%d}, and the provider's days from "
            f"{calendar[0]:%Y-%m-%d} to {calendar[-1]:%Y-%m-%d}; one of these two is no trading day of it."
        )
    return calendar[max(start - before, 0) : end + after + 1]


def read(stocks: Sequence[str], expressions: Sequence[str], times: pd.DatetimeIndex, freq: str = "day") -> Frames:
    """Expressions by name, each [times, stocks] as float64; one that has no number at all is left out.

    Infinite values, and prices that are not above 0, count as missing; a warning says how many there are.
    """
    rows = D.features(list(stocks), list(expressions), times[0], times[-1], freq=freq)
    found = {}
    for name in expressions:
        column = without_infinite(rows[name], name)
        if column.notna().any():
            frame = to_matrix(column, name).reindex(index=times, columns=stocks)
            found[name] = prices_above_zero(frame, name) if name in PRICES else frame
    return found


def prices_above_zero(prices: pd.DataFrame, name: str) -> pd.DataFrame:
    """The prices of ``above_zero``; a warning counts and names those that are none."""
    kept = above_zero(prices.to_numpy())
    wrong = np.isnan(kept) & prices.notna().to_numpy()
    if not wrong.any():
        return prices
    day, stock = np.unravel_index(wrong.argmax(), wrong.shape)
    logger.warning(
        f"{name} is not above 0 in {wrong.sum()} of {prices.count().sum()} values, first on {prices.index[day]} at "
        f"{prices.columns[stock]}; these count as missing. Write a suspension as NaN."
    )
    return pd.DataFrame(kept, prices.index, prices.columns)


def day_styles(bars: Frames, market: str, names: Sequence[str]) -> tuple[Frames, dict[str, str]]:
    """The styles of these names, by name, and why some are missing.

    bars: ``$close`` and so on, [days, stocks]. DWF ranks all stocks of ``market``, a universe of the provider.
    """
    found, missing = {}, {}
    for name in names:
        style = DAY_STYLES[name]
        without = [f"${field}" for field in fields_of(style) if f"${field}" not in bars]
        if without:
            missing[name] = f"the provider has no {', '.join(without)}"
        elif name == "DWF":
            try:
                found[name] = _of_market(bars["$close"], market)
            except DataError as error:
                missing[name] = str(error).rstrip(".")
        else:
            found[name] = style(*(bars[f"${field}"] for field in fields_of(style)))
    return found, missing


def _of_market(close: pd.DataFrame, market: str) -> pd.DataFrame:
    require_universe(Path(C.dpm.get_data_uri("day")), market)
    listed = D.list_instruments(D.instruments(market), close.index[0], close.index[-1], as_list=True)
    others = sorted({*listed} - {*close.columns})
    rest = read(others, ["$close"], close.index) if others else {}
    return DAY_STYLES["DWF"](pd.concat([close, *rest.values()], axis=1))[close.columns]


def style_fields(names: Sequence[str]) -> list[str]:
    """The provider's fields, such as ``$close``, that the daily styles among these names read."""
    return sorted({f"${field}" for name in names if name in DAY_STYLES for field in fields_of(DAY_STYLES[name])})


def minute_styles(stocks: Sequence[str], days: pd.DatetimeIndex, names: Sequence[str]) -> tuple[Frames, dict[str, str]]:
    """The styles of these names made of minute bars, [days, stocks], and why some are missing: all of them, or none.

    Read from the longest bars of 15, 5 and 1 minutes that the provider has. Auctions belong to the bars beside them
    and a half-hour without bars has no trades, as ``provider.sessions.bar_of`` says; days without bars are NaN.
    """
    minutes = longest_bars(MINUTES)
    if minutes is None:
        return {}, dict.fromkeys(names, "the provider has no bars of 15, 5 or 1 minutes")
    try:
        return _minute_styles(stocks, days, minutes, names), {}
    except DataError as error:
        return {}, dict.fromkeys(names, str(error).rstrip("."))


def _minute_styles(stocks: Sequence[str], days: pd.DatetimeIndex, minutes: int, names: Sequence[str]) -> Frames:
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in names}
    times = pd.DatetimeIndex(D.calendar(days[0], days[-1] + pd.Timedelta(days=1), freq=f"{minutes}min"))
    times = times[times.normalize().isin(days)]
    if times.empty:
        raise DataError(f"the {minutes}min calendar has no bars on the days of the scores")
    bar = bar_of(times, minutes)
    with_bars = times.normalize().unique()
    for chunk in np.split(with_bars, np.arange(DAYS_AT_ONCE, len(with_bars), DAYS_AT_ONCE)):
        inside = times.normalize().isin(chunk)
        bars = complete(_minute_bars(stocks, times[inside], bar[inside], chunk, minutes))
        for name, parts in found.items():
            style = MINUTE_STYLES[name]
            parts.append(pd.DataFrame(style(*(bars[field] for field in fields_of(style))), chunk, stocks))
    return {name: pd.concat(parts).reindex(days) for name, parts in found.items()}


def _minute_bars(
    stocks: Sequence[str], times: pd.DatetimeIndex, bar: np.ndarray, days: pd.DatetimeIndex, minutes: int
) -> dict[str, np.ndarray]:
    """The bars by field, [days, bars, stocks], NaN where the calendar has none."""
    frames = read(stocks, [f"${field}" for field in MINUTE_FIELDS], times, f"{minutes}min")
    without = [f"${field}" for field in MINUTE_FIELDS if f"${field}" not in frames]
    if without:
        raise DataError(f"the {minutes}min bars have no {', '.join(without)} from {times[0]} to {times[-1]}")
    values = {field: frames[f"${field}"].to_numpy() for field in MINUTE_FIELDS}  # [times, stocks] each
    bars_a_day = MINUTES_A_DAY // minutes
    place = days.get_indexer(times.normalize()) * bars_a_day + bar  # [times]
    found = {field: np.full((len(days) * bars_a_day, len(stocks)), np.nan) for field in MINUTE_FIELDS}
    for field in MINUTE_FIELDS:
        found[field][place] = values[field]
    shared = np.flatnonzero(np.bincount(place)[place] > 1)  # an auction and the bar that it belongs to
    if len(shared):
        starts = np.flatnonzero(np.diff(place[shared], prepend=-1))
        parts = np.stack([values[field][shared].T for field in MINUTE_FIELDS], axis=-1)  # [stocks, shared, fields]
        joined = fold(parts, starts)  # [stocks, starts, fields]
        for at, field in enumerate(MINUTE_FIELDS):
            found[field][place[shared][starts]] = joined[..., at].T
    return {field: grid.reshape(len(days), bars_a_day, len(stocks)) for field, grid in found.items()}


def styles_of(
    stocks: Sequence[str], days: pd.DatetimeIndex, bars: Frames, market: str, names: Sequence[str]
) -> tuple[Frames, dict[str, str]]:
    """The styles of these names, of bars and of minutes, and why some are missing; see the two functions above."""
    found, missing = day_styles(bars, market, [name for name in names if name in DAY_STYLES])
    minute = [name for name in names if name in MINUTE_STYLES]
    if minute:
        of_minutes, without = minute_styles(stocks, days, minute)
        found, missing = found | of_minutes, missing | without
    return found, missing


def last_scores(store: str, experiments: Sequence[str]) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The scores [days, stocks] of the experiments' last finished runs, and why some are missing."""
    found, missing = {}, {}
    for name in experiments:
        try:
            score, problem = load(find_runs(store, name)[0], "pred.pkl")
            if problem:
                missing[name] = problem
            else:
                found[name] = to_matrix(score.iloc[:, 0], f"score of {name}")
        except DataError as error:
            missing[name] = str(error).rstrip(".")
    return found, missing

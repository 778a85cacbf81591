"""What the factor analysis reads from Qlib's provider, as frames [days, stocks]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from qlib.data import D

from qlib_ext.cross_section.matrix import to_matrix
from qlib_ext.errors import DataError
from qlib_ext.factors.intraday_styles import MINUTE_STYLES, complete
from qlib_ext.factors.styles import DAY_STYLES, LONGEST_WINDOW, fields_of
from qlib_ext.provider.calendar import longest_bars

MINUTES = (15, 5, 1)  # the longest bars that the provider has are the quickest to read
MINUTE_FIELDS = ("open", "high", "low", "close", "volume", "amount")
DAYS_AT_ONCE = 60  # of minute bars in memory
Frames = dict[str, pd.DataFrame]


def trading_days(first: pd.Timestamp, last: pd.Timestamp, before: int = 0, after: int = 0) -> pd.DatetimeIndex:
    """The provider's trading days from `before` days ahead of the first to `after` days past the last.

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
    """Expressions by name, each [times, stocks] as float64; one that has no number at all is left out."""
    rows = D.features(list(stocks), list(expressions), times[0], times[-1], freq=freq)
    return {
        name: to_matrix(rows[name], name).reindex(index=times, columns=stocks)
        for name in expressions
        if rows[name].notna().any()
    }


def day_styles(bars: Frames, market: str, names: Sequence[str]) -> tuple[Frames, dict[str, str]]:
    """The styles of these names, by name, and why some are missing.

    bars: `$close` and so on, [days, stocks]. DWF ranks all stocks of `market`, the name of the provider's instruments.
    """
    found, missing = {}, {}
    for name in names:
        style = DAY_STYLES[name]
        without = [f"${field}" for field in fields_of(style) if f"${field}" not in bars]
        if without:
            missing[name] = f"the provider has no {', '.join(without)}"
        elif name == "DWF":
            found[name] = _of_market(bars["$close"], market)
        else:
            found[name] = style(*(bars[f"${field}"] for field in fields_of(style)))
    return found, missing


def _of_market(close: pd.DataFrame, market: str) -> pd.DataFrame:
    listed = D.list_instruments(D.instruments(market), close.index[0], close.index[-1], as_list=True)
    others = sorted({*listed} - {*close.columns})
    rest = read(others, ["$close"], close.index) if others else {}
    return DAY_STYLES["DWF"](pd.concat([close, *rest.values()], axis=1))[close.columns]


def style_fields(names: Sequence[str]) -> list[str]:
    """The provider's fields, such as `$close`, that the daily styles among these names read."""
    return sorted({f"${field}" for name in names if name in DAY_STYLES for field in fields_of(DAY_STYLES[name])})


def minute_frequency() -> str | None:
    """The longest of the provider's minute bars, or None where it has none."""
    minutes = longest_bars(MINUTES)
    return None if minutes is None else f"{minutes}min"


def minute_styles(stocks: Sequence[str], days: pd.DatetimeIndex, freq: str, names: Sequence[str]) -> Frames:
    """The styles of these names made of minute bars, [days, stocks]; days without bars are NaN.

    Raises DataError where the bars do not make up whole days, or a field of them is missing.
    """
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in names}
    times = pd.DatetimeIndex(D.calendar(days[0], days[-1] + pd.Timedelta(days=1), freq=freq))
    times = times[times.normalize().isin(days)]
    with_bars = times.normalize().unique()
    for chunk in np.split(with_bars, np.arange(DAYS_AT_ONCE, len(with_bars), DAYS_AT_ONCE)):
        of_chunk = times[times.normalize().isin(chunk)]
        bars = complete(_minute_bars(stocks, of_chunk, len(chunk), freq))
        for name, parts in found.items():
            style = MINUTE_STYLES[name]
            parts.append(pd.DataFrame(style(*(bars[field] for field in fields_of(style))), chunk, stocks))
    return {name: pd.concat(parts).reindex(days) for name, parts in found.items()}


def _minute_bars(stocks: Sequence[str], times: pd.DatetimeIndex, days: int, freq: str) -> dict[str, np.ndarray]:
    if len(times) % days or len(times.normalize().unique()) != days:
        raise DataError(f"The {freq} calendar has {len(times)} bars on {days} days; every day needs as many.")
    frames = read(stocks, [f"${field}" for field in MINUTE_FIELDS], times, freq)
    without = [field for field in MINUTE_FIELDS if f"${field}" not in frames]
    if without:
        raise DataError(f"The {freq} bars have no ${', $'.join(without)} from {times[0]} to {times[-1]}; name styles.")
    return {field: frames[f"${field}"].to_numpy().reshape(days, -1, len(stocks)) for field in MINUTE_FIELDS}


LOOKBACK = LONGEST_WINDOW + 17  # trading days; DWF's memory has faded to 1e-8 by then

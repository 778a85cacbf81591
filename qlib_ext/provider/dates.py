"""Days and instants in tables and calendars, in the exchange's zone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pandas as pd

if TYPE_CHECKING:
    import polars as pl  # which only tables need: training does without

EXCHANGE_ZONE = "Asia/Shanghai"
DAY = r"(\d{4})[-./]?(\d\d)[-./]?(\d\d)"
_MIDNIGHT = rf"^{DAY}(?:[T ]00:00(?::00(?:\.0+)?)?)?$"
_ZONED = rf"^{DAY}[T ]\d\d:\d\d.*(?:UTC|Z|[+-]\d\d:?\d\d)$"

Time = TypeVar("Time", pd.Timestamp, pd.DatetimeIndex)


def exchange_time(time: Time) -> Time:
    """A time, or an index of times, on the exchange's clock: one with a zone is converted, one without is as it is."""
    return time if time.tz is None else time.tz_convert(EXCHANGE_ZONE).tz_localize(None)


def exchange_times(values: pl.Series) -> pl.Series:
    """The same for a polars column of type Datetime."""
    zone = getattr(values.dtype, "time_zone", None)
    return values if zone is None else values.dt.convert_time_zone(EXCHANGE_ZONE).dt.replace_time_zone(None)


def read_days(values: pl.Series) -> pl.Series:
    """The days of a table's column, ``pl.Date``; null where a value is no day.

    Read are dates, the text 2023-02-01, 2023/02/01, 2023.02.01 or 20230201, the number 20230201, and each with a time
    that is midnight on the exchange's clock: an instant in another zone is converted first. A time of day is no day:
    what is known at 18:00 is not known at the close, and which day is meant is not ours to guess.
    """
    import polars as pl

    if values.dtype == pl.Date:
        return values
    if values.dtype == pl.Datetime:
        local, days = exchange_times(values), exchange_times(values).dt.date()
        return days.zip_with((days.cast(local.dtype) == local).fill_null(True), pl.Series([None], dtype=pl.Date))
    text = as_text(values).str.strip_chars()
    days = text.str.replace(_MIDNIGHT, "$1-$2-$3").str.to_date("%Y-%m-%d", strict=False)
    if (zoned := text.str.contains(_ZONED).fill_null(False)).any():
        written = text.filter(zoned).unique().to_list()
        instants = exchange_time(pd.DatetimeIndex(pd.to_datetime(written, format="mixed", utc=True, errors="coerce")))
        known = {
            value: time.to_pydatetime() for value, time in zip(written, instants, strict=True) if time is not pd.NaT
        }
        times = text.replace_strict(known, default=None, return_dtype=pl.Datetime("us"))
        days = days.zip_with(~zoned, read_days(times))
    return days


def as_text(values: pl.Series) -> pl.Series:
    """A column as text; a whole number that was read as a float, 20230201.0, without its point."""
    import polars as pl

    text = values.cast(pl.String)
    return text.str.replace(r"\.0$", "") if values.dtype.is_float() else text

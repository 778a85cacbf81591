"""The times of an exchange's files, as they are written by the many that pass them on."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from qlib_ext.provider.dates import as_text, exchange_times, read_days

FORMS = (
    "09:30:00.010, 2023-02-01T09:30:00.010 or 2023.02.01 09:30:00.010, the number 93000010 or 20230201093000010, or "
    "as a column of type Time, Datetime or Duration since midnight"
)


def read_times(values: pl.Series) -> pl.DataFrame:
    """The time of day (``time``, pl.Time) and, where the value has one, the day (``day``, pl.Date).

    Read are ``FORMS``; a Datetime with a zone is put on the exchange's clock, and a fraction may have any number of
    digits. ``time`` is null where a value is none of them.
    """
    if values.dtype == pl.Duration:
        midnight = pl.Series([datetime(2000, 1, 1)]).new_from_index(0, len(values))
        on_that_day = (midnight + values).set((values.dt.total_days() != 0) | (values < timedelta(0)), None)
        values = on_that_day.dt.time()
    if values.dtype == pl.Time:
        return pl.DataFrame({"time": values, "day": pl.Series([None], dtype=pl.Date).new_from_index(0, len(values))})
    if values.dtype == pl.Datetime:
        local = exchange_times(values)
        return pl.DataFrame({"time": local.dt.time(), "day": local.dt.date()})
    text = pl.col("text")
    numbers = ~text.str.contains(":", literal=True)
    dated = pl.when(numbers).then(text.str.len_chars() >= 14).otherwise(text.str.slice(2, 1) != ":")
    clock = pl.when(~dated).then(text).when(numbers).then(text.str.slice(8)).otherwise(text.str.slice(11))
    parts = (
        as_text(values)
        .to_frame("text")
        .select(
            numbers=numbers,
            clock=clock,
            day=pl.when(dated & numbers).then(text.str.head(8)).when(dated).then(text.str.head(10)),
        )
    )
    clock, length = pl.col("clock"), pl.col("clock").str.len_chars()
    time = clock.str.to_time("%H:%M:%S%.f", strict=False)
    if parts["numbers"].any():
        # HHMMSS or HHMMSSmmm, whose first zero a number does not have
        seconds, milliseconds = length.is_in([5, 6]), length.is_in([8, 9])
        whole = pl.when(seconds).then(clock.str.zfill(6) + "000").when(milliseconds).then(clock.str.zfill(9))
        time = pl.when("numbers").then(whole.str.to_time("%H%M%S%3f", strict=False)).otherwise(time)
    return parts.select(time=time).with_columns(day=read_days(parts["day"]))

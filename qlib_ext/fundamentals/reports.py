"""A table of reports with two times: the quarter that a value is of, and the day on which it was announced."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from qlib_ext.errors import DataError
from qlib_ext.provider.dates import EXCHANGE_ZONE, as_text, read_days
from qlib_ext.provider.tables import numbers_of, refuse_rows

QUARTERS = 4  # of a year
# by the quarter of the year: in which year after its own, and on which day, reports are due at the latest
DEADLINES = {1: (0, 4, 30), 2: (0, 8, 31), 3: (0, 10, 31), 4: (1, 4, 30)}


def read_reports(
    table: pl.DataFrame, columns: Sequence[str], period: str = "period", announced: str = "announced"
) -> pl.DataFrame:
    """The rows (instrument, quarter, known, columns) of a table of reports, sorted; one row an announcement.

    table      rows (instrument, period, announced, values): the period is the last day of a quarter, announced the day
               of the announcement; an empty value says nothing about what was announced before
    quarter    4 year + 0 to 3
    known      the day after the announcement: what came in the evening was not known at that day's close. Where the
               announcement is empty, or the table has no such column, the day after the statutory deadline: 30 April
               for the year and the first quarter, 31 August, 31 October

    Raises DataError for a missing column, a period that does not end a quarter, an announcement before its period's
    end, values that are no numbers, and two rows of one instrument, period and announcement.
    """
    if taken := [name for name in columns if name in ("instrument", period, announced, "quarter", "known", "end")]:
        raise DataError(f"The column {taken[0]!r} cannot be a value: its name has another meaning here. Rename it.")
    if missing := [name for name in ("instrument", period, *columns) if name not in table.columns]:
        raise DataError(f"The table has no column {missing[0]!r}, it has {', '.join(table.columns)}.")
    end = read_days(table[period]).alias("end")
    within = (end.dt.month_end() != end) | (end.dt.month() % 3 != 0)
    refuse_rows(table, within.fill_null(True), period, "the last day of a quarter")
    instruments = as_text(table["instrument"])
    refuse_rows(table, instruments.is_null(), "instrument", "an instrument such as SH600000")
    said = _announcements(table, announced, end)
    rows = pl.DataFrame({"instrument": instruments, "end": end, "announced": said})
    rows = rows.with_columns(numbers_of(table, column) for column in columns)
    if (twice := rows.select("instrument", "end", "announced").is_duplicated()).any():
        row = rows.filter(twice).row(0, named=True)
        raise DataError(
            f"The table has several rows of {row['instrument']} for {row['end']}, announced "
            f"{row['announced'] or 'on no known day'}; leave one."
        )
    return rows.select(
        "instrument",
        (pl.col("end").dt.year() * QUARTERS + pl.col("end").dt.quarter() - 1).cast(pl.Int32).alias("quarter"),
        (pl.col("announced").fill_null(deadline("end")) + timedelta(days=1)).alias("known"),
        *columns,
    ).sort("instrument", "quarter", "known")


def _announcements(table: pl.DataFrame, announced: str, end: pl.Series) -> pl.Series:
    """The days of the announcements, null where the table does not say."""
    if announced not in table.columns:
        return pl.Series("announced", [None] * len(table), dtype=pl.Date)
    days = read_days(table[announced])
    said = as_text(table[announced]).str.strip_chars().replace("", None).is_not_null()
    refuse_rows(
        table, said & days.is_null(), announced, f"a day such as 2023-04-25, or its midnight in {EXCHANGE_ZONE}"
    )
    refuse_rows(table, (days < end).fill_null(False), announced, "on or after the last day of their period")
    return days


def deadline(end: str) -> pl.Expr:
    """The day on which a report of the quarter that ends on ``end`` is due."""
    quarter, year = pl.col(end).dt.quarter(), pl.col(end).dt.year()
    days = [
        pl.when(quarter == number).then(pl.date(year + years, month, day))
        for number, (years, month, day) in DEADLINES.items()
    ]
    return pl.coalesce(days)

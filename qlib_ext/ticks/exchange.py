"""What the readers of both exchanges share: columns under any of their names, text to types, rows dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

import polars as pl
from qlib.log import get_module_logger

from qlib_ext.errors import DataError
from qlib_ext.provider.dates import as_text, read_days
from qlib_ext.provider.names import codes_of, short_codes
from qlib_ext.provider.tables import scan_table
from qlib_ext.ticks.check import FAULTS, check_batch, check_rows, refuse
from qlib_ext.ticks.schema import SCHEMAS
from qlib_ext.ticks.sessions import in_opening_auction, minute_of
from qlib_ext.ticks.times import FORMS, read_times

logger = get_module_logger("qlib_ext.ticks")

A_SHARES = {"SH": "^6", "SZ": "^[03]"}


class Dropped(NamedTuple):
    """What a reader left out for one reason: rows, and their volume in shares."""

    rows: int
    volume: int


@dataclass(frozen=True)
class Reading:
    """A file's rows in the schema, by instrument and the exchange's sequence, and what was left out, by reason."""

    frame: pl.DataFrame
    dropped: dict[str, Dropped]

    @property
    def left_out(self) -> str:
        """What was left out, for a message: "opening auction 1,204 rows, cancel 310 rows"."""
        return ", ".join(f"{reason} {of.rows:,} rows" for reason, of in self.dropped.items()) or "nothing"


def read_columns(
    path: str | Path, names: Mapping[str, tuple[str, ...]], optional: Mapping[str, tuple[str, ...]]
) -> pl.DataFrame:
    """The columns wanted of a CSV or Parquet file, each under the first of its names that the file has.

    All are text but columns of a type for times. A column of ``optional`` that the file lacks is null. Raises DataError
    for a file that cannot be read, or that lacks a column of ``names``.
    """
    try:
        scan = scan_table(path)
        there = scan.collect_schema()
        found = {ours: next((name for name in theirs if name in there), None) for ours, theirs in names.items()}
        if missing := [ours for ours, name in found.items() if name is None]:
            wanted = "; ".join(f"{ours} ({' or '.join(names[ours])})" for ours in missing)
            raise DataError(f"{path} lacks {len(missing)} columns: {wanted}; it has {', '.join(there)}.")
        found |= {ours: next((name for name in theirs if name in there), None) for ours, theirs in optional.items()}
        frame = scan.select(
            **{ours: pl.col(name) if name else pl.lit(None, pl.String) for ours, name in found.items()}
        ).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}). Fetch it again.") from error
    return frame.select(column if column.dtype.is_temporal() else as_text(column) for column in frame)


def number(name: str, dtype: type[pl.DataType] = pl.Int64) -> pl.Expr:
    """A column of text as numbers, null where it is none."""
    return pl.col(name).cast(pl.Float64, strict=False).cast(dtype, strict=False)


def yuan(name: str) -> pl.Expr:
    """A column of text as yuan: to the tenth of a cent, since sources write 5.48 as 5.480000000000002."""
    return pl.col(name).cast(pl.Float64, strict=False).round(3)


def translated(name: str, meanings: Mapping[str, str]) -> pl.Expr:
    """A column of an exchange's letters and numbers as ours, null where one is not known."""
    return pl.col(name).replace_strict(meanings, default=None, return_dtype=pl.String)


def a_shares(frame: pl.DataFrame, exchange: str, day: str, source: str) -> tuple[pl.DataFrame, dict[str, Dropped]]:
    """The rows of an exchange's A shares, with ``instrument`` and ``clock``, the time of day, and what was left out.

    frame has ``security``, ``time``, and, null where the file has none, ``market`` and ``day``.
    Raises DataError for codes that lost their leading zeros, for rows of the other exchange where the file does not say
    that it has both, for times that cannot be read, and for rows of another day.
    """
    other = next(name for name in A_SHARES if name != exchange)
    frame, foreign = _split(frame, {"of the other exchange": pl.col("market") == other})
    short = short_codes(frame["security"])
    refuse(frame.filter(short), source, "the code lost its leading zeros", "write six digits, 000001, as text")
    frame = frame.hstack(codes_of(frame["security"]))
    code, named = pl.col("code"), pl.col("exchange")
    stray = (named == other) | (code.str.contains(A_SHARES[other]) & named.is_null() & pl.col("market").is_null())
    refuse(frame.filter(stray), source, f"a stock of {other}", f"read it with the reader of {other}")
    other_kinds = ~code.str.contains(A_SHARES[exchange]).fill_null(False)
    frame, others = _split(frame, {"not an A share": other_kinds})
    frame = frame.select(pl.exclude("code", "exchange"), instrument=exchange + code)
    times = read_times(frame["time"])
    refuse(frame.filter(times["time"].is_null()), source, "time cannot be read", f"write it as {FORMS}")
    for days in (read_days(frame["day"]), times["day"]):
        other_day = (days != date.fromisoformat(day)).fill_null(False)
        refuse(frame.filter(other_day), source, f"the date is not {day}", "read each day's file with its own date")
    return frame.with_columns(clock=times["time"]), foreign | others


def finish(
    rows: pl.DataFrame,
    frame: pl.DataFrame,
    kind: str,
    drops: Mapping[str, pl.Expr],
    dropped: dict[str, Dropped],
    source: str,
) -> Reading:
    """Leave out and count what is of no use, put the rest in the exchange's sequence, and check it.

    rows: the columns of the schema of ``kind`` ("trades" or "orders") and ``sequence``; frame: the same rows as they
    stand in the file. drops: reason -> rows.
    Raises DataError for a value that cannot be read, one sequence number with two contents, times that go back, and
    the faults of ``check.FAULTS``.
    """
    for name in rows.columns:
        refuse(frame.filter(rows[name].is_null()), source, f"{name} cannot be read", "correct the file")
    common = {
        "price 0": pl.col("price") == 0,
        "opening auction": in_opening_auction(pl.col("time")),
        "outside the session": minute_of(pl.col("time")).is_null(),
    }
    rows, reasons = _split(rows, {**drops, **common})
    rows = rows.sort("instrument", "sequence", maintain_order=True)
    repeated = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in rows.columns).fill_null(False)
    rows, twins = _split(rows, {"repeated": repeated})
    clash = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in ("instrument", "sequence"))
    refuse(rows.filter(clash), source, "one sequence number with two contents", "fetch the file again")
    rows = rows.select(list(SCHEMAS[kind]))
    check_rows(rows, FAULTS[kind], source)
    check_batch(rows, kind, source)
    reading = Reading(rows, dropped | reasons | twins)
    logger.info(
        f"{source}: {len(rows)} {kind} of {rows['instrument'].n_unique()} stocks; left out: {reading.left_out}."
    )
    return reading


def _split(rows: pl.DataFrame, drops: Mapping[str, pl.Expr]) -> tuple[pl.DataFrame, dict[str, Dropped]]:
    """The rows that no reason drops, and the count of the others by their first reason."""
    dropped = {}
    for reason, which in drops.items():
        gone = rows.filter(which)
        if len(gone):
            dropped[reason] = Dropped(len(gone), int(gone["volume"].cast(pl.Float64, strict=False).sum()))
            rows = rows.filter(~which.fill_null(False))
    return rows, dropped

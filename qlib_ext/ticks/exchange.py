"""What the readers of both exchanges share: columns under any of their names, text to types, rows dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl
from qlib.log import get_module_logger

from qlib_ext.errors import DataError
from qlib_ext.provider.tables import scan_table
from qlib_ext.ticks.check import check_batch, check_rows, refuse
from qlib_ext.ticks.rules import FAULTS
from qlib_ext.ticks.schema import SCHEMAS
from qlib_ext.ticks.sessions import in_opening_auction, minute_of

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


def load(
    path: str | Path, names: Mapping[str, tuple[str, ...]], optional: Mapping[str, tuple[str, ...]]
) -> pl.DataFrame:
    """The columns wanted of a CSV or Parquet file as text, each under the first of its names that the file has.

    A column of ``optional`` that the file lacks is null. Raises DataError for a file that cannot be read, or that
    lacks a column of ``names``.
    """
    scan = scan_table(path)
    try:
        there = scan.collect_schema()
        found = {ours: next((name for name in theirs if name in there), None) for ours, theirs in names.items()}
        if missing := [ours for ours, name in found.items() if name is None]:
            wanted = "; ".join(f"{ours} ({' or '.join(names[ours])})" for ours in missing)
            raise DataError(f"{path} lacks {len(missing)} columns: {wanted}; it has {', '.join(there)}.")
        found |= {ours: next((name for name in theirs if name in there), None) for ours, theirs in optional.items()}
        return scan.select(
            **{ours: (pl.col(name) if name else pl.lit(None)).cast(pl.String) for ours, name in found.items()}
        ).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read ({str(error).splitlines()[0]}): fetch it again.") from error


def number(name: str, dtype: type[pl.DataType] = pl.Int64) -> pl.Expr:
    """A column of text as numbers, null where it is none."""
    return pl.col(name).cast(pl.Float64, strict=False).cast(dtype, strict=False)


def yuan(name: str) -> pl.Expr:
    """A column of text as yuan: to the tenth of a cent, since sources write 5.48 as 5.480000000000002."""
    return pl.col(name).cast(pl.Float64, strict=False).round(3)


def code(name: str, meanings: Mapping[str, str]) -> pl.Expr:
    """A column of an exchange's codes as ours, null where the code is not known."""
    return pl.col(name).replace_strict(meanings, default=None, return_dtype=pl.String)


def time_of_day(name: str) -> pl.Expr:
    """The time of "09:30:00.010" or "2023.02.01T09:30:00.010"."""
    return pl.col(name).str.tail(12).str.to_time("%H:%M:%S%.f", strict=False)


def own_rows(text: pl.DataFrame, market: str, date: str, source: str) -> tuple[pl.DataFrame, dict[str, Dropped]]:
    """The rows of a market's A shares, with `instrument`, and what was left out.

    text has `security`, `time`, and, null where the file has none, `market` and `day`.
    Raises DataError for rows of another date, or of the other exchange where the file does not say that it holds both.
    """
    security, other = pl.col("security"), next(name for name in A_SHARES if name != market)
    text, foreign = _split(text, {"of the other exchange": pl.col("market") == other})
    dated = pl.coalesce(
        pl.col("day"), pl.when(pl.col("time").str.len_chars() > 12).then(pl.col("time").str.head(10))
    ).str.replace_all(r"[./]", "-")
    refuse(text.filter(dated != date), source, f"the date is not {date}", "read each day's file with its own date")
    stray = security.str.ends_with(f".{other}") | (
        security.str.contains(A_SHARES[other]) & ~security.str.ends_with(f".{market}") & pl.col("market").is_null()
    )
    refuse(text.filter(stray), source, f"a stock of {other}", f"read it with the reader of {other}")
    text, others = _split(text, {"not an A share": ~security.str.contains(A_SHARES[market])})
    return text.with_columns(instrument=market + security.str.head(6)), foreign | others


def finish(
    rows: pl.DataFrame, kind: str, drops: Mapping[str, pl.Expr], dropped: dict[str, Dropped], source: str
) -> Reading:
    """Leave out and count what is of no use, put the rest in the exchange's sequence, and check it.

    rows: the columns of the schema of ``kind`` ("trades" or "orders") and `sequence`. drops: reason -> rows.
    Raises DataError for a value that cannot be read, one sequence number with two contents, times that go back, and
    the faults of ``rules.FAULTS``.
    """
    for name in rows.columns:
        refuse(rows.filter(pl.col(name).is_null()), source, f"{name} cannot be read", "correct the file")
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
    frame = rows.select(list(SCHEMAS[kind]))
    check_rows(frame, FAULTS[kind], source)
    check_batch(frame, kind, source)
    dropped = dropped | reasons | twins
    told = ", ".join(f"{reason} {of.rows} rows ({of.volume} shares)" for reason, of in dropped.items())
    logger.info(
        f"{source}: {len(frame)} {kind} of {frame['instrument'].n_unique()} stocks; dropped: {told or 'nothing'}"
    )
    return Reading(frame, dropped)


def _split(rows: pl.DataFrame, drops: Mapping[str, pl.Expr]) -> tuple[pl.DataFrame, dict[str, Dropped]]:
    """The rows that no reason drops, and the count of the others by their first reason."""
    dropped = {}
    for reason, which in drops.items():
        gone = rows.filter(which)
        if len(gone):
            dropped[reason] = Dropped(len(gone), int(gone["volume"].cast(pl.Float64, strict=False).sum()))
            rows = rows.filter(~which.fill_null(False))
    return rows, dropped

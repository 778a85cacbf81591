"""Parquet partitioned by date, ``DIR/date=2023-02-01/*.parquet``: its days, and what is wrong with a day's files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from itertools import accumulate
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from qlib_ext.errors import DataError
from qlib_ext.ticks.schema import check_schema

PARTITION = re.compile(r"date=(\d{4})-?(\d\d)-?(\d\d)")
COPY_AGAIN = "copy or convert it again (`qlib-ext ticks read`) and run once more: finished days are kept"


def days_in(folder: str | Path, what: str) -> dict[str, list[Path]]:
    """The Parquet files of each day ("2023-02-01"), in order; raises DataError where a day is not there once.

    what    "trades", "orders" or "minute", for the messages
    """
    root = Path(folder).expanduser().absolute()
    if not root.is_dir():
        raise DataError(f"The folder of {what} {root} does not exist.")
    found: dict[str, Path] = {}
    for place in sorted(root.glob("date=*")):
        day = day_of(place)
        if day in found:
            raise DataError(
                f"{what} of {day} are there twice, in {found[day]} and {place}: remove the one that is not wanted."
            )
        found[day] = place
    if not found:
        raise DataError(f"{root} holds no partition of {what}; a day's files lie in {root}/date=2023-02-01/.")
    return {day: sorted(found[day].glob("*.parquet")) for day in sorted(found)}


def day_of(place: Path) -> str:
    """The day that a partition's name says; raises DataError where it says none."""
    named = PARTITION.fullmatch(place.name)
    with suppress(ValueError):
        if named:
            return date.fromisoformat("-".join(named.groups())).isoformat()
    raise DataError(f"{place} names no day; a partition is called date=2023-02-01.")


def check_footers(files: Sequence[Path], schema: dict[str, pl.DataType], what: str, day: str) -> None:
    """Raise DataError for a day without rows, and for a file that is truncated, lacks columns or has wrong types."""
    rows = 0
    for file in files:
        try:
            rows += pq.read_metadata(file).num_rows
            check_schema(pl.scan_parquet(file), schema, str(file))
        except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{file} is no readable Parquet file ({_short(error)}): {COPY_AGAIN}.") from error
    if not rows:
        raise DataError(
            f"{day} has a partition of {what} without a row ({len(files)} files): fill it or remove it, and run once "
            "more: finished days are kept."
        )


def check_content(files: Sequence[Path], schema: dict[str, pl.DataType], faults: Mapping[str, pl.Expr]) -> None:
    """Raise DataError that names file and row group of the first wrong row, or of data that cannot be read.

    faults    what is wrong -> expression that is true for a wrong row; a null in any column is wrong, too
    """
    tests = {**{f"{name} is missing": pl.col(name).is_null() for name in schema}, **faults}
    rows = pl.scan_parquet(list(files), row_index_name="row")
    try:
        found = rows.select(test.sum().alias(fault) for fault, test in tests.items()).collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{first_damaged(files)} cannot be read ({_short(error)}): {COPY_AGAIN}.") from error
    for fault, test in tests.items():
        if wrong := found[fault][0]:
            row = rows.filter(test).head(1).collect(engine="streaming").row(0, named=True)
            values = ", ".join(f"{name} {row[name]}" for name in schema)
            raise DataError(
                f"{location_of(files, row['row'])}: {fault} in {wrong} rows of the day, first in {values}. Correct the "
                "file and run once more: finished days are kept."
            )


def location_of(files: Sequence[Path], row: int) -> str:
    """File and row group of a row, counted over all files."""
    groups = [(file, group) for file in files for group in range(pq.read_metadata(file).num_row_groups)]
    sizes = [pq.read_metadata(file).row_group(group).num_rows for file, group in groups]
    file, group = next(at for at, end in zip(groups, accumulate(sizes), strict=True) if row < end)
    return f"{file}, row group {group}"


def first_damaged(files: Sequence[Path]) -> str:
    """File and row group of the first data that cannot be read."""
    for file in files:
        try:
            parquet = pq.ParquetFile(file)
        except (pa.ArrowException, OSError):
            return str(file)
        for group in range(parquet.num_row_groups):
            try:
                parquet.read_row_group(group)
            except (pa.ArrowException, OSError):
                return f"{file}, row group {group}"
    return f"one of {', '.join(map(str, files))}"


def _short(error: Exception) -> str:
    return str(error).split("\n")[0].rstrip(".")

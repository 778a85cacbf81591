"""A table of dated values -> fields of a Qlib provider: industries, valuations, whatever has a stock and a day."""

from __future__ import annotations

import io
import math
from codecs import getincrementaldecoder
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from qlib_ext.errors import DataError, ProviderError
from qlib_ext.provider.check import check_provider
from qlib_ext.provider.dates import EXCHANGE_ZONE, as_text, read_days
from qlib_ext.provider.fields import write_field
from qlib_ext.provider.names import instruments_with_features, instruments_with_field, is_field, named_as

READ_BYTES = 1 << 20
RENAMED = "_duplicated_"  # what polars puts behind a name that is there already


@dataclass(frozen=True)
class Added:
    """What came of a table: files changed, instruments taken and unknown to the provider, rows outside its calendar."""

    changed: int
    instruments: int
    unknown: list[str]
    off_calendar: int


def add_fields(
    provider: str | Path,
    table: pl.DataFrame,
    columns: Sequence[str],
    date_column: str = "date",
    hold: bool = False,
    digits: int | None = None,
    overwrite: bool = False,
) -> Added:
    """Write columns of a table into a provider, each as the field of its name in small letters.

    table          rows (instrument, day, values), at most one a stock and day; values are numbers or text of numbers
    date_column    the day on which a value is known; an expression sees it from that day on (see ``read_days``)
    hold           a value stands until the stock's next row, to the calendar's end after its last; an empty one ends
                   it. Otherwise a value stands on its own day alone, and days without one, from the table's first
                   day to its last, are NaN
    digits         the first ones of a code are the value, such as 2 for the first level of the industry 370102
    overwrite      the field may exist: its values from the table's first day on, to its last or with hold to the
                   calendar's end, are replaced, for the table's stocks

    Left out, and returned, are stocks unknown to the provider and, by number, rows on no day of the calendar; with hold
    those after its end alone.

    Raises DataError for a table that cannot be used, ProviderError for a provider that cannot take it or has the field
    already, OutputError where the disk refuses.
    """
    provider = Path(provider).expanduser().absolute()
    calendar = {day: position for position, day in enumerate(check_provider(provider).date)}
    fields = _fields(columns)
    if not overwrite and (there := [field for field in fields if instruments_with_field(provider, field)]):
        raise ProviderError(f"{provider} has ${there[0]} already: rename the column, or add --overwrite.")
    known = instruments_with_features(provider)
    rows = _checked(table, list(fields.values()), date_column, digits, known)
    taken = _taken(rows, provider, known)
    end = max(calendar)
    seen = taken.filter(pl.col("date") <= end if hold else pl.col("date").is_in(list(calendar)))
    if seen.is_empty():
        raise DataError(f"No row lies within the calendar of {provider}, {min(calendar)} to {end}.")
    dates = seen["date"].unique().to_list()
    first, last = min(dates), end if hold else max(dates)
    days = [day for day in calendar if first <= day <= last]
    symbols = seen["instrument"].unique().sort()
    spread = _spread(seen, symbols, days, hold)
    positions, changed = [calendar[day] for day in days], 0
    for field, column in fields.items():
        values = spread[column].fill_null(math.nan).to_numpy().reshape(len(symbols), len(days))
        by_stock = dict(zip(symbols, values, strict=True))
        changed += write_field(provider, field, positions, by_stock)
    return Added(changed, len(symbols), sorted({*rows["instrument"]} - {*taken["instrument"]}), len(taken) - len(seen))


def scan_table(path: str | Path) -> pl.LazyFrame:
    """A Parquet file as it is, or a CSV file, in UTF-8 or GBK, with all columns as text.

    Raises DataError for text in another encoding and for a column that is there twice, OSError for a file that cannot
    be opened; polars' other errors come when the rows are read.
    """
    if Path(path).suffix == ".parquet":
        return pl.scan_parquet(path)
    if _is_utf8(Path(path)):
        return _with_columns_once(pl.scan_csv(path, infer_schema=False), path)
    try:
        text = Path(path).read_bytes().decode("gb18030")
    except UnicodeDecodeError as error:
        raise DataError(f"The text of {path} is neither UTF-8 nor GBK ({error}). Save it as UTF-8.") from error
    return _with_columns_once(pl.scan_csv(io.BytesIO(text.encode()), infer_schema=False), path)


def _with_columns_once(scan: pl.LazyFrame, path: str | Path) -> pl.LazyFrame:
    """The scan of a CSV file, whose second column of a name polars calls NAME_duplicated_0."""
    names = scan.collect_schema().names()
    twice = [first for name in names if (first := name.partition(RENAMED)[0]) != name and first in names]
    if twice:
        raise DataError(f"{path} has several columns {twice[0]!r}. Leave one, or name them apart.")
    return scan


def read_table(path: str | Path) -> pl.DataFrame:
    """A file of ``scan_table``, read whole; raises DataError for one that is neither."""
    try:
        return scan_table(path).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        first = str(error).partition("\n")[0]  # the rest advises on polars' own options
        raise DataError(f"{path} cannot be read as CSV or Parquet: {first}.") from error


def _is_utf8(path: Path) -> bool:
    decoder = getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while part := file.read(READ_BYTES):
                decoder.decode(part)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _fields(columns: Sequence[str]) -> dict[str, str]:
    """Field -> column; raises DataError for a column that can be no field, and for two that would be the same."""
    fields: dict[str, str] = {}
    for column in columns:
        if not is_field(column) or column in ("instrument", "date"):
            raise DataError(
                f"{column!r} is no name for a field, $name in expressions: rename the column, to letters, digits and _."
            )
        if (twin := fields.setdefault(column.lower(), column)) != column:
            raise DataError(f"The columns {twin!r} and {column!r} are both the field ${column.lower()}: rename one.")
    return fields


def _checked(
    table: pl.DataFrame, columns: Sequence[str], date_column: str, digits: int | None, known: set[str]
) -> pl.DataFrame:
    """Rows (instrument, date, columns as float64) of a table that can be used, named as the provider's ``known``."""
    if missing := [name for name in ("instrument", date_column, *columns) if name not in table.columns]:
        hint = "; name the column of the day with --date" if missing[0] == date_column else ""
        raise DataError(f"The table has no column {missing[0]!r}, it has {', '.join(table.columns)}{hint}.")
    days = read_days(table[date_column])
    rows = pl.DataFrame({"instrument": named_as(known, as_text(table["instrument"])), "date": days})
    refuse_rows(table, days.is_null(), date_column, f"a day such as 2023-02-01, or its midnight in {EXCHANGE_ZONE}")
    refuse_rows(table, rows["instrument"].is_null(), "instrument", "an instrument such as SH600000")
    rows = rows.with_columns(numbers_of(table, column, digits) for column in columns)
    if (twice := rows.select("instrument", "date").is_duplicated()).any():
        row = rows.filter(twice).row(0, named=True)
        raise DataError(f"The table has several rows of {row['instrument']} on {row['date']}; leave one.")
    return rows


def numbers_of(table: pl.DataFrame, column: str, digits: int | None = None) -> pl.Series:
    """A column of numbers, or text of numbers, as float64, null where it is empty or NaN; of codes the first digits.

    Raises DataError for a value that is no number.
    """
    text = as_text(table[column]).str.strip_chars().replace(["", "NaN"], None).alias(column)
    if digits is not None:
        text = _leading(text, digits)
    numbers = text.cast(pl.Float64, strict=False)
    refuse_rows(table, text.is_not_null() & ~numbers.is_finite().fill_null(False), column, "a number")
    return numbers


def _leading(codes: pl.Series, digits: int) -> pl.Series:
    """The first digits of codes; raises DataError where codes differ in length, as those without leading zeros do."""
    known = codes.drop_nulls().unique()
    by_length = known.to_frame("code").sort(pl.col("code").str.len_chars(), "code")["code"].to_list()
    if known.str.len_chars().n_unique() > 1:
        raise DataError(
            f"The codes of {codes.name!r} differ in length, from {by_length[0]} to {by_length[-1]}, so their first "
            f"{digits} are not of one level: have they lost leading zeros? Fill them up to one length, as text."
        )
    return codes.str.slice(0, digits)


def _taken(rows: pl.DataFrame, provider: Path, known: set[str]) -> pl.DataFrame:
    """The rows of instruments that the provider has; raises DataError where there are none."""
    taken = rows.filter(pl.col("instrument").is_in(list(known)))
    if taken.is_empty():
        example = f", such as {rows['instrument'][0]}," if len(rows) else ""
        raise DataError(
            f"None of the table's {rows['instrument'].n_unique()} instruments{example} is in {provider}, which has "
            f"{min(known)} and {len(known) - 1} others: name them alike."
        )
    return taken


def _spread(rows: pl.DataFrame, symbols: pl.Series, days: list[date], hold: bool) -> pl.DataFrame:
    """The values of each stock on each day, stock by stock, day after day."""
    grid = symbols.to_frame().join(pl.DataFrame({"date": days}), how="cross")
    if not hold:
        return grid.join(rows, on=["instrument", "date"], how="left", maintain_order="left")
    return grid.join_asof(rows.sort("instrument", "date"), on="date", by="instrument", check_sortedness=False)


def refuse_rows(table: pl.DataFrame, wrong: pl.Series, column: str, what: str) -> None:
    """Raise DataError where rows of a column are wrong, ``[rows]`` bool, with their number and the first value."""
    if wrong.any():
        value = table.filter(wrong)[column][0]
        raise DataError(f"{wrong.sum()} of {len(table)} rows of the column {column!r} are not {what}, first {value!r}.")

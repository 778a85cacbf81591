"""Tables of relations, checked and kept beside a provider: memberships of groups, and edges from stock to stock."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import polars as pl

from qlib_ext.errors import DataError, ProviderError
from qlib_ext.provider.check import check_provider
from qlib_ext.provider.dates import as_text, read_days
from qlib_ext.provider.names import instruments_with_features, instruments_with_field, named_as
from qlib_ext.provider.panels import read_panels
from qlib_ext.provider.tables import refuse_rows
from qlib_ext.system.files import read_checked, write_checked

FOLDER = "relations"
MEMBERSHIP, EDGE = ("instrument", "group"), ("source", "target")


@dataclass(frozen=True)
class Written:
    """What came of a table: its rows that were kept, instruments among them, and those unknown to the provider."""

    rows: int
    instruments: int
    unknown: list[str]


def write_relations(provider: str | Path, table: pl.DataFrame, kind: str, overwrite: bool = False) -> Written:
    """Keep a table as one kind of relation of a provider, where handlers find it.

    table      memberships, rows (instrument, group, from, to): stocks of one group are related; or edges, rows (source,
               target, weight, from, to): the target hears of the source, by weight, 1 where the table has none
    from, to   the first and the last day on which a relation is seen; without ``to``, or where it is empty, to the end
    kind       its name in ``relations`` of a handler

    Rows of instruments that the provider lacks are left out, and returned.

    Raises DataError for a table that cannot be used, ProviderError for a provider that has the kind already,
    OutputError where the disk refuses.
    """
    provider = Path(provider).expanduser().absolute()
    if not re.fullmatch(r"[A-Za-z_]\w*", kind, re.ASCII):
        raise DataError(f"{kind!r} is no name for a kind of relation: take letters, digits and _.")
    check_provider(provider)
    file = _file(provider, kind)
    if file.exists() and not overwrite:
        raise ProviderError(f"{provider} has relations of the kind {kind} already: take another name, or --overwrite.")
    known = instruments_with_features(provider)
    rows, stocks = _checked(table, known)
    kept = rows.filter(pl.all_horizontal(pl.col(stocks).is_in(list(known))))
    named = pl.concat([rows[column] for column in stocks]).unique()
    if kept.is_empty():
        example = f", such as {named.sort()[0]}," if len(named) else ""
        raise DataError(
            f"No row of the table is of instruments in {provider}, its {len(named)}{example} are not there."
        )
    content = io.BytesIO()
    kept.write_parquet(content)
    write_checked(file, content.getvalue(), "Make room and run once more.")
    instruments = pl.concat([kept[column] for column in stocks]).n_unique()
    return Written(len(kept), instruments, sorted(set(named) - known))


def read_relations(provider: str | Path, kinds: Sequence[str]) -> dict[str, pl.DataFrame]:
    """The tables of some kinds of relations, in their order.

    A kind is one that ``write_relations`` keeps, or a daily field such as $industry, whose equal values relate. Raises
    DataError for a kind that the provider lacks or whose file has changed, ProviderError for a field that it lacks.
    """
    provider = Path(provider).expanduser().absolute()
    require_relations(provider, [kind for kind in kinds if not kind.startswith("$")])
    return {
        kind: memberships_of_field(provider, kind[1:]) if kind.startswith("$") else _kept(_file(provider, kind))
        for kind in kinds
    }


def require_relations(provider: Path, kinds: Sequence[str]) -> None:
    """Raise DataError, with the nearest name, for a kind of relations that is not kept beside the provider."""
    there = sorted(file.stem for file in (provider / FOLDER).glob("*.parquet"))
    for kind in kinds:
        if kind not in there:
            near = get_close_matches(kind, there, n=1, cutoff=0.0)
            hint = f"did you mean {near[0]}? It has {', '.join(there)}" if near else "it has none"
            raise DataError(
                f"{provider} has no relations of the kind {kind!r}, {hint}; `qlib-ext relations` makes them of a table."
            )


def memberships_of_field(provider: str | Path, field: str) -> pl.DataFrame:
    """Memberships by the value of a daily field, such as industry: a stock is in the group of its value of the day.

    Raises ProviderError where no stock has the field.
    """
    provider = Path(provider).expanduser().absolute()
    days = check_provider(provider).to_numpy().astype("datetime64[D]")
    symbols = sorted(instruments_with_field(provider, field.lower()))
    parts = []
    for symbol, values in zip(symbols, read_panels(provider, [field.lower()], symbols)[field.lower()].T, strict=True):
        begins = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
        ends = np.append(begins[1:], len(values)) - 1
        there = ~np.isnan(values[begins])
        begins, ends = begins[there], ends[there]
        parts.append(
            pl.DataFrame(
                {
                    "instrument": [symbol] * len(begins),
                    "group": [np.format_float_positional(value, trim="-") for value in values[begins]],
                    "from": days[begins],
                    "to": days[ends],
                },
                schema={"instrument": pl.String, "group": pl.String, "from": pl.Date, "to": pl.Date},
            )
        )
    if not parts:
        raise ProviderError(f"None of the instruments of {provider} has the field ${field}.")
    return pl.concat(parts)


def _kept(file: Path) -> pl.DataFrame:
    content = read_checked(file)
    if content is None:
        raise DataError(
            f"{file} is not as `qlib-ext relations` wrote it: it is damaged, or something else wrote it. Write it "
            "again with --overwrite."
        )
    return pl.read_parquet(io.BytesIO(content))


def _file(provider: Path, kind: str) -> Path:
    return provider / FOLDER / f"{kind}.parquet"


def _checked(table: pl.DataFrame, known: set[str]) -> tuple[pl.DataFrame, list[str]]:
    """The rows of a table that can be used, stocks named as the provider's ``known``, and its columns of stocks."""
    kinds = [columns for columns in (MEMBERSHIP, EDGE) if set(columns) <= set(table.columns)]
    if len(kinds) != 1 or "from" not in table.columns:
        raise DataError(
            "A table of relations has the columns instrument, group, from, to, or source, target, weight, from, to; "
            f"this one has {', '.join(table.columns)}."
        )
    edges = kinds[0] == EDGE
    stocks = ["source", "target"] if edges else ["instrument"]
    to = table["to"] if "to" in table.columns else pl.Series("to", [None] * len(table), dtype=pl.String)
    text = to.cast(pl.String).str.strip_chars().replace("", None)
    rows = pl.DataFrame(
        [
            *(named_as(known, as_text(table[column])).alias(column) for column in stocks),
            *([] if edges else [table["group"].cast(pl.String).str.strip_chars().replace("", None)]),
            *([_weights(table)] if edges else []),
            read_days(table["from"]).alias("from"),
            read_days(to).alias("to"),
        ]
    )
    for column in stocks:
        refuse_rows(table, rows[column].is_null(), column, "an instrument such as SH600000")
    if not edges:
        refuse_rows(table, rows["group"].is_null(), "group", "the name of a group")
    refuse_rows(table, rows["from"].is_null(), "from", "a day such as 2023-02-01")
    if "to" in table.columns:
        refuse_rows(table, text.is_not_null() & rows["to"].is_null(), "to", "empty or a day such as 2023-02-01")
    _refuse_spans(
        rows, rows.select(pl.col("from") > pl.col("to")).to_series().fill_null(False), "end before they begin"
    )
    if edges:
        _refuse_spans(rows, rows["source"] == rows["target"], "relate a stock to itself")
    key = list(kinds[0])
    rows = rows.sort(*key, "from")
    again = pl.all_horizontal(pl.col(column) == pl.col(column).shift() for column in key)
    still = pl.col("to").shift().is_null() | (pl.col("to").shift() >= pl.col("from"))
    _refuse_spans(
        rows, rows.select(again & still).to_series().fill_null(False), "begin before an earlier span of theirs ends"
    )
    return rows, stocks


def _weights(table: pl.DataFrame) -> pl.Series:
    if "weight" not in table.columns:
        return pl.Series("weight", [1.0] * len(table), dtype=pl.Float64)
    weights = table["weight"].cast(pl.Float64, strict=False)
    refuse_rows(table, ~weights.is_finite().fill_null(False), "weight", "a finite number")
    return weights


def _refuse_spans(rows: pl.DataFrame, wrong: pl.Series, what: str) -> None:
    if wrong.any():
        row = ", ".join(f"{name} {value}" for name, value in rows.filter(wrong).row(0, named=True).items())
        raise DataError(f"{wrong.sum()} of {len(rows)} rows {what}, first {row}; mend the table.")

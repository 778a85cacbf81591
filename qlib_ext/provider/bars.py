"""A table of day bars -> a Qlib provider: adjusted prices, universes, and what looks wrong, counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path

import pandas as pd
import polars as pl

from qlib_ext.errors import DataError
from qlib_ext.provider.check import check_features
from qlib_ext.provider.dates import EXCHANGE_ZONE, as_text, read_days
from qlib_ext.provider.facts import ProviderFacts
from qlib_ext.provider.names import codes_of, is_field, short_codes
from qlib_ext.provider.tables import numbers_of, refuse_rows
from qlib_ext.provider.writer import Span, write_provider

PRICES = ("open", "high", "low", "close")
NEEDED = ("instrument", "date", *PRICES, "volume")
KNOWN = (*NEEDED, "vwap", "amount", "factor", "change", "turnover")
CLOSE_NAME = 0.75  # of a column that is taken for a misspelt one
JUMP = 0.35  # beyond every board's limit of a day
FREE_DAYS = 5  # of a new listing, on which there is no limit
WRONG_UNIT = 10.0  # between amount / volume and the close, for which no market moves
# of a code without its exchange; an index has the code of another exchange's stock, and needs its own
EXCHANGES = (("^(6|90)", "SH"), ("^[023]", "SZ"), ("^(4|8|92)", "BJ"))


@dataclass(frozen=True)
class Written:
    """A provider that was written: what it holds, and a sentence for each thing that looks wrong."""

    facts: ProviderFacts
    warnings: list[str] = field(default_factory=list)


def write_bars(
    folder: str | Path,
    bars: pl.DataFrame,
    members: Mapping[str, pl.DataFrame] | None = None,
    indices: Sequence[str] = (),
    overwrite: bool = False,
) -> Written:
    """Write a provider of day bars, whole or not at all, and check it.

    bars      rows (instrument, date, open, high, low, close, volume), one a stock and day, and further columns of
              numbers, each of which becomes a field. With a column factor prices (also vwap) are as traded and are
              written times the factor, volume divided by it; without one they are taken as adjusted, and factor is 1.
              Without vwap it is ``amount / volume``, where there is an amount: yuan and shares, not lots
    members   universe -> rows (instrument, start, end), both days included; an empty end: until now
    indices   instruments of the bars that are indices, and not in the universe ``all``

    Instruments are SH600000, 600000.SH, sh.600000 or 600000. Empty prices are days without trading.

    Raises DataError for tables that cannot be used, ProviderError for a folder that holds something else.
    """
    rows = _checked(bars)
    rows, warnings = _adjusted(rows)
    index = set(named(pl.Series("instrument", list(indices), dtype=pl.String)))
    if unknown := sorted(index - {*rows["instrument"]}):
        raise DataError(f"The index {unknown[0]} has no row among the bars; it has the name of its exchange, SH000300.")
    stocks = rows.filter(~pl.col("instrument").is_in(list(index)))
    if stocks.is_empty():
        raise DataError("The bars are of indices alone; give those of stocks as well.")
    warnings += _jumps(stocks) + _odd_days(stocks)
    listed = stocks.group_by("instrument").agg(first=pl.col("date").min(), last=pl.col("date").max())
    universes: dict[str, list[Span]] = {"all": listed.sort("instrument").rows()}
    calendar = pd.DatetimeIndex(rows["date"].unique().sort().to_list())
    for name, table in (members or {}).items():
        universes[name], some = _members(name, table, {*listed["instrument"]}, calendar[-1].date())
        warnings += some
    written = write_provider(
        folder, calendar, _frames(rows), universes, about={"made": "qlib-ext provider"}, overwrite=overwrite
    )
    check_features(written, [*PRICES, "volume", "factor"], {*rows["instrument"]})
    return Written(ProviderFacts.of(written), warnings)


def named(instruments: pl.Series) -> pl.Series:
    """Instruments as SH600000: the exchange of a bare code is that of its first digits; others in capital letters.

    Raises DataError for codes of fewer than six digits.
    """
    names = as_text(instruments).str.strip_chars().str.to_uppercase().alias("security")
    if (short := short_codes(names)).any():
        raise DataError(
            f"{short.sum()} of {len(names)} rows have an instrument of fewer than six digits, first "
            f"{names.filter(short)[0]}: leading zeros lost. Keep the codes as text, 000001."
        )
    codes = codes_of(names).with_columns(names)
    for digits, exchange in EXCHANGES:
        bare = pl.col("exchange").is_null() & pl.col("code").str.contains(digits)
        codes = codes.with_columns(exchange=pl.when(bare).then(pl.lit(exchange)).otherwise("exchange"))
    return codes.select(pl.coalesce(pl.concat_str("exchange", "code"), "security")).to_series()


def _checked(bars: pl.DataFrame) -> pl.DataFrame:
    """Rows (instrument, date, fields as float64) sorted by both; raises DataError for what cannot be used."""
    bars = bars.rename({name: name.strip().lower() for name in bars.columns})
    for name in NEEDED:
        if name not in bars.columns:
            near = get_close_matches(name, bars.columns, n=1)
            hint = f", but {near[0]!r}: rename it" if near else f"; it has {', '.join(bars.columns)}"
            raise DataError(f"The bars have no column {name!r}{hint}.")
    fields = [name for name in bars.columns if name not in ("instrument", "date")]
    for name in fields:
        near = get_close_matches(name, KNOWN, n=1, cutoff=CLOSE_NAME)
        if name not in KNOWN and near and near[0] not in fields:
            raise DataError(f"The bars have a column {name!r}, and none {near[0]!r}: rename it, or name it otherwise.")
        if not is_field(name):
            raise DataError(
                f"The column {name!r} is no name for a field, $name in expressions; rename or leave it out."
            )
    if bars.is_empty():
        raise DataError("The bars have no row; see whether the table was written.")
    days = read_days(bars["date"])
    refuse_rows(bars, days.is_null(), "date", f"a day such as 2023-02-01, or its midnight in {EXCHANGE_ZONE}")
    today = pd.Timestamp.now(EXCHANGE_ZONE).date()
    refuse_rows(bars, (days > today).fill_null(False), "date", f"a day that has come, {today} at the latest")
    refuse_rows(bars, as_text(bars["instrument"]).str.strip_chars().fill_null("") == "", "instrument", "an instrument")
    rows = pl.DataFrame({"instrument": named(bars["instrument"]), "date": days})
    rows = rows.with_columns(numbers_of(bars, name) for name in fields)
    for name in (*PRICES, *({"vwap", "factor"} & set(fields))):
        refuse_rows(bars, (rows[name] <= 0).fill_null(False), name, "above 0; leave it empty on days without trading")
    refuse_rows(bars, (rows["volume"] < 0).fill_null(False), "volume", "at least 0")
    high, low = (rows.select(f(*PRICES)).to_series() for f in (pl.max_horizontal, pl.min_horizontal))
    refuse_rows(bars, ((rows["high"] < high) | (rows["low"] > low)).fill_null(False), "high", "the day's highest price")
    if (twice := rows.select("instrument", "date").is_duplicated()).any():
        row = rows.filter(twice).row(0, named=True)
        raise DataError(
            f"{twice.sum()} rows have a twin, first those of {row['instrument']} on {row['date']}; leave one for each "
            "stock and day."
        )
    return rows.sort("instrument", "date")


def _adjusted(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Prices times factor and volume over it, with vwap where it can be known; what cannot be is a warning."""
    warnings = []
    if "vwap" not in rows.columns and "amount" in rows.columns:
        traded = pl.when(pl.col("volume") > 0).then(pl.col("amount") / pl.col("volume"))
        rows = rows.with_columns(vwap=traded)
        ratio = rows.select((pl.col("vwap") / pl.col("close")).median()).item()
        if ratio is not None and not 1 / WRONG_UNIT < ratio < WRONG_UNIT:
            raise DataError(
                f"amount / volume is {ratio:.3g} times the close on a median day: volume is in shares, not in lots of "
                "100, and amount in yuan, not in thousands. Convert them, or leave amount out."
            )
    if "vwap" not in rows.columns:
        warnings.append(
            "There is no vwap and no amount to make it of: workflows that trade at $vwap do not run, "
            "yahoo_csi300_gru and yahoo_csi300_lightgbm do."
        )
    if "factor" not in rows.columns:
        return rows.with_columns(factor=pl.lit(1.0)), warnings
    refuse_rows(rows, rows["factor"].is_null() & rows["close"].is_not_null(), "factor", "known where there is a close")
    prices = [name for name in (*PRICES, "vwap") if name in rows.columns]
    return rows.with_columns(pl.col(prices) * pl.col("factor"), volume=pl.col("volume") / pl.col("factor")), warnings


def _jumps(rows: pl.DataFrame) -> list[str]:
    """A warning of closes that move further than any limit lets them: prices that were not adjusted."""
    traded = rows.drop_nulls("close").with_columns(
        move=(pl.col("close") / pl.col("close").shift(1).over("instrument") - 1).abs(),
        age=pl.col("date").cum_count().over("instrument"),
    )
    far = traded.filter((pl.col("move") > JUMP) & (pl.col("age") > FREE_DAYS)).sort("date")
    if far.is_empty():
        return []
    first = far.row(0, named=True)
    return [
        f"{len(far)} closes of {far['instrument'].n_unique()} stocks move by more than {JUMP:.0%} from the one before, "
        f"first {first['instrument']} on {first['date']} by {first['move']:.0%}: where these are splits and dividends, "
        "the prices are not adjusted. Give a column factor, or adjusted prices."
    ]


def _odd_days(rows: pl.DataFrame) -> list[str]:
    """A warning of days that are no trading days."""
    weekend = rows.filter(pl.col("date").dt.weekday() > 5)["date"].unique().sort()
    return [f"{len(weekend)} days are Saturdays or Sundays, first {weekend[0]}."] if len(weekend) else []


def _members(name: str, table: pl.DataFrame, listed: set[str], last: date) -> tuple[list[Span], list[str]]:
    """The spans of a universe, and a warning of those of its stocks that have no bars."""
    if missing := [column for column in ("instrument", "start", "end") if column not in table.columns]:
        raise DataError(f"The members of {name} have no column {missing[0]!r}, but {', '.join(table.columns)}.")
    spans = pl.DataFrame({"instrument": named(table["instrument"])})
    spans = spans.with_columns(read_days(table[column]).alias(column) for column in ("start", "end"))
    refuse_rows(table, spans["start"].is_null(), "start", "a day such as 2023-02-01")
    open_end = as_text(table["end"]).str.strip_chars().fill_null("") == ""
    refuse_rows(table, spans["end"].is_null() & ~open_end, "end", "a day such as 2023-02-01, or empty")
    spans = spans.with_columns(pl.col("end").fill_null(pl.max_horizontal("start", pl.lit(last))))
    refuse_rows(table, spans["end"] < spans["start"], "end", "on or after its start")
    without = sorted({*spans["instrument"]} - listed)
    if len(without) == spans["instrument"].n_unique():
        raise DataError(f"None of the {len(without)} members of {name} has bars, first {without[0]}: name them alike.")
    rows = spans.sort("instrument", "start").rows()
    if not without:
        return rows, []
    count = spans["instrument"].n_unique()
    return rows, [f"{len(without)} of {count} members of {name} have no bars, first {without[0]}."]


def _frames(rows: pl.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for (instrument,), own in rows.partition_by("instrument", as_dict=True, maintain_order=True).items():
        frame = own.drop("instrument").to_pandas().set_index("date")
        frame.index = pd.DatetimeIndex(frame.index)
        yield str(instrument), frame

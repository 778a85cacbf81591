"""What an account holds: shares as a broker counts them, and what makes them those of adjusted prices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from qlib_ext.errors import DataError
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.names import instruments_with_features, named_as
from qlib_ext.provider.panels import above_zero, read_panels
from qlib_ext.provider.tables import read_table

COLUMNS = ("instrument", "shares")
HELD_DAYS = "days"  # the column of trading days that a holding has been held
INDEX = r"^(SH000|SZ399)\d{3}$"  # the codes that the exchanges keep for their indices


def read_holdings(path: str | Path, provider: Path) -> pd.DataFrame:
    """A table of holdings by instrument: shares, and days where the file has them.

    path   CSV or Parquet with the columns instrument, shares and, where the strategy asks how long a stock has been
           held, days: of trading. Shares are those of the broker, fractions allowed; rows of none are left out. Codes
           are the provider's or 600000.SH

    Raises DataError for a file that is none or lacks a column, a number that is none or below 0, an instrument that is
    unknown to the provider or an index, one that is there twice, and days that are not whole.
    """
    table = read_table(path)
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise DataError(
            f"{path} has no column {missing[0]!r}, it has {', '.join(table.columns)}. Holdings are the columns "
            "instrument and shares."
        )
    if "side" in table.columns:
        raise DataError(f"{path} is a file of orders, it has the column 'side'. Name that of the holdings.")
    table = table.filter(~pl.all_horizontal(pl.all().is_null()))  # empty lines
    known = instruments_with_features(provider)
    names = named_as(known, table["instrument"])
    columns = [name for name in ("shares", HELD_DAYS) if name in table.columns]
    numbers = table.select(pl.col(columns).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False))
    for column in columns:
        wrong = ~(numbers[column].is_finite() & (numbers[column] >= 0)).fill_null(False)
        if wrong.any():
            row = wrong.arg_true()[0]
            raise DataError(
                f"{path} has {wrong.sum()} rows whose {column} is no number of 0 or more, first "
                f"{table['instrument'][row]}: {table[column][row]!r}. Short positions are not supported."
            )
    if HELD_DAYS in columns and (part := numbers[HELD_DAYS] % 1 != 0).any():
        row = part.arg_true()[0]
        raise DataError(
            f"{path} has {part.sum()} rows whose {HELD_DAYS} is no whole number, first {table['instrument'][row]}: "
            f"{table[HELD_DAYS][row]!r}. It counts trading days."
        )
    if (unknown := ~names.is_in(list(known)).fill_null(False)).any():
        raise DataError(
            f"{path} has {unknown.sum()} instruments that are unknown to the provider {provider}, first "
            f"{table['instrument'].filter(unknown)[0]!r}. Name them as the provider does, SH600000 or 600000.SH; leave "
            "out what the strategy does not trade."
        )
    if (index := names.str.contains(INDEX).fill_null(False)).any():
        raise DataError(
            f"{path} has {index.sum()} indices among the holdings, first {names.filter(index)[0]}, and nobody holds "
            "shares of an index. Name the stocks or leave it out."
        )
    if (twice := names.is_duplicated()).any():
        first = names.filter(twice)[0]
        raise DataError(
            f"{path} has {names.filter(twice).n_unique()} instruments more than once, first {first}. Add their shares "
            "up."
        )
    frame = pd.DataFrame({name: numbers[name].to_numpy() for name in columns}, index=names.to_list())
    return frame[frame["shares"] > 0].rename_axis("instrument")


def last_bars(provider: Path, stocks: Sequence[str], day: pd.Timestamp) -> pd.DataFrame:
    """The last adjusted close and factor of each stock at the close of a day: columns close, factor, NaN for none.

    A column ``day``: that of the last close, NaT for none.
    """
    calendar = read_calendar(provider)
    end = int(calendar.searchsorted(day, side="right"))
    panels = read_panels(provider, ["close", "factor"], stocks, 0, end)
    frames = {name: pd.DataFrame(above_zero(values), columns=list(stocks)) for name, values in panels.items()}
    last = pd.DataFrame({name: frame.ffill().iloc[-1] for name, frame in frames.items()}, index=list(stocks))
    there = frames["close"].notna().to_numpy()
    place = end - 1 - there[::-1].argmax(0)  # of the last close, by stock
    return last.assign(day=np.where(there.any(0), calendar.to_numpy()[place], np.datetime64("NaT")))

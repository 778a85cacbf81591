"""What the rows of one day must not be: by themselves (``FAULTS``), and together.

Together: order in time, duplicates, trades against minute bars. Every message names the count and the first instrument
and time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time

import polars as pl

from qlib_ext.errors import DataError
from qlib_ext.ticks.schema import by_stock
from qlib_ext.ticks.sessions import minute_of

_CANCEL = pl.col("kind") == "cancel"


def _not_positive(name: str) -> pl.Expr:
    return ~((pl.col(name) > 0) & pl.col(name).is_finite())


def _not_of(name: str, *values: str) -> pl.Expr:
    return pl.all_horizontal(pl.col(name) != value for value in values)  # a third of the time of is_in


def _outside(morning: time) -> pl.Expr:
    """Whether a time has no minute in ``sessions``, from the morning's start on; by comparison, which is cheap."""
    return ~(
        pl.col("time").is_between(morning, time(11, 31), closed="left")
        | pl.col("time").is_between(time(13), time(15, 1), closed="left")
    )


# source -> fault -> expression that is true for a faulty row
FAULTS: dict[str, dict[str, pl.Expr]] = {
    "trades": {
        "price is not above 0": _not_positive("price"),
        "volume is not above 0": pl.col("volume") <= 0,
        "amount is not above 0": _not_positive("amount"),
        "time is outside the session": _outside(time(9, 15)),
        "side is none of B, S, N": _not_of("side", "B", "S", "N"),
    },
    "orders": {
        "price is not above 0": _not_positive("price") & ~_CANCEL,  # Shenzhen's cancels carry none
        "volume is not above 0": pl.col("volume") <= 0,
        "time is outside the session": _outside(time(9, 15)),
        "side is none of B, S": _not_of("side", "B", "S"),
        "kind is none of add, cancel": _not_of("kind", "add", "cancel"),
    },
    "minute": {
        **{f"{name} is not above 0": _not_positive(name) for name in ("open", "high", "low", "close")},
        "high is below low": pl.col("high") < pl.col("low"),
        "volume is negative": pl.col("volume") < 0,
        "amount is negative": ~((pl.col("amount") >= 0) & pl.col("amount").is_finite()),
        "count is negative": pl.col("count") < 0,
        "time is outside the session": _outside(time(9, 30)),
    },
}
# rows that agree in these are compared in every column
_ALIKE = {"trades": ("time", "buy_order", "sell_order"), "orders": ("time", "order_id", "kind")}


def check_rows(frame: pl.DataFrame, faults: Mapping[str, pl.Expr], source: str) -> None:
    """Raise DataError for a missing value, or for the first of ``FAULTS`` that any row of a frame has."""
    tests = {**{f"{name} is missing": pl.col(name).is_null() for name in frame.columns}, **faults}
    for fault, test in tests.items():
        refuse(frame.filter(test), source, fault, "correct the file, or leave these rows out")


def check_batch(rows: pl.DataFrame, kind: str, source: str) -> None:
    """Raise DataError where times go back within an instrument, and where rows are there twice.

    kind: "trades" or "orders", whose twins are equal in every column, or "minute", where one minute has two bars.
    """
    stocks = by_stock(rows)
    same = pl.col("stock") == pl.col("stock").shift()
    if kind == "minute":
        _check_minutes(stocks, source)
        return
    back = stocks.filter(same & (pl.col("time") < pl.col("time").shift()))
    refuse(back, source, "time goes back", "sort each instrument by the exchange's sequence number")
    # times do not go back: twins stand among neighbours of one time, and hashes are a cheap first look at those
    after = (same & (pl.col("time") == pl.col("time").shift())).fill_null(False)
    alike = pl.struct("stock", *_ALIKE[kind])
    near = stocks.lazy().filter(after | after.shift(-1, fill_value=False)).select(alike.hash()).collect().to_series()
    if near.n_unique() < len(near):
        twins = stocks.filter(alike.is_duplicated()).filter(pl.struct(rows.columns).is_duplicated())
        refuse(twins, source, "a row is there more than once", "remove the twins")


def _check_minutes(stocks: pl.DataFrame, source: str) -> None:
    """Raise DataError for bars that are named by the minute's end, and for two bars of one minute.

    Named by their start, the bars of a morning begin with 09:30 and end with 11:29.
    """
    stocks = stocks.with_columns(minute=minute_of(pl.col("time")))
    twice = stocks.filter(pl.struct("stock", "minute").is_duplicated())
    begins = stocks["time"].is_between(time(9, 30), time(9, 31), closed="left").any()
    if len(twice) or not begins:
        noon = stocks.filter(pl.col("time").is_between(time(11, 30), time(11, 31), closed="left"))
        remedy = (
            "name them by its start: take a minute off each time, and join the bar of the opening auction to the next"
        )
        refuse(noon, source, "bars are named by the end of their minute, 11:30 the last of the morning,", remedy)
    refuse(twice, source, "two bars of one minute", "keep one of them")


def check_reconciled(
    trades: pl.LazyFrame | pl.DataFrame, minute: pl.LazyFrame | pl.DataFrame, tolerance: float = 1e-6
) -> None:
    """Raise DataError where the volume or amount of a stock-day's trades is not that of its minute bars.

    Both are sums from 09:30:00 on; a stock without bars has 0 in them, one without trades is not looked at.
    tolerance: the relative difference allowed.
    """
    both = _sums(trades).join(_sums(minute), on="instrument", how="left", suffix="_minute").fill_null(0)
    both = both.sort("instrument")
    for name in ("volume", "amount"):
        ours, theirs = pl.col(name), pl.col(f"{name}_minute")
        if len(off := both.filter((ours - theirs).abs() > tolerance * ours)):
            stock = off.row(0, named=True)
            raise DataError(
                f"The {name} of trades and minute bars differ for {len(off)} of {len(both)} instruments, first "
                f"{stock['instrument']}: {stock[name]:.0f} in trades, {stock[name + '_minute']:.0f} in minute bars. "
                "Both must hold 09:30-15:00 without the opening auction; leave --minute out to build bars from trades."
            )


def _sums(frame: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """The volume and amount of each instrument's two sessions."""
    session = frame.lazy().filter(minute_of(pl.col("time")).is_not_null())
    sums = session.group_by("instrument").agg(pl.col("volume", "amount").sum().cast(pl.Float64))
    return sums.collect(engine="streaming")


def refuse(wrong: pl.DataFrame, source: str, fault: str, remedy: str) -> None:
    """Raise DataError naming source, fault, count and the first of the wrong rows, if there are any, and a remedy."""
    if len(wrong):
        row = wrong.row(0, named=True)
        values = ", ".join(f"{name} {value}" for name, value in row.items() if name not in ("stock", "minute"))
        raise DataError(f"{source}: {fault} in {len(wrong)} rows, first {values}: {remedy}.")

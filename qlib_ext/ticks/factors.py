"""All 27 factors of one day, and its flows by order size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import polars as pl

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.ticks import minute_factors, order_factors, order_flows, trade_factors
from qlib_ext.ticks.bars import minute_bars
from qlib_ext.ticks.check import check_batch
from qlib_ext.ticks.schema import SCHEMAS, by_stock, check_schema

FAMILIES: dict[str, list[str]] = {
    "minute": minute_factors.NAMES,
    "trades": trade_factors.NAMES,
    "orders": order_factors.NAMES,
}
FLOWS = "flows"  # a family that is made where it is asked for
BUILT = FAMILIES | {FLOWS: order_flows.NAMES}
BATCH_ROWS = 4_000_000

Frame = pl.LazyFrame | pl.DataFrame
Makers = dict[str, Callable[[pl.DataFrame], pl.DataFrame]]  # family -> its factors from a source's rows


def day_factors(
    minute: Frame | None = None,
    trades: Frame | None = None,
    orders: Frame | None = None,
    big: float = 1.0,
    families: Collection[str] = tuple(FAMILIES),
    batch_rows: int = BATCH_ROWS,
) -> pl.DataFrame:
    """The factors of one day's frames: one row an instrument, sorted, those of ``families`` that the frames allow.

    Minute bars are built from the trades when there are none. Undefined factors are NaN, never 0. A frame is read in
    batches of instruments of about ``batch_rows`` rows each, so that a day larger than memory can be scanned lazily;
    files sorted by instrument are read faster, in less memory.

    minute, trades, orders: the columns of schema.MINUTES, TRADES, ORDERS. big: the standard deviations by which the log
    of a big order's amount exceeds the mean. families: some of BUILT; what no family needs is not computed.
    Raises DataError for missing or wrong columns, times that go back, rows that are there twice, a day without rows, or
    where no frame allows a family.
    """
    of_minute: Makers = {"minute": minute_factors.minute_factors}
    of_trades: Makers = {"trades": lambda rows: trade_factors.trade_factors(rows, big), FLOWS: order_flows.order_flows}
    of_orders: Makers = {"orders": order_factors.order_factors}
    if minute is None:
        of_trades["minute"] = lambda rows: minute_factors.minute_factors(minute_bars(rows))
    sources = (("minute", minute, of_minute), ("trades", trades, of_trades), ("orders", orders, of_orders))
    parts = []
    for source, frame, makers in sources:
        wanted = [make for family, make in makers.items() if family in families]
        if frame is not None and wanted:
            check_schema(frame, SCHEMAS[source], source)
            batches = _batches(frame, source, batch_rows)
            parts.append(pl.concat([_joined(stocks, [make(rows) for make in wanted]) for stocks, rows in batches]))
    if not parts:
        raise ConfigError("day_factors needs at least one of minute, trades and orders, and a family that it allows.")
    return _side_by_side(parts)


def _batches(frame: Frame, source: str, batch_rows: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Runs of instruments, in alphabetical order, and their rows, about so many at a time, checked."""
    counts = frame.lazy().group_by("instrument").agg(rows=pl.len()).sort("instrument").collect(engine="streaming")
    if counts.is_empty():
        raise DataError(f"{source} has no row: leave out a day without {source}.")
    for batch in counts.with_columns(batch=pl.col("rows").cum_sum() // batch_rows).partition_by("batch"):
        stocks = batch.select("instrument")
        first, last = pl.lit(stocks["instrument"][0]), pl.lit(stocks["instrument"][-1])
        # put stock by stock here, once, since every step below asks for it
        rows = by_stock(frame.lazy().filter(pl.col("instrument").is_between(first, last))).drop("stock")
        check_batch(rows, source, source)
        yield stocks, rows


def _side_by_side(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """One row an instrument that any part has, with the factors of all parts in the order of BUILT."""
    stocks = pl.concat([part.select("instrument") for part in parts]).unique().sort("instrument")
    table = _joined(stocks, parts)
    names = [name for family in BUILT.values() for name in family if name in table.columns]
    return table.select("instrument", pl.col(names).cast(pl.Float64).fill_null(float("nan")))


def _joined(stocks: pl.DataFrame, parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The columns of all parts beside the instruments, null where a part does not have one."""
    for part in parts:
        stocks = stocks.join(part, on="instrument", how="left")
    return stocks

"""The three frames of a day: trades, orders, minute bars. Column names and types, and rows numbered by their stock.

Rows of one instrument stand in the order in which they happened. Files are read fastest when they are sorted by
instrument, since a batch of instruments then skips the row groups of the others.
"""

from __future__ import annotations

import polars as pl

from qlib_ext.errors import DataError

TRADES: dict[str, pl.DataType] = {
    "instrument": pl.String(),  # Qlib's symbol, SH600519
    "time": pl.Time(),
    "price": pl.Float64(),  # yuan
    "volume": pl.Int64(),  # shares
    "amount": pl.Float64(),  # yuan
    "buy_order": pl.Int64(),
    "sell_order": pl.Int64(),
    "side": pl.String(),  # B: the buyer was active, S: the seller, N: an auction, or not known
}
ORDERS: dict[str, pl.DataType] = {
    "instrument": pl.String(),
    "time": pl.Time(),
    "price": pl.Float64(),  # yuan
    "volume": pl.Int64(),  # shares
    "side": pl.String(),  # B or S
    "order_id": pl.Int64(),
    "kind": pl.String(),  # add or cancel
}
MINUTES: dict[str, pl.DataType] = {
    "instrument": pl.String(),
    "time": pl.Time(),  # the minute's start
    "open": pl.Float64(),  # yuan, as the next three
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Int64(),  # shares
    "amount": pl.Float64(),  # yuan
    "count": pl.Int64(),  # trades
}
SCHEMAS: dict[str, dict[str, pl.DataType]] = {"trades": TRADES, "orders": ORDERS, "minute": MINUTES}


def check_schema(frame: pl.LazyFrame | pl.DataFrame, schema: dict[str, pl.DataType], source: str) -> None:
    """Make sure that a frame has the columns of a schema with their types; further columns are allowed.

    Raises DataError naming the source, and every missing column or the first column of another type.
    """
    found = frame.lazy().collect_schema()
    if missing := [name for name in schema if name not in found]:
        raise DataError(
            f"{source} lacks {len(missing)} of {len(schema)} columns: {', '.join(missing)}; it has {', '.join(found)}."
        )
    wrong = [name for name, dtype in schema.items() if found[name] != dtype]
    if wrong:
        name = wrong[0]
        raise DataError(
            f"{source} has {len(wrong)} columns of another type; {name!r} is {found[name]} and must be {schema[name]}: "
            f"cast it, or read the exchange's files with qlib_ext.ticks.shanghai and qlib_ext.ticks.shenzhen."
        )


def by_stock(frame: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """The rows stock by stock, in the order given within a stock, with ``stock``, the number of their instrument.

    Grouping by small integers is much faster than by names.
    """
    rows = frame.lazy().with_columns(stock=pl.col("instrument").rle_id()).collect()
    if stock_names(rows)["instrument"].is_duplicated().any():
        # a stable sort by a column of names takes six times as long
        stocks = rows.partition_by("instrument", maintain_order=True)
        rows = pl.concat(stocks, rechunk=True).with_columns(stock=pl.col("instrument").rle_id())
    return rows


def stock_names(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns ``stock`` and ``instrument`` of a frame that ``by_stock`` has numbered, one row a stock."""
    return rows.select("stock", "instrument").filter(pl.col("stock").diff().fill_null(1) != 0)

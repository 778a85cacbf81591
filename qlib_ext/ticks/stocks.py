"""A number for each stock of a frame: grouping by small integers is much faster than by the names."""

from __future__ import annotations

import polars as pl


def by_stock(frame: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """The rows stock by stock, in the order given within a stock, with `stock`, the number of their instrument."""
    rows = frame.lazy().with_columns(stock=pl.col("instrument").rle_id()).collect()
    if names(rows)["instrument"].is_duplicated().any():
        # a stable sort by a column of names takes six times as long
        stocks = rows.partition_by("instrument", maintain_order=True)
        rows = pl.concat(stocks, rechunk=True).with_columns(stock=pl.col("instrument").rle_id())
    return rows


def names(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns `stock` and `instrument` of a frame that ``by_stock`` has numbered, one row a stock."""
    return rows.select("stock", "instrument").filter(pl.col("stock").diff().fill_null(1) != 0)

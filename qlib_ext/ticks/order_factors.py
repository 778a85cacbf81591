"""The four factors of a day's orders (exhibit 36 of the report in docs/highfreq_factors.md)."""

from __future__ import annotations

import polars as pl

from qlib_ext.ticks.schema import by_stock, stock_names
from qlib_ext.ticks.sessions import EARLY, minute_of
from qlib_ext.ticks.statistics import corr, kurt, skew

NAMES = ["skew_order_diff", "kurt_order_diff", "early_kurt_order", "corr_buyorder_volume_price"]


def order_factors(orders: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """The four order factors, one row an instrument; undefined values are null.

    Orders are the additions of the two sessions (from 09:30:00 on), cancels are left out; early is 09:30-10:00, skew
    and kurt are the adjusted sample statistics, kurt is excess.

        skew_order_diff             skew of buy volumes - skew of sell volumes
        kurt_order_diff             kurt of buy volumes - kurt of sell volumes
        early_kurt_order            kurt of early volumes, both sides together
        corr_buyorder_volume_price  corr(volume, price) of buy orders

    orders: the columns of schema.ORDERS.
    """
    volume, minute = pl.col("volume"), minute_of(pl.col("time"))
    adds = by_stock(
        orders.lazy()
        .filter((pl.col("kind") == "add") & minute.is_not_null())
        .select("instrument", "side", "price", "volume", early=minute < EARLY)
    )
    # each side filtered by itself: a filter within agg takes twice as long
    buys, sells = (adds.lazy().filter(pl.col("side") == side).group_by("stock") for side in ("B", "S"))
    early = adds.lazy().filter("early").group_by("stock").agg(early_kurt_order=kurt(volume))
    statistics = {"skew": skew(volume), "kurt": kurt(volume)}
    return (
        stock_names(adds)
        .lazy()
        .join(buys.agg(**statistics, corr=corr(volume, pl.col("price"))), on="stock", how="left")
        .join(sells.agg(**statistics), on="stock", how="left", suffix="_sell")
        .join(early, on="stock", how="left")
        .select(
            "instrument",
            "early_kurt_order",
            skew_order_diff=pl.col("skew") - pl.col("skew_sell"),
            kurt_order_diff=pl.col("kurt") - pl.col("kurt_sell"),
            corr_buyorder_volume_price="corr",
        )
        .collect()
    )

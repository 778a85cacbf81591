"""The four factors of a day's orders (exhibit 36 of the report in docs/highfreq_factors.md)."""

import polars as pl

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
    volume, price = pl.col("volume"), pl.col("price")
    buy, sell = pl.col("side") == "B", pl.col("side") == "S"
    return (
        orders.lazy()
        .with_columns(minute=minute_of(pl.col("time")))
        .filter((pl.col("kind") == "add") & pl.col("minute").is_not_null())
        .group_by("instrument")
        .agg(
            skew_order_diff=skew(volume.filter(buy)) - skew(volume.filter(sell)),
            kurt_order_diff=kurt(volume.filter(buy)) - kurt(volume.filter(sell)),
            early_kurt_order=kurt(volume.filter(pl.col("minute") < EARLY)),
            corr_buyorder_volume_price=corr(volume.filter(buy), price.filter(buy)),
        )
        .collect()
    )

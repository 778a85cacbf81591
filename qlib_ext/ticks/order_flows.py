"""The money of a day's trades by the size of the orders that traded: who bought and sold how much."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from qlib_ext.ticks.schema import by_stock, stock_names

# from which amount on, in yuan, an order is of a size
SIZES = {"small": 0.0, "medium": 50_000.0, "large": 200_000.0, "very_large": 1_000_000.0}
SIDES = {"buy": "buy_order", "sell": "sell_order"}
NAMES = [f"flow_{size}_{side}" for size in SIZES for side in SIDES]


def order_flows(trades: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """The eight flows in yuan, one row an instrument.

    An order is all trades with one buy (or sell) number, whether it was the active side or not, and its size that of
    the sum of their amounts: small below 50 thousand yuan, medium below 200 thousand, large below a million.

        flow_<size>_buy   the amount that buy orders of this size bought
        flow_<size>_sell  the amount that sell orders of this size sold

    Both sides add up to the amount of the trades. Vendors call a flow the amount of active orders alone, or sort by
    single trades: never mix the two. trades: the columns of schema.TRADES.
    Source: Orient Securities, market microstructure series 26 and 32 (2026-01-28); the limits are those in common use.
    """
    named = by_stock(trades.lazy().select("instrument", "amount", *SIDES.values()))
    day = stock_names(named).lazy()
    for side, number in SIDES.items():
        orders = named.lazy().group_by("stock", number).agg(pl.col("amount").sum())
        amount = pl.col("amount")
        sums = {
            f"flow_{size}_{side}": amount.filter((amount >= least) & (amount < most)).sum()
            for (size, least), (_, most) in pairwise([*SIZES.items(), ("", float("inf"))])
        }
        day = day.join(orders.group_by("stock").agg(**sums), on="stock", how="left")
    return day.select("instrument", *NAMES).collect()

"""The eight factors of a day's trades (exhibit 25 of the report in docs/highfreq_factors.md)."""

from __future__ import annotations

import polars as pl

from qlib_ext.ticks.bars import every_minute
from qlib_ext.ticks.check import refuse
from qlib_ext.ticks.schema import by_stock, stock_names
from qlib_ext.ticks.sessions import EARLY, minute_of
from qlib_ext.ticks.statistics import corr, ratio

NAMES = [
    "bigorder_amt_perc",
    "early_bigorder_buy_perc",
    "bigorder_ret2",
    "early_active_bigorder_ret",
    "concentration_diff",
    "early_active_buy_perc",
    "corr_netactivebuy_lastret",
    "corr_netactivebuy_nextret",
]
# an order's log amount must lie above the limit by more than this, so that among equal orders noise makes none big
_ABOVE = 1e-9
# a stock's number and an order's number make one key, stock * _ORDERS + order: grouping by it is twice as fast
_ORDERS = 2**40


def trade_factors(trades: pl.LazyFrame | pl.DataFrame, big: float = 1.0) -> pl.DataFrame:
    """The eight trade factors, one row an instrument; undefined values are null.

    An order is all trades with one buy (or sell) number. It is big when the log of its amount exceeds the mean of the
    logs of that day's, stock's and side's orders by more than ``big`` sample standard deviations. p_k is the price of
    trade k, r_m the return of minute m, net_m the amount actively bought less that actively sold in minute m.

        bigorder_amt_perc          (big buy amount + big sell amount) / (2 amount)
        early_bigorder_buy_perc    early big buy amount / (early big buy amount + early big sell amount)
        bigorder_ret2              exp(sum log(p_k / p_{k-1})) - 1 over the trades whose active order is big; where no
                                   side is known, over those with a big order on either side
        early_active_bigorder_ret  the same over the early trades whose active order is big
        concentration_diff         sum (buy order amount)^2 / amount^2 - sum (sell order amount)^2 / amount^2
        early_active_buy_perc      early amount with an active buyer / early amount
        corr_netactivebuy_lastret  corr(net_m, r_{m-1})
        corr_netactivebuy_nextret  corr(net_m, r_{m+1})

    trades: the columns of schema.TRADES, those of one instrument in the order in which they happened.
    Raises DataError for an order number outside 0..2^40.
    """
    named = by_stock(trades.lazy().drop("volume"))
    rows = _rows(named)
    buys, sells = _orders(rows, "buy_key", "B", big), _orders(rows, "sell_key", "S", big)
    day = stock_names(named).lazy().join(_day(rows), on="stock")
    day = day.join(_side(buys), on="stock").join(_side(sells), on="stock", suffix="_sell")
    for part in (_neither_side(rows, buys, sells), _flows(rows)):
        day = day.join(part, on="stock", how="left")
    return day.select("instrument", **_factors()).collect()


def _rows(named: pl.DataFrame) -> pl.DataFrame:
    """The trades of the two sessions, with keys, and ``step``: the log of the price over that of the trade before."""
    for number in ("buy_order", "sell_order"):
        outside = named.filter(~pl.col(number).is_between(0, _ORDERS, closed="left"))
        refuse(outside, "trades", f"{number} lies outside 0..2^40", "number the orders of a day from 1")
    key = pl.col("stock").cast(pl.Int64) * _ORDERS
    price, before = pl.col("price"), pl.when(pl.col("stock").diff() == 0).then(pl.col("price").shift())
    return (
        named.lazy()
        .with_columns(
            minute=minute_of(pl.col("time")), buy_key=key + pl.col("buy_order"), sell_key=key + pl.col("sell_order")
        )
        .filter(pl.col("minute").is_not_null())
        .select(
            "stock",
            "minute",
            "price",
            "amount",
            "side",
            "buy_key",
            "sell_key",
            early=pl.col("minute") < EARLY,
            step=(price / before).log(),
        )
        .collect()
    )


def _day(rows: pl.DataFrame) -> pl.LazyFrame:
    """Amounts of the day, of early trades, and of those with an active buyer (null where no early side is known)."""
    early, side = pl.col("amount").filter("early"), pl.col("side").filter("early")
    return (
        rows.lazy()
        .group_by("stock")
        .agg(
            amount=pl.col("amount").sum(),
            early_amount=early.sum(),
            early_bought=pl.when((side != "N").any()).then(early.filter(side == "B").sum()),
        )
    )


def _orders(rows: pl.DataFrame, key: str, active: str, big: float) -> pl.DataFrame:
    """One row an order of one side: its amounts, its steps as the active order, and whether it is big.

    A stock with one order has no standard deviation: ``big`` is null.
    """
    log, step = pl.col("amount").log(), pl.when(pl.col("side") == active).then("step")
    orders = (
        rows.lazy()
        .select(
            "amount",
            key=key,
            step=step,
            early_amount=pl.when("early").then("amount"),
            early_step=pl.when("early").then(step),
        )
        .group_by("key")
        .agg(
            pl.col("amount", "early_amount", "step", "early_step").sum(),
            steps=pl.col("step").count(),
            early_steps=pl.col("early_step").count(),
        )
        .with_columns(stock=(pl.col("key") // _ORDERS).cast(pl.UInt32))
        .collect()
    )
    limit = orders.group_by("stock").agg(limit=log.mean() + big * log.std() + _ABOVE)
    return orders.join(limit, on="stock").with_columns(big=log > pl.col("limit")).drop("limit")


def _side(orders: pl.DataFrame) -> pl.LazyFrame:
    """The sums over one side's big orders, and the sum of squares over all."""
    names_of_sums = ("early_amount", "step", "early_step", "steps", "early_steps")
    return (
        orders.lazy()
        .group_by("stock")
        .agg(
            pl.col(names_of_sums).filter("big").sum().name.prefix("big_"),
            big_amount=pl.when(pl.col("big").is_not_null().all()).then(pl.col("amount").filter("big").sum()),
            squares=pl.col("amount").pow(2).sum(),
        )
    )


def _neither_side(rows: pl.DataFrame, buys: pl.DataFrame, sells: pl.DataFrame) -> pl.LazyFrame:
    """The steps of the trades of no known side that have a big order on either side."""
    of_no_side = rows.filter((pl.col("side") == "N") & pl.col("step").is_not_null())
    is_big = [
        pl.col(key).is_in(orders.filter("big", pl.col("key").is_in(of_no_side[key].implode()))["key"].implode())
        for key, orders in (("buy_key", buys), ("sell_key", sells))
    ]
    return (
        of_no_side.lazy()
        .filter(pl.any_horizontal(is_big))
        .group_by("stock")
        .agg(neither_step=pl.col("step").sum(), neither_steps=pl.len())
    )


def _flows(rows: pl.DataFrame) -> pl.LazyFrame:
    """The correlations of each minute's net active buying with the return before and after it."""
    amount, side = pl.col("amount"), pl.col("side")
    bars = (
        rows.lazy()
        .with_columns(net=pl.when(side == "B").then(amount).when(side == "S").then(-amount).otherwise(0.0))
        .group_by("stock", "minute")
        .agg(open=pl.col("price").first(), close=pl.col("price").last(), net=pl.col("net").sum())
        .collect()
    )
    r, net = pl.col("r"), pl.col("net")
    starts, ends = pl.col("minute") == pl.col("first"), pl.col("minute") == pl.col("minute").max()
    return (
        every_minute(bars, "stock")
        .lazy()
        .group_by("stock")
        .agg(
            corr_netactivebuy_lastret=corr(net.filter(~starts), r.filter(~ends)),
            corr_netactivebuy_nextret=corr(net.filter(~ends), r.filter(~starts)),
        )
    )


def _factors() -> dict[str, pl.Expr]:
    """The factors by name, from the sums of a day."""

    def both(name: str) -> pl.Expr:
        return pl.col(name) + pl.col(f"{name}_sell")

    def moved(step: pl.Expr, steps: pl.Expr) -> pl.Expr:
        return pl.when(big.is_not_null() & (steps > 0)).then(step.exp() - 1)

    big, amount = both("big_amount"), pl.col("amount")
    neither, neither_steps = pl.col("neither_step").fill_null(0), pl.col("neither_steps").fill_null(0)
    return {
        "bigorder_amt_perc": ratio(big, 2 * amount),
        "early_bigorder_buy_perc": pl.when(big.is_not_null()).then(
            ratio(pl.col("big_early_amount"), both("big_early_amount"))
        ),
        "bigorder_ret2": moved(both("big_step") + neither, both("big_steps") + neither_steps),
        "early_active_bigorder_ret": moved(both("big_early_step"), both("big_early_steps")),
        "concentration_diff": ratio(pl.col("squares") - pl.col("squares_sell"), amount.pow(2)),
        "early_active_buy_perc": ratio(pl.col("early_bought"), pl.col("early_amount")),
        "corr_netactivebuy_lastret": pl.col("corr_netactivebuy_lastret"),
        "corr_netactivebuy_nextret": pl.col("corr_netactivebuy_nextret"),
    }

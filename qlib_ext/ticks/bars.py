"""Minute bars: built from trades, and laid out so that every minute of the day has its row."""

from __future__ import annotations

import polars as pl

from qlib_ext.provider.sessions import MINUTES_A_DAY
from qlib_ext.ticks.schema import MINUTES, by_stock, stock_names
from qlib_ext.ticks.sessions import minute_of, start_of

_PRICES = ("open", "high", "low")


def minute_bars(trades: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """The minute bars of one day's trades: open, high, low, close, volume, amount and count of trades.

    The opening auction is left out, the closing auction belongs to the last minute; a minute without trades has no row.
    trades: the columns of schema.TRADES, those of one instrument in the order in which they happened.
    Sorted by instrument and time.
    """
    price = pl.col("price")
    rows = by_stock(trades.lazy().select("instrument", "time", "price", "volume", "amount"))
    bars = (
        rows.lazy()
        .select("stock", "price", "volume", "amount", minute=minute_of(pl.col("time")))
        .filter(pl.col("minute").is_not_null())
        .group_by("stock", "minute")
        .agg(
            open=price.first(),
            high=price.max(),
            low=price.min(),
            close=price.last(),
            volume=pl.col("volume").sum(),
            amount=pl.col("amount").sum(),
            count=pl.len().cast(pl.Int64),
        )
        .join(stock_names(rows).lazy(), on="stock")
        .sort("instrument", "minute")
        .with_columns(time=start_of(pl.col("minute")))
    )
    return bars.select(list(MINUTES)).collect()


def every_minute(bars: pl.DataFrame, stock: str = "instrument") -> pl.DataFrame:
    """A row for each minute from a stock's first trade to the close, with the return ``r``.

    bars: one row a minute with trades: the stock's column, ``minute`` (0..239), ``open``, ``close`` and others. A
    minute that is missing carries the last close as its prices (open, high, low, close), and 0 in every other column.

        r_m = close_m / close_{m-1} - 1,  r of the first minute = close / open - 1

    Sorted by stock and minute; ``first`` is the stock's first minute.
    """
    minutes = pl.DataFrame({"minute": range(MINUTES_A_DAY)}, schema={"minute": pl.Int16})
    first = bars.group_by(stock).agg(first=pl.col("minute").min())
    grid = first.join(minutes, how="cross").filter(pl.col("minute") >= pl.col("first")).sort(stock, "minute")
    prices = [name for name in _PRICES if name in bars.columns]
    flows = [name for name in bars.columns if name not in (stock, "minute", "close", *prices)]
    # the first minute of a stock has a close, so that filling forward never reaches into another stock
    full = grid.join(bars, on=[stock, "minute"], how="left", maintain_order="left").with_columns(
        pl.col("close").forward_fill(), pl.col(flows).fill_null(0)
    )
    before = pl.when(pl.col("minute") == pl.col("first")).then("open").otherwise(pl.col("close").shift())
    return full.with_columns(pl.col(prices).fill_null(pl.col("close")), r=pl.col("close") / before - 1)

"""The quotes of a trading day that has not come yet, and what would be traded if every stock could be."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
from qlib.backtest.exchange import Exchange

from qlib_ext.live.trading_day import TradingDay

LIMITS = ["limit_buy", "limit_sell"]


def as_of_the_evening(exchange: Exchange, trading: TradingDay) -> Exchange:
    """The exchange of a trading day as the evening before can know it.

    Each stock trades at the close of the evening's day, its adjustment factor and all other fields are those of that
    day. A stock without a bar that day, or with a close of 0, is taken to be suspended on the next as well; price
    limits are not foreseen.
    """
    today = exchange.quote_df[exchange.quote_df.index.get_level_values("datetime") == trading.before].copy()
    prices = {exchange.buy_price, exchange.sell_price}
    without = ~(today["$close"] > 0)
    today.loc[without, [*{"$close", *prices}]] = np.nan
    today.loc[without, LIMITS] = True
    coming = today.copy()
    for price in prices:
        coming[price] = coming["$close"]
    # closed both ways is no limit: the stock is suspended, or belongs to no board
    both = coming[LIMITS].astype(bool).all(axis=1)
    for limit in LIMITS:
        coming[limit] = both
    coming.index = coming.index.set_levels([trading.day], level="datetime", verify_integrity=False)
    return with_quotes(exchange, pd.concat([today, coming]))


def all_open(exchange: Exchange, trading: TradingDay, last: pd.DataFrame) -> Exchange:
    """The same exchange on which every stock of ``last`` can be traded, one without a price at its last close."""
    rows = exchange.quote_df
    names = pd.MultiIndex.from_product([last.index, [trading.day]], names=["instrument", "datetime"])
    rows = rows.reindex(rows.index.union(names.reorder_levels(rows.index.names)))
    on_day = rows.index.get_level_values("datetime") == trading.day
    known = last.reindex(rows.index.get_level_values("instrument"))
    for field, values in {"$close": known["close"], "$factor": known["factor"]}.items():
        rows[field] = rows[field].where(~on_day | rows[field].notna(), values.to_numpy())
    for price in {exchange.buy_price, exchange.sell_price}:
        rows[price] = rows[price].where(~on_day | rows[price].notna(), rows["$close"])
    for limit in LIMITS:
        rows[limit] = rows[limit].where(~on_day, False).astype(bool)
    return with_quotes(exchange, rows)


def with_quotes(exchange: Exchange, rows: pd.DataFrame) -> Exchange:
    """A copy of an exchange that deals by other quotes."""
    other = copy.copy(exchange)
    other.quote_df = rows
    other.quote = exchange.quote_cls(rows, exchange.freq)
    return other

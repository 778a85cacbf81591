"""Shenzhen's stream of fills and cancels, CSV or Parquet, into the schema.

No side is given: orders and trades share one sequence of numbers, so that of two orders the one with the larger number
came later and was the active one. In the closing auction (from 14:57) there is no active side.
"""

from __future__ import annotations

from datetime import time
from pathlib import Path

import polars as pl

from qlib_ext.ticks.exchange import Reading, a_shares, finish, number, read_columns, yuan

_TRADES = {
    "security": ("SecurityID",),
    "time": ("TradeTime",),
    "price": ("TradePrice",),
    "volume": ("TradeQty",),
    "buy_order": ("BidApplSeqNum",),
    "sell_order": ("OfferApplSeqNum",),
    "execution": ("ExecType",),
    "sequence": ("ApplSeqNum",),
}
_FILL, _CANCEL = "F", "4"
CLOSING_AUCTION = time(14, 57)


def read_trades(path: str | Path, day: str) -> Reading:
    """The trades of one day ("2023-02-01"); amount = price x volume, to the tenth of a cent.

    Left out and counted: cancels (ExecType 4), rows of the other exchange in a file that has a column of markets, what
    is no A share, price 0, the opening auction, times outside the session, and rows repeated as they are.
    Raises DataError, naming the file, as ``shanghai.read_trades`` does, and for an ExecType that is neither F nor 4.
    """
    frame, dropped = a_shares(read_columns(path, _TRADES, {"day": (), "market": ("Market",)}), "SZ", day, str(path))
    buyer, seller = number("buy_order"), number("sell_order")
    rows = frame.select(
        "instrument",
        time="clock",
        price=yuan("price"),
        volume=number("volume"),
        amount=(yuan("price") * number("volume")).round(3),
        buy_order=buyer,
        sell_order=seller,
        side=pl.when(pl.col("clock") >= CLOSING_AUCTION)
        .then(pl.lit("N"))
        .when(buyer > seller)
        .then(pl.lit("B"))
        .otherwise(pl.lit("S")),
        execution=pl.when(pl.col("execution").is_in([_FILL, _CANCEL])).then("execution"),
        sequence=number("sequence"),
    )
    return finish(rows, frame, "trades", {"cancel": pl.col("execution") == _CANCEL}, dropped, str(path))

"""Shanghai's trades and orders, CSV or Parquet, in any of the layouts of the samples, into the schema.

The active side is given, N in an auction. The stream of orders holds what of an order was left for the book: a part
that traded at once is not in it, an order that traded whole has no row.
"""

from __future__ import annotations

from pathlib import Path

from qlib_ext.ticks.exchange import Reading, a_shares, finish, number, read_columns, translated, yuan

_BOTH = {"day": ("MDDate",), "market": ("Market",)}
_TRADES = {
    "security": ("SecurityID",),
    "time": ("TradTime", "TradeTime", "MDTime"),
    "price": ("TradPrice", "TradePrice"),
    "volume": ("TradVolume", "TradeQty"),
    "amount": ("TradeMoney",),
    "buy_order": ("TradeBuyNo", "BidApplSeqNum"),
    "sell_order": ("TradeSellNo", "OfferApplSeqNum"),
    "side": ("TradeBSFlag",),
    "sequence": ("BizIndex", "ApplSeqNum"),
}
_ORDERS = {
    "security": ("SecurityID",),
    "time": ("OrderTime", "MDTime"),
    "price": ("OrderPrice",),
    "volume": ("Balance", "OrderQty"),
    "side": ("OrderBSFlag",),
    "order_id": ("OrderNO",),
    "kind": ("OrderType",),
    "sequence": ("BizIndex", "ApplSeqNum"),
}
_SIDES = {"B": "B", "1": "B", "S": "S", "2": "S"}
_NO_SIDE = {"N": "N", "0": "N"}
_KINDS = {"A": "add", "2": "add", "D": "cancel", "10": "cancel"}


def read_trades(path: str | Path, day: str) -> Reading:
    """The trades of one day ("2023-02-01").

    Left out and counted: rows of the other exchange in a file that has a column of markets, what is no A share,
    price 0, the opening auction, times outside the session, and rows repeated as they are.
    Raises DataError, naming the file, for missing columns, another date, a stock of the other exchange, values that
    cannot be read or are not positive, times that go back in the exchange's sequence.
    """
    frame, dropped = a_shares(read_columns(path, _TRADES, _BOTH), "SH", day, str(path))
    rows = frame.select(
        "instrument",
        time="clock",
        price=yuan("price"),
        volume=number("volume"),
        amount=yuan("amount"),
        buy_order=number("buy_order"),
        sell_order=number("sell_order"),
        side=translated("side", _SIDES | _NO_SIDE),
        sequence=number("sequence"),
    )
    return finish(rows, frame, "trades", {}, dropped, str(path))


def read_orders(path: str | Path, day: str) -> Reading:
    """The orders of one day: additions (A, or 2) and cancels (D, or 10).

    Left out, counted and raised: as in ``read_trades``.
    """
    frame, dropped = a_shares(read_columns(path, _ORDERS, _BOTH), "SH", day, str(path))
    rows = frame.select(
        "instrument",
        time="clock",
        price=yuan("price"),
        volume=number("volume"),
        side=translated("side", _SIDES),
        order_id=number("order_id"),
        kind=translated("kind", _KINDS),
        sequence=number("sequence"),
    )
    return finish(rows, frame, "orders", {}, dropped, str(path))

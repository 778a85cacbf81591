"""Qlib's exchange with the rules of the Chinese boards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
from qlib.backtest.decision import Order
from qlib.backtest.exchange import Exchange
from qlib.data import D

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.keywords import check_types, refuse_unknown
from qlib_ext.portfolio.boards import NO_BOARD, RULES, Boards, age_of, closed_directions, listing_days

NO_DEFAULT = ("start_time", "end_time", "open_cost", "close_cost")
LEAST_RATE = 1e-18  # Qlib divides by the rate where cash is short
BARS = ("$close", "$high", "$low", "$change", "$factor")


class BoardExchange(Exchange):
    """An exchange of day bars that knows each board's price limits by date, and closes a direction, not a stock.

        exchange_kwargs:
            exchange:
                class: BoardExchange
                module_path: qlib_ext.portfolio.exchange
                kwargs: {start_time: 2017-01-01, end_time: 2021-12-31, open_cost: 0.001, close_cost: 0.002}

    start_time, end_time   days of the backtest; here, since Qlib does not hand on what stands beside ``exchange``
    open_cost, close_cost  shares of a purchase's and of a sale's value; for the same reason without a default
    min_cost     the least cost of an order, yuan
    limit        "one_price": a stock that stood at its limit the whole day cannot be bought (up) or sold (down);
                 "close": one that closed there, as in the reports
    st           a field that is above 0 on the days on which a stock is under special treatment; None: none is
    lots         whether orders are multiples of the board's lot; a holding may always be sold whole
    boards       a file of rules in place of the package's boards.csv
    codes, deal_price, subscribe_fields   as in Qlib's Exchange; its limit_threshold has no meaning here

    ``limit = round(reference (1 +- w), 0.01)`` with the reference ``close / (1 + change) / factor``, yuan as traded. A
    suspended stock cannot be traded and is worth its last close. Instruments of no board, such as an index, cannot be
    traded. Orders for target amounts come sells first, then buys, each by name.

    Raises ConfigError for options that make no sense, DataError for a provider without $factor or $change.
    """

    quote_df: pd.DataFrame
    trade_unit: float | None  # of Qlib's Exchange: shares of a lot, None for any amount

    def __init__(
        self,
        start_time: Any = None,
        end_time: Any = None,
        open_cost: float | None = None,
        close_cost: float | None = None,
        min_cost: float = 5.0,
        limit: str = "one_price",
        st: str | None = None,
        lots: bool = True,
        boards: str | None = None,
        codes: str | Sequence[str] = "all",
        deal_price: str | Sequence[str] = "$vwap",
        subscribe_fields: Sequence[str] = (),
        **unknown: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "unknown", "__class__")}
        self.check_options(given | unknown)
        self.rule, self.st, self.boards = limit, st, Boards(boards)
        self._lots: dict[str, float] = {}
        super().__init__(
            freq="day",
            start_time=start_time,
            end_time=end_time,
            codes=codes,
            deal_price=deal_price,
            subscribe_fields=[*subscribe_fields, *BARS, *([st] if st else [])],
            open_cost=max(float(open_cost), LEAST_RATE),  # type: ignore[arg-type]
            close_cost=close_cost,
            min_cost=min_cost,
            trade_unit=100 if lots else None,
        )

    @staticmethod
    def check_options(options: Mapping[str, Any]) -> None:
        """Raise ConfigError for keywords of the constructor that make no sense, or are missing."""
        refuse_unknown(options, signature(BoardExchange).parameters.keys() - {"unknown"}, BoardExchange.__name__)
        check_types(BoardExchange.__init__, options)
        if missing := [name for name in NO_DEFAULT if options.get(name) is None]:
            raise ConfigError(
                f"BoardExchange needs {', '.join(missing)} among its own kwargs: Qlib drops what stands beside "
                "`exchange` in exchange_kwargs."
            )
        for name in ("open_cost", "close_cost"):
            if not 0 <= options[name] < 1:
                raise ConfigError(f"{name} is a share of the value traded, from 0 to 1, not {options[name]}.")
        if options.get("min_cost", 0) < 0:
            raise ConfigError(f"min_cost is in yuan, 0 or more, not {options['min_cost']}.")
        refuse_unknown([options.get("limit", RULES[0])], RULES, "limit")

    def get_quote_from_qlib(self) -> None:
        """Read the bars as Qlib does, then put the boards' limits in the place of Qlib's."""
        super().get_quote_from_qlib()
        self.quote_df = rows = self.quote_df.astype(float)  # an account summed in float32 loses yuan
        traded = rows["$close"].notna()
        if not traded.any():
            raise DataError(f"The provider has no bars of {self.codes} from {self.start_time} to {self.end_time}.")
        needed = ["$factor", "$change", *(("$high", "$low") if self.rule == "one_price" else ())]
        for field in (*needed, *([self.st] if self.st else [])):
            if rows[field].isna().all():
                raise DataError(
                    f"The provider has no {field}, which BoardExchange reads; write it with `qlib-ext fields`, or let "
                    "dump_bin make it of your table."
                )
        if self.trade_w_adj_price:
            (stock, day), count = _first(traded & rows["$factor"].isna())
            raise DataError(
                f"$factor is missing on {count} days with a close, first {stock} on {day:%Y-%m-%d}; limits are on "
                "prices as traded, so every bar needs its factor."
            )
        self._days = pd.DatetimeIndex(rows.index.unique("datetime")).sort_values()
        self._close_directions(rows)
        names = list(rows.index.unique("instrument"))
        known = zip(names, self.boards.lots(names), strict=True)
        self._lots = {name: lot for name, lot in known if self.trade_unit is not None and lot > 0}
        rows["last_close"] = rows["$close"].groupby(level="instrument").ffill()

    def _close_directions(self, rows: pd.DataFrame) -> None:
        calendar = pd.DatetimeIndex(D.calendar())
        places, names = pd.factorize(rows.index.get_level_values("instrument"))
        spans = D.list_instruments(D.instruments("all"))
        first = pd.DatetimeIndex(
            [min((span[0] for span in spans.get(name, ())), default=calendar[0]) for name in names]
        )
        board = self.boards.board_of(names)
        if (board == NO_BOARD).any():
            strange = names[board == NO_BOARD]
            self.logger.warning(
                f"{len(strange)} instruments belong to no board and cannot be traded, first {strange[0]}."
            )
        day = rows.index.get_level_values("datetime").to_numpy()
        listed = listing_days(first, calendar)[places]
        close, high, low, change, factor = (rows[name].to_numpy(dtype=float) for name in BARS)
        st = rows[self.st].to_numpy() > 0 if self.st else np.zeros(len(rows), dtype=bool)
        widths = self.boards.widths(board[places], day, listed, age_of(day, listed, calendar), st)
        limits = self.boards.limits(close / (1 + change) / factor, widths)
        no_buy, no_sell = closed_directions(limits, close / factor, high / factor, low / factor, self.rule)
        none = board[places] == NO_BOARD
        rows["limit_buy"], rows["limit_sell"] = no_buy | none, no_sell | none

    def get_close(self, stock_id: str, start_time: Any, end_time: Any, method: str = "ts_data_last") -> Any:
        """The close of a day, of a suspended stock its last one before."""
        return self.quote.get_data(stock_id, start_time, end_time, field="last_close", method=method)

    def deal_order(self, order: Order, *args: Any, **kwargs: Any) -> tuple[float, float, float]:
        """As in Qlib, with the lot of the stock's board.

        Raises ConfigError for an order of several days, whose price would be that of the last day, DataError for an
        amount that is no number.
        """
        first, last = self._days.searchsorted([order.start_time, order.end_time], side="right")
        if last > first + (order.start_time not in self._days):  # Qlib's steps last over a weekend
            raise ConfigError(
                f"BoardExchange deals an order on one day, and that of {order.stock_id} runs from {order.start_time} "
                f"to {order.end_time}: set the executor's time_per_step to day and let the strategy say when it trades."
            )
        if not (np.isfinite(order.amount) and order.amount >= 0):
            raise DataError(
                f"The order for {order.stock_id} on {order.start_time:%Y-%m-%d} is of {order.amount} shares; an amount "
                "is a number, 0 or more."
            )
        with self._lot_of(order.stock_id):
            return super().deal_order(order, *args, **kwargs)

    def generate_order_for_target_amount_position(
        self, target_position: dict, current_position: dict, start_time: pd.Timestamp, end_time: pd.Timestamp
    ) -> list[Order]:
        """Orders from current to target amounts (adjusted shares): sells by name, then buys by name.

        A stock that is closed in the direction of its order has none.
        """
        orders: dict[int, list[Order]] = {Order.SELL: [], Order.BUY: []}
        for stock in sorted({*current_position, *target_position}):
            now, target = current_position.get(stock, 0), target_position.get(stock, 0)
            direction = Order.BUY if target > now else Order.SELL
            if not self.is_stock_tradable(stock, start_time, end_time, direction):
                continue
            factor = self.get_factor(stock, start_time, end_time)
            with self._lot_of(stock):
                amount = abs(self.get_real_deal_amount(now, target, factor))
            if amount > 0:
                orders[direction].append(Order(stock, amount, direction, start_time, end_time, factor))
        return orders[Order.SELL] + orders[Order.BUY]

    @contextmanager
    def _lot_of(self, stock: str) -> Iterator[None]:
        """Qlib asks for a trading unit without the stock's name, so the exchange's is that of the stock meanwhile."""
        usual, self.trade_unit = self.trade_unit, self._lots.get(stock, self.trade_unit)
        try:
            yield
        finally:
            self.trade_unit = usual


def _first(rows: pd.Series) -> tuple[tuple[str, pd.Timestamp], int]:
    """The first row that is true, and how many are."""
    return rows.idxmax(), int(rows.sum())

"""One trading day as a strategy meets it: its exchange, an account on it, what is ordered and what can be dealt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from qlib.backtest.account import Account
from qlib.backtest.decision import Order
from qlib.backtest.exchange import Exchange
from qlib.backtest.utils import CommonInfrastructure, LevelInfrastructure
from qlib.strategy.base import BaseStrategy

from qlib_ext.live.holdings import HELD_DAYS
from qlib_ext.live.trading_day import OneStep, TradingDay, span_of

ROW = ["instrument", "side", "shares", "price", "amount", "reason"]
SIDES = {Order.SELL: "sell", Order.BUY: "buy"}
STEP = "day"  # in which the account counts how long a stock has been held
ROUNDING = 1e-2  # of a share, which adjusted prices in float32 leave
CUT = 1e-9  # of an amount, by which dealing it makes it less where nothing is cut


@dataclass(frozen=True)
class DayOfTrade:
    """A trading day, as it is known.

    exchange   with the quotes of the day: its bars, or what the evening before takes them to be
    last       close and factor at the evening's close, by stock: adjusted, NaN for none; the day of that close
    next_bars  whether the quotes are the day's own bars
    """

    trading: TradingDay
    exchange: Exchange
    last: pd.DataFrame
    next_bars: bool

    def account_of(self, held: pd.DataFrame, cash: float, kind: str) -> Account:
        """An account of Qlib's with these holdings, in adjusted shares and at the last closes; kind: its position."""
        position = {
            stock: {
                "amount": row["shares"] / self._last_factor(stock),
                "price": self.last.loc[stock, "close"],
                "weight": 0.0,
                f"count_{STEP}": row.get(HELD_DAYS, 1),
            }
            for stock, row in held.iterrows()
        }
        return Account(init_cash=cash, position_dict=position, freq=STEP, pos_type=kind, port_metr_enabled=False)

    def decide(self, strategy: BaseStrategy, account: Account) -> list[Order]:
        """What the strategy orders of an account on this day."""
        common = CommonInfrastructure(trade_account=account, trade_exchange=self.exchange)
        level = LevelInfrastructure(trade_calendar=OneStep(self.trading), common_infra=common)
        strategy.reset(level_infra=level, common_infra=common)
        decided: list[Order] = strategy.generate_trade_decision().get_decision()
        return decided

    def deal(self, orders: Sequence[Order], account: Account) -> tuple[list[tuple[Any, ...]], float]:
        """Deal orders for the account, one after the other: their rows, and what they cost in yuan.

        A row has the amount as decided, which is more than what is dealt where the cash does not pay for it or, as the
        factor has changed overnight, it is no longer in whole lots; none where the exchange is closed to the order.
        """
        rows, costs = [], 0.0
        for order in orders:
            decided = order.amount if self.exchange.check_order(order) else 0.0
            reason = self.reason(order)
            short = self._is_short_of_cash(order, account)
            _, cost, _ = self.exchange.deal_order(order, trade_account=account)
            costs += float(cost)
            if not order.amount:
                reason = "less than a lot"
            elif not reason and order.deal_amount < decided * (1 - CUT):
                dealt = f"{_shares(order.deal_amount * self._factor(order.stock_id)):.12g}"
                reason = f"the cash pays for {dealt} of them" if short else f"{dealt} of them are whole lots"
            rows.append(self.row(order, decided, reason))
        return rows, costs

    def _is_short_of_cash(self, order: Order, account: Account) -> bool:
        """Whether the cash of an account does not pay for an order, its cost included."""
        price = self.exchange.get_deal_price(order.stock_id, *span_of(self.trading.day), order.direction)
        value = order.amount * price
        cost = max(value * (self.exchange.open_cost + self.exchange.impact_cost), self.exchange.min_cost)
        return order.direction == Order.BUY and bool(value + cost > account.get_cash())

    def row(self, order: Order, amount: float, reason: str) -> tuple[Any, ...]:
        """An order of so many adjusted shares as a broker reads it: real shares, price as traded, yuan; see ROW."""
        factor = self._factor(order.stock_id)
        price = self.exchange.get_deal_price(order.stock_id, *span_of(self.trading.day), order.direction)
        if pd.isna(price):  # of a stock without a bar
            price = self.last.loc[order.stock_id, "close"]
        side = SIDES[order.direction]
        return order.stock_id, side, _shares(amount * factor), float(price) / factor, amount * float(price), reason

    def reason(self, order: Order) -> str:
        """Why an order cannot be dealt, or may not be; empty where nothing is known against it."""
        stock, direction, day = order.stock_id, order.direction, self.trading.day
        if self.next_bars:
            if self.exchange.check_stock_suspended(stock, *span_of(day)):
                return f"no bar on {day:%Y-%m-%d}"
            closed = self.exchange.check_stock_limit(stock, *span_of(day), direction)
            return f"at its price limit on {day:%Y-%m-%d}" if closed else ""
        before = self.trading.before
        if self.exchange.check_stock_suspended(stock, *span_of(before)):
            return f"no bar since {self.last.loc[stock, 'day']:%Y-%m-%d}, taken to be suspended"
        if self.exchange.check_stock_limit(stock, *span_of(day), direction):
            return "cannot be traded on this exchange"
        closed = self.exchange.check_stock_limit(stock, *span_of(before), direction)
        return f"was at its price limit on {before:%Y-%m-%d}" if closed else ""

    def _last_factor(self, stock: str) -> float:
        """By which adjusted shares are multiplied to be real ones, at the evening's close."""
        factor = float(self.last.loc[stock, "factor"])
        return 1.0 if self.exchange.trade_w_adj_price or not factor > 0 else factor

    def _factor(self, stock: str) -> float:
        """The same on the trading day."""
        known = not self.exchange.trade_w_adj_price
        factor = self.exchange.get_factor(stock, self.trading.day, self.trading.end) if known else None
        return float(factor) if factor is not None and factor > 0 else self._last_factor(stock)


def _shares(shares: float) -> float:
    """Shares, whole where they miss it by rounding alone."""
    return float(round(shares)) if abs(shares - round(shares)) < ROUNDING else shares

"""An account on arrays: what Qlib's account, executor and BoardExchange make of the same orders, many times as fast."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isnan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.portfolio.quotes import Quotes

Array = NDArray[np.float64]

LEAST_VALUE = 1e-5  # yuan; a trade of less is none, as in Qlib
ROUNDING = 0.1  # of a share, so that 100 shares that became 99.99999 are a lot, as in Qlib


@dataclass(frozen=True)
class Costs:
    """Shares of a purchase's and of a sale's value, and the least cost of an order in yuan."""

    buy: float
    sell: float
    least: float = 5.0

    def __post_init__(self) -> None:
        if not (0 <= self.buy < 1 and 0 <= self.sell < 1 and self.least >= 0):
            raise ConfigError(
                f"Costs are shares of a value from 0 to 1, and a least one of 0 yuan or more, not {self}."
            )


@dataclass(frozen=True)
class Order:
    """Shares (adjusted) to buy, or to sell where they are below 0, of the stock at a place of the quotes."""

    place: int
    amount: float


class Ledger:
    """Cash and holdings from one close to the next.

        ledger = Ledger(quotes, 1e8, Costs(0.001, 0.002))
        for day in range(len(quotes.days)):
            ledger.trade(day, orders_of(day))
            ledger.close(day)
        ledger.report()

    amounts  [stocks] adjusted shares at hand; cash in yuan

    Orders are dealt one after the other at the day's price: a closed direction deals nothing, a sale at most what is
    held, a purchase at most what the cash pays; amounts are rounded down to lots, unless all is sold. Equal to Qlib's
    Account with BoardExchange to rounding. Raises DataError for an order that is no number, and for days out of order.
    """

    def __init__(self, quotes: Quotes, cash: float, costs: Costs) -> None:
        if not cash > 0:
            raise ConfigError(f"An account begins with cash above 0, not {cash}.")
        self.quotes, self.cash, self.costs = quotes, float(cash), costs
        self.amounts = np.zeros(len(quotes.stocks))
        self._values = [float(cash)]
        self._rows: list[tuple[float, ...]] = []
        self._held: list[tuple[NDArray[np.int_], Array]] = []
        self._turnover = self._cost = 0.0

    @property
    def value(self) -> float:
        """Of the account at the last close, yuan."""
        return self._values[-1]

    def weights(self) -> Array:
        """[stocks] fractions of the account at the last close; the rest of 1 is cash."""
        if not self._rows:
            return np.zeros(len(self.amounts))
        return np.nan_to_num(self.quotes.close[len(self._rows) - 1]) * self.amounts / self.value

    def trade(self, day: int, orders: list[Order]) -> None:
        """Deal the orders of a day, in their order."""
        if day != len(self._rows):
            raise DataError(f"The ledger's next day is number {len(self._rows)}, not {day}: no day is left out.")
        for order in orders:
            if not isfinite(order.amount):
                raise DataError(
                    f"The order for {self.quotes.stocks[order.place]} on {self.quotes.days[day]:%Y-%m-%d} is of "
                    f"{order.amount} shares; an amount is a number."
                )
            if order.amount < 0:
                self._sell(day, order.place, -order.amount)
            elif order.amount > 0:
                self._buy(day, order.place, order.amount)

    def close(self, day: int) -> None:
        """Value the account at the close of a day, after its orders."""
        if day != len(self._rows):
            raise DataError(f"The ledger's next day is number {len(self._rows)}, not {day}: no day is left out.")
        held = np.flatnonzero(self.amounts)
        stocks = float(self.amounts[held] @ self.quotes.close[day, held])
        self._values.append(stocks + self.cash)
        self._rows.append((self._turnover, self._cost, stocks, self.cash))
        self._held.append((held, self.amounts[held]))
        self._turnover = self._cost = 0.0

    def report(self, bench: pd.Series | None = None) -> pd.DataFrame:
        """Days with the columns of Qlib's report_normal; turnover is of purchases and sales together."""
        days = self.quotes.days[: len(self._rows)]
        frame = pd.DataFrame(self._rows, days, ["turnover", "cost", "value", "cash"]).rename_axis("datetime")
        before = np.array(self._values[:-1])
        account = np.array(self._values[1:])
        totals = frame[["turnover", "cost"]].cumsum().add_prefix("total_")
        frame = frame.assign(account=account, **totals)
        frame["return"] = (account - before + frame["cost"]) / before
        frame[["turnover", "cost"]] = frame[["turnover", "cost"]].div(before, axis=0)
        frame["bench"] = np.nan if bench is None else bench.reindex(days).to_numpy()
        return frame[
            ["account", "return", "total_turnover", "turnover", "total_cost", "cost", "value", "cash", "bench"]
        ]

    def holdings(self) -> Array:
        """Adjusted shares at each close: [days, stocks]."""
        amounts = np.zeros((len(self._rows), len(self.amounts)))
        for row, (held, shares) in zip(amounts, self._held, strict=True):
            row[held] = shares
        return amounts

    def _sell(self, day: int, place: int, amount: float) -> None:
        if self.quotes.no_sell[day, place]:
            return
        held, price = float(self.amounts[place]), float(self.quotes.price[day, place])
        if not _close(amount, held):
            amount = self._lots(day, place, min(amount, held))
        value = amount * price
        cost = max(value * self.costs.sell, self.costs.least)
        if value <= LEAST_VALUE or self.cash + value < cost:
            return
        self.amounts[place] = 0.0 if _close(held, amount) else held - amount
        self._settle(value, value - cost, cost)

    def _buy(self, day: int, place: int, amount: float) -> None:
        if self.quotes.no_buy[day, place]:
            return
        price = float(self.quotes.price[day, place])
        cost = max(amount * price * self.costs.buy, self.costs.least)
        if self.cash < cost:
            return
        if self.cash < amount * price + cost:
            amount = min(amount, self._affordable() / price)
        amount = self._lots(day, place, amount)
        value = amount * price
        if value <= LEAST_VALUE:
            return
        cost = max(value * self.costs.buy, self.costs.least)
        self.amounts[place] += amount
        self._settle(value, -value - cost, cost)

    def _affordable(self) -> float:
        """What the cash can buy, yuan, beside the cost of buying it."""
        least, rate = self.costs.least, self.costs.buy
        if self.cash < least:
            return 0.0
        # above this much cash the cost is its share of the value, below it the least cost
        if rate and self.cash >= least / rate + least:
            return self.cash / (1 + rate)
        return self.cash - least

    def _lots(self, day: int, place: int, amount: float) -> float:
        lot = float(self.quotes.lot[place])
        if isnan(lot):
            return amount
        factor = float(self.quotes.factor[day, place])
        return (amount * factor + ROUNDING) // lot * lot / factor

    def _settle(self, value: float, cash: float, cost: float) -> None:
        self.cash += cash
        self._turnover += value
        self._cost += cost


def _close(a: float, b: float) -> bool:
    """``numpy.isclose``, by which Qlib takes a holding for sold whole, of two numbers a fiftieth as slow."""
    return abs(a - b) <= 1e-8 + 1e-5 * abs(b)

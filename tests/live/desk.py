"""A desk on the growing market: what it holds, as its broker counts it, and what a day's bars make of its orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tests.live.flows import COSTS
from tests.live.growing import Market


@dataclass
class Desk:
    """Cash in yuan and real shares by stock; every price is one as traded.

    Where the adjustment factor rises, by a dividend or a split, the shares rise with it: Qlib's accounts hold dividends
    in the stock that paid them.
    """

    market: Market
    cash: float
    shares: dict[str, float] = field(default_factory=dict)
    traded: int = 0  # orders that were dealt

    def of(self, name: str, day: int, stock: str) -> float:
        return float(self.market.fields[name][day, self.market.symbols.index(stock)])

    def write(self, path: Path) -> Path:
        """The broker's statement."""
        pd.DataFrame({"instrument": [*self.shares], "shares": [*self.shares.values()]}).to_csv(path, index=False)
        return path

    def trade(self, orders: pd.DataFrame, day: int) -> None:
        """Deal orders one after the other at the day's average price, as far as the cash pays for them in lots."""
        for stock in self.shares:
            self.shares[stock] *= self.of("factor", day, stock) / self.of("factor", day - 1, stock)
        for order in orders.itertuples():
            price = self.of("vwap", day, order.instrument) / self.of("factor", day, order.instrument)
            if pd.isna(price) or not order.shares:
                continue
            self.traded += 1
            if order.side == "sell":
                kept = self.shares.pop(order.instrument) - order.shares
                if kept > 1e-3:
                    self.shares[order.instrument] = kept
                self.cash += order.shares * price - max(order.shares * price * COSTS["close_cost"], COSTS["min_cost"])
            else:
                shares = order.shares
                while shares and shares * price + self.cost_of_buying(shares, price) > self.cash:
                    shares -= 100
                if shares:
                    self.shares[order.instrument] = self.shares.get(order.instrument, 0.0) + shares
                    self.cash -= shares * price + self.cost_of_buying(shares, price)

    def cost_of_buying(self, shares: float, price: float) -> float:
        return max(shares * price * COSTS["open_cost"], COSTS["min_cost"])

    def value(self, day: int) -> float:
        """Of the account at the close; a suspended stock is worth its last one."""
        worth = 0.0
        for stock, shares in self.shares.items():
            closes = pd.Series(self.market.fields["close"][: day + 1, self.market.symbols.index(stock)])
            last = closes.last_valid_index()
            worth += shares * closes[last] / self.of("factor", last, stock)
        return self.cash + worth

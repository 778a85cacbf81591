"""Index enhancement on the ledger: the decisions of IndexEnhancement and the account of Qlib, without Qlib's loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from qlib_ext.portfolio.boards import Boards
from qlib_ext.portfolio.days import Days
from qlib_ext.portfolio.decision import Decision, Lots, decide, no_score
from qlib_ext.portfolio.ledger import Costs, Ledger, Order
from qlib_ext.portfolio.quotes import Quotes
from qlib_ext.portfolio.setting import Setting, rebalancing_days

UNIT = 100.0  # shares of a lot of a stock of no board


@dataclass(frozen=True)
class Backtest:
    """What an account did: report, days with the columns of Qlib's report_normal; adjusted shares [days, stocks]."""

    report: pd.DataFrame
    holdings: np.ndarray
    decisions: list[Decision]


def backtest(
    days: Days,
    setting: Setting,
    quotes: Quotes,
    score: pd.DataFrame,
    cash: float,
    costs: Costs,
    boards: Boards | None,
    bench: pd.Series | None = None,
) -> Backtest:
    """Enhance an index on the days of the quotes; equal to IndexEnhancement in Qlib's backtest of the same days.

    score    [days, stocks], NaN for none; at the close before a day of trade it decides for it
    boards   whose lots orders are multiples of, the quotes read with lots; None: any amount
    bench    [days] the index's return, for the report

    Raises DataError for a day of decision without scores, and what ``decide`` raises.
    """
    ledger = Ledger(quotes, cash, costs)
    column = {stock: place for place, stock in enumerate(quotes.stocks)}
    lots = None if boards is None else Lots(boards, UNIT)
    first = int(days.calendar.get_indexer(quotes.days[:1])[0])
    before = days.calendar[first - 1 : first + len(quotes.days) - 1]
    due = rebalancing_days(before[:1].append(quotes.days), setting.rebalance)[1:]
    scored = score.notna().any(axis=1).reindex(before, fill_value=False).to_numpy()
    decisions: list[Decision] = []
    for place, (day, traded) in enumerate(zip(before, quotes.days, strict=True)):
        if due[place] or not decisions:
            if scored[place]:
                held = pd.Series(ledger.weights(), list(quotes.stocks))
                made = decide(
                    days, setting, day, traded, score.loc[day].dropna(), held[held != 0], ledger.value, lots, decisions
                )
                decisions.append(made)
                ledger.trade(place, [Order(column[made.stocks[at]], float(made.shares[at])) for at in made.order])
            elif decisions:
                raise no_score([day], traded)
        ledger.close(place)
    if not decisions:
        raise no_score(before, quotes.days[0])
    return Backtest(ledger.report(bench), ledger.holdings(), decisions)

"""``orders``: the strategy of a recorded run turns the scores of an evening into the orders of the next day."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd
from qlib.backtest.account import Account
from qlib.backtest.decision import Order
from qlib.backtest.exchange import Exchange
from qlib.backtest.utils import CommonInfrastructure, LevelInfrastructure
from qlib.cli.run import sys_config
from qlib.strategy.base import BaseStrategy

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.live.holdings import HELD_DAYS, last_bars, read_holdings
from qlib_ext.live.prediction import initialise
from qlib_ext.live.quotes import all_open, as_of_the_evening
from qlib_ext.live.recorded import Recorded, days_of, read, require_trading_day
from qlib_ext.live.recorded_backtest import RecordedBacktest
from qlib_ext.live.trading_day import OneStep, TradingDay, trading_day_after
from qlib_ext.recorder.runs import store_of

COLUMNS = ["date", "instrument", "side", "shares", "price", "amount", "weight_before", "weight_after", "reason"]
SIDES = {Order.SELL: "sell", Order.BUY: "buy"}
STEP = "day"  # in which the account counts how long a stock has been held


@dataclass(frozen=True)
class Orders:
    """What is to be traded on ``trading.day``, and the account before and after, as far as it can be known.

    table   sales, then buys, in the order in which they are given, then what cannot be traded: date, instrument, side,
            shares (as a broker counts them), price (yuan as traded), amount (yuan), weight_before and weight_after
            (fractions of the account), reason, empty where there is nothing to say
    value, cash, names   of the account before; cash_after, names_after: if all is dealt at these prices; cost: of it
    warnings             sentences
    """

    experiment: str
    run: str
    trading: TradingDay
    table: pd.DataFrame
    value: float
    cash: float
    cash_after: float
    cost: float
    names: int
    names_after: int
    warnings: tuple[str, ...]

    @property
    def turnover(self) -> float:
        """What is bought and sold, as a fraction of the account."""
        return float(self.table["amount"].sum() / self.value)


def orders(
    runs: str | Path,
    experiment: str,
    holdings: str | Path,
    cash: float,
    date: str | pd.Timestamp | None = None,
    trading_day: str | pd.Timestamp | None = None,
    next_bars: bool = False,
    workflows: str | Path = "workflows",
) -> Orders:
    """Decide on the evening of a day what the recorded run's strategy trades on the next.

    The strategy of its PortAnaRecord decides by its own code, on an exchange made of the record's, for an account that
    holds what is held. What it does not know in the evening is assumed: the next day's prices are the closes of the
    day, its factors those of the day; a stock without a bar on the day is suspended on the next; no stock is at its
    price limit. So the names of the orders are those of the backtest but for suspensions and limits that are new, and
    so are the amounts of a strategy that sizes by the close, as IndexEnhancement does; TopkDropoutStrategy sizes its
    buys by the next day's price.

    holdings      a file for ``read_holdings``; cash: yuan
    date          the evening's day; None: the provider's last
    trading_day   of the orders; None: see ``trading_day_after``
    next_bars     decide by the next day's bars, which the provider has: what the backtest decides for an account that
                  holds this
    workflows     the folder of the workflows, as for ``predict``

    Raises DataError for a run without a backtest, a day without scores, an account or a file that makes no sense,
    ConfigError for a backtest that does not trade by day; what the strategy and its exchange raise.
    """
    store = store_of(runs)
    recorded = read(store, experiment)
    sys_config(recorded.workflow.config, str(Path(workflows) / recorded.workflow.path))
    provider = recorded.workflow.provider
    day = recorded.calendar[-1] if date is None else pd.Timestamp(date)
    require_trading_day(recorded, day)
    scores = _scores_until(recorded, day)
    backtest = RecordedBacktest(recorded.workflow)
    trading = trading_day_after(provider, day, None if trading_day is None else pd.Timestamp(trading_day))
    if next_bars and trading.day not in recorded.calendar:
        raise DataError(
            f"The provider {provider} ends on {recorded.calendar[-1]:%Y-%m-%d} and has no bars after {day:%Y-%m-%d} to "
            "decide by. Leave --next-bars out, or name an earlier day."
        )
    held = read_holdings(holdings, provider)
    _check_account(held, cash, backtest, experiment)
    last = last_bars(provider, sorted({*held.index, *scores.loc[[day]].index.get_level_values("instrument")}), day)
    if len(strange := [name for name in held.index if pd.isna(last.loc[name, "close"])]):
        raise DataError(
            f"{len(strange)} holdings have no close until {day:%Y-%m-%d}, first {strange[0]}: their worth is not known."
        )
    initialise(store, recorded)
    return _decided(recorded, backtest, trading, next_bars, scores, held, float(cash), last)


def _decided(
    recorded: Recorded,
    backtest: RecordedBacktest,
    trading: TradingDay,
    next_bars: bool,
    scores: pd.DataFrame,
    held: pd.DataFrame,
    cash: float,
    last: pd.DataFrame,
) -> Orders:
    exchange = backtest.exchange_of(trading)
    if not next_bars:
        exchange = as_of_the_evening(exchange, trading)
    strategy = backtest.strategy_of(scores)
    account = _account_of(held, cash, last, backtest, exchange)
    value, before = account.current_position.calculate_value(), account.current_position.get_stock_weight_dict()
    open_to_all = all_open(exchange, trading, last)
    wanted = _decide(strategy, open_to_all, _account_of(held, cash, last, backtest, exchange), trading)
    rows, cost = [], 0.0
    made = _decide(strategy, exchange, account, trading)
    for order in made:
        amount = order.amount  # as decided; dealing it cuts it to what can be dealt
        price = exchange.get_deal_price(order.stock_id, order.start_time, order.end_time, order.direction)
        reason = _reason(exchange, order, trading, next_bars)
        _, paid, _ = exchange.deal_order(order, trade_account=account)
        cost += paid
        factor = _factor(exchange, order.stock_id, trading, last)
        if not reason and order.deal_amount < amount * (1 - 1e-9):
            reason = f"the cash pays for {_shares(order.deal_amount * factor):g} of them"
        if not amount:
            reason = "less than a lot"
        rows.append(_row(order, amount, float(price), factor, reason))
    ordered = {(order.stock_id, order.direction) for order in made}
    for order in wanted:
        if (order.stock_id, order.direction) not in ordered:
            price = open_to_all.get_deal_price(order.stock_id, order.start_time, order.end_time, order.direction)
            factor = _factor(open_to_all, order.stock_id, trading, last)
            rows.append(_row(order, 0.0, float(price), factor, _reason(exchange, order, trading, next_bars)))
    account.update_current_position(trading.day, trading.end, exchange)
    after = account.current_position.get_stock_weight_dict()
    table = pd.DataFrame(rows, columns=[*COLUMNS[1:6], "reason"])
    table.insert(0, "date", trading.day)
    table["weight_before"] = [before.get(stock, 0.0) for stock in table["instrument"]]
    table["weight_after"] = [after.get(stock, 0.0) for stock in table["instrument"]]
    return Orders(
        experiment=recorded.name,
        run=recorded.run.info.run_id,
        trading=trading,
        table=table[COLUMNS],
        value=value,
        cash=cash,
        cash_after=account.get_cash(),
        cost=cost,
        names=len(before),
        names_after=len(after),
        warnings=tuple(_warnings(recorded, trading, exchange, held, last)),
    )


def _decide(strategy: BaseStrategy, exchange: Exchange, account: Account, trading: TradingDay) -> list[Order]:
    """What the strategy orders of an account on the trading day."""
    common = CommonInfrastructure(trade_account=account, trade_exchange=exchange)
    level = LevelInfrastructure(trade_calendar=OneStep(trading), common_infra=common)
    strategy.reset(level_infra=level, common_infra=common)
    decided: list[Order] = strategy.generate_trade_decision().get_decision()
    return decided


def _account_of(
    held: pd.DataFrame, cash: float, last: pd.DataFrame, backtest: RecordedBacktest, exchange: Exchange
) -> Account:
    """An account of Qlib's with these holdings, in adjusted shares and at the last closes."""
    position = {
        stock: {
            "amount": row["shares"] / _known_factor(exchange, stock, last),
            "price": last.loc[stock, "close"],
            "weight": 0.0,
            f"count_{STEP}": row.get(HELD_DAYS, 1),
        }
        for stock, row in held.iterrows()
    }
    kind = backtest.backtest.get("pos_type", "Position")
    return Account(init_cash=cash, position_dict=position, freq=STEP, pos_type=kind, port_metr_enabled=False)


def _known_factor(exchange: Exchange, stock: str, last: pd.DataFrame) -> float:
    """By which adjusted shares are multiplied to be real ones, at the evening's close."""
    factor = float(last.loc[stock, "factor"])
    return 1.0 if exchange.trade_w_adj_price or not factor > 0 else factor


def _factor(exchange: Exchange, stock: str, trading: TradingDay, last: pd.DataFrame) -> float:
    """The same on the trading day."""
    factor = None if exchange.trade_w_adj_price else exchange.get_factor(stock, trading.day, trading.end)
    return float(factor) if factor is not None and factor > 0 else _known_factor(exchange, stock, last)


def _reason(exchange: Exchange, order: Order, trading: TradingDay, next_bars: bool) -> str:
    """Why an order cannot be dealt, or may not be; empty where nothing is known against it."""
    stock, direction = order.stock_id, order.direction
    day = trading.day if next_bars else trading.before
    end = day + pd.Timedelta(days=1, seconds=-1)
    if exchange.check_stock_suspended(stock, day, end):
        found = f"no bar on {day:%Y-%m-%d}"
        return found if next_bars else f"{found}, taken to be suspended"
    if exchange.check_stock_limit(stock, trading.day, trading.end, direction):
        return f"at its price limit on {trading.day:%Y-%m-%d}" if next_bars else "cannot be traded on this exchange"
    if not next_bars and exchange.check_stock_limit(stock, day, end, direction):
        return f"was at its price limit on {day:%Y-%m-%d}"
    return ""


def _row(order: Order, amount: float, price: float, factor: float, reason: str) -> tuple[Any, ...]:
    """One order as a broker reads it: instrument, side, shares, price, amount in yuan, reason."""
    return (
        order.stock_id,
        SIDES[order.direction],
        _shares(amount * factor),
        price / factor,
        amount * price,
        reason,
    )


def _shares(shares: float) -> float:
    """Shares, whole where they miss it by the rounding of adjusted prices alone."""
    return float(round(shares)) if abs(shares - round(shares)) < 1e-2 else shares


def _scores_until(recorded: Recorded, day: pd.Timestamp) -> pd.DataFrame:
    """The scores of a day and of those before; raises DataError where the day has none."""
    days = days_of(recorded.scores)
    if day not in days or not recorded.scores[days == day].iloc[:, 0].notna().any():
        raise DataError(
            f"{recorded.name!r} has no scores of {day:%Y-%m-%d}; its last are of {recorded.last:%Y-%m-%d}. Run "
            f"`qlib-ext predict {recorded.name}` first."
        )
    return recorded.scores[days <= day]


def _check_account(held: pd.DataFrame, cash: float, backtest: RecordedBacktest, experiment: str) -> None:
    if not (isfinite(cash) and cash >= 0):
        raise ConfigError(f"The cash is a number of yuan, 0 or more, not {cash}.")
    if held.empty and not cash:
        raise ConfigError("The account has neither holdings nor cash; name its cash in yuan.")
    least = (backtest.strategy.get("kwargs") or {}).get("hold_thresh", 1)
    if least > 1 and HELD_DAYS not in held.columns and len(held):
        raise DataError(
            f"The strategy of {experiment!r} holds a stock for at least {least} days; add the column {HELD_DAYS!r} to "
            "the holdings: for how many trading days each has been held."
        )


def _warnings(
    recorded: Recorded, trading: TradingDay, exchange: Exchange, held: pd.DataFrame, last: pd.DataFrame
) -> list[str]:
    found = []
    if not trading.known:
        found.append(
            f"The provider {recorded.workflow.provider} knows no day after {trading.before:%Y-%m-%d}; the next trading "
            f"day is taken to be {trading.day:%A, %Y-%m-%d}. Before a holiday name it with --trading-day."
        )
    end = trading.before + pd.Timedelta(days=1, seconds=-1)
    if still := [stock for stock in held.index if exchange.check_stock_suspended(stock, trading.before, end)]:
        found.append(
            f"{len(still)} of {len(held)} holdings have no bar on {trading.before:%Y-%m-%d}, first {still[0]}; they "
            "are valued at their last close and taken to be suspended."
        )
    if exchange.trade_w_adj_price:
        found.append(
            "The provider has no $factor of some stocks, so Qlib trades adjusted shares without lots: shares and "
            "prices here are in its units."
        )
    elif unknown := [stock for stock in held.index if not last.loc[stock, "factor"] > 0]:
        found.append(f"{len(unknown)} holdings have no $factor, first {unknown[0]}; it is taken to be 1.")
    return found

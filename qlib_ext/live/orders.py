"""``orders``: the strategy of a recorded run turns the scores of an evening into the orders of the next day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

import pandas as pd
from qlib.cli.run import sys_config

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.live.day_of_trade import ROW, DayOfTrade
from qlib_ext.live.holdings import HELD_DAYS, last_bars, read_holdings
from qlib_ext.live.prediction import initialise
from qlib_ext.live.quotes import all_open, as_of_the_evening
from qlib_ext.live.recorded import Recorded, days_of, read, require_trading_day
from qlib_ext.live.recorded_backtest import RecordedBacktest
from qlib_ext.live.trading_day import TradingDay, span_of, trading_day_after
from qlib_ext.recorder.runs import store_of

COLUMNS = ["date", "instrument", "side", "shares", "price", "amount", "weight_before", "weight_after", "reason"]


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
    provider: Path
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
        """What is ordered, sales and buys, as a fraction of the account."""
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
    exchange = backtest.exchange_of(trading)
    _check_quotes(exchange.quote_df, day, provider)
    if not next_bars:
        exchange = as_of_the_evening(exchange, trading)
    return _decided(recorded, backtest, DayOfTrade(trading, exchange, last, next_bars), scores, held, float(cash))


def _decided(
    recorded: Recorded,
    backtest: RecordedBacktest,
    day: DayOfTrade,
    scores: pd.DataFrame,
    held: pd.DataFrame,
    cash: float,
) -> Orders:
    kind = backtest.backtest.get("pos_type", "Position")
    strategy, account = backtest.strategy_of(scores), day.account_of(held, cash, kind)
    value, before = account.current_position.calculate_value(), account.current_position.get_stock_weight_dict()
    opened = replace(day, exchange=all_open(day.exchange, day.trading, day.last))
    wanted = opened.decide(strategy, opened.account_of(held, cash, kind))
    made = day.decide(strategy, account)
    rows, cost = day.deal(made, account)
    ordered = {(order.stock_id, order.direction) for order in made}
    rows += [
        opened.row(order, 0.0, day.reason(order))
        for order in wanted
        if (order.stock_id, order.direction) not in ordered
    ]
    account.update_current_position(day.trading.day, day.trading.end, day.exchange)
    after = account.current_position.get_stock_weight_dict()
    table = pd.DataFrame(rows, columns=ROW).assign(date=day.trading.day)
    table["weight_before"] = [before.get(stock, 0.0) for stock in table["instrument"]]
    table["weight_after"] = [after.get(stock, 0.0) for stock in table["instrument"]]
    return Orders(
        experiment=recorded.name,
        run=recorded.run.info.run_id,
        provider=recorded.workflow.provider,
        trading=day.trading,
        table=table[COLUMNS],
        value=value,
        cash=cash,
        cash_after=account.get_cash(),
        cost=cost,
        names=len(before),
        names_after=len(after),
        warnings=tuple(_warnings(recorded, day, held)),
    )


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


def _check_quotes(quotes: pd.DataFrame, day: pd.Timestamp, provider: Path) -> None:
    """Raise DataError where no stock has a price on the day, or some have a factor and some have none.

    Without one factor Qlib's exchange trades adjusted shares of all stocks, without lots.
    """
    priced = quotes[quotes["$close"] > 0]
    if not (priced.index.get_level_values("datetime") == day).any():
        raise DataError(
            f"No stock that the backtest may trade has a $close on {day:%Y-%m-%d} in {provider}: see whether its bars "
            "were written, and the instruments file of the exchange's codes."
        )
    without = priced.index[priced["$factor"].isna()]
    if 0 < len(without) < len(priced):
        stock, first = without[0]
        raise DataError(
            f"{len(without)} bars of {provider} have a $close and no $factor, first that of {stock} on "
            f"{first:%Y-%m-%d}; then shares could not be told from adjusted ones. Write the factor of these days."
        )


def _warnings(recorded: Recorded, day: DayOfTrade, held: pd.DataFrame) -> list[str]:
    found, trading = [], day.trading
    if not trading.known:
        found.append(
            f"The provider {recorded.workflow.provider} knows no day after {trading.before:%Y-%m-%d}; the next trading "
            f"day is taken to be {trading.day:%A, %Y-%m-%d}. Before a holiday name it with --trading-day."
        )
    if still := [stock for stock in held.index if day.exchange.check_stock_suspended(stock, *span_of(trading.before))]:
        oldest = day.last.loc[still, "day"].idxmin()
        found.append(
            f"{len(still)} of {len(held)} holdings have no bar on {trading.before:%Y-%m-%d}, {oldest} since "
            f"{day.last.loc[oldest, 'day']:%Y-%m-%d}; they are valued at their last close and taken to be suspended. "
            "Take one that was delisted out of the holdings."
        )
    if day.exchange.trade_w_adj_price:
        found.append(
            "The provider has no $factor, so Qlib trades adjusted shares without lots: shares and "
            "prices here are in its units."
        )
    elif unknown := [stock for stock in held.index if not day.last.loc[stock, "factor"] > 0]:
        found.append(f"{len(unknown)} holdings have no $factor, first {unknown[0]}; it is taken to be 1.")
    return found

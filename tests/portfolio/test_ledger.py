"""The ledger beside Qlib's own account: the same orders, day by day."""

from __future__ import annotations

import numpy as np
import pytest
from qlib.backtest import backtest
from qlib.backtest.decision import Order as QlibOrder
from qlib.backtest.decision import TradeDecisionWO
from qlib.strategy.base import BaseStrategy

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.portfolio.ledger import Costs, Ledger, Order
from qlib_ext.portfolio.quotes import Quotes, read_quotes
from tests.portfolio.bars import CLOSED, write_bars

CASH = 3e6
FIRST, LAST = 40, 120


class RandomOrders(BaseStrategy):
    """Once a week random purchases and sales, of stocks that are closed, of odd amounts and more than there is."""

    def __init__(self, stocks, close, **kwargs):
        super().__init__(**kwargs)
        self.random, self.stocks, self.close, self.sent = np.random.default_rng(7), stocks, close, []

    def generate_trade_decision(self, execute_result=None):
        step = self.trade_calendar.get_trade_step()
        start, end = self.trade_calendar.get_step_time(step)
        held = self.trade_position.get_stock_amount_dict()
        orders = []
        if step % 5 == 0:
            for stock in sorted(held):
                share = self.random.choice([0.0, 0.3, 1.0, 1.5])
                orders.append(QlibOrder(stock, held[stock] * share, QlibOrder.SELL, start, end))
            for place in self.random.choice(len(self.stocks), 12, replace=False):
                amount = 0.15 * CASH / self.close[step, place] * self.random.random()
                orders.append(QlibOrder(self.stocks[place], amount, QlibOrder.BUY, start, end))
        self.sent.append([Order(self.stocks.index(o.stock_id), o.amount * (1 if o.direction else -1)) for o in orders])
        return TradeDecisionWO(orders, self)


@pytest.mark.parametrize(
    ("lots", "limit", "costs"),
    [
        (True, "one_price", (0.001, 0.002, 5.0)),
        (False, "close", (0.001, 0.002, 0.0)),
        (True, "close", (0.0, 0.0, 50.0)),
    ],
)
def test_the_ledger_is_qlibs_account(small, init, lots, limit, costs):
    folder, market = small
    init(folder)
    first, last = market.calendar[[FIRST, LAST]]
    quotes = read_quotes(folder, first, last, limit=limit, lots=lots)
    strategy = RandomOrders(list(quotes.stocks), np.nan_to_num(quotes.close, nan=10.0))
    options = dict(zip(("open_cost", "close_cost", "min_cost"), costs, strict=True))
    options |= {"start_time": first, "end_time": last, "limit": limit, "lots": lots}
    executor = {
        "class": "SimulatorExecutor",
        "module_path": "qlib.backtest.executor",
        "kwargs": {"time_per_step": "day", "generate_portfolio_metrics": True},
    }
    exchange = {"class": "BoardExchange", "module_path": "qlib_ext.portfolio.exchange", "kwargs": options}
    metrics, _ = backtest(first, last, strategy, executor, "SH000300", CASH, {"exchange": exchange})
    report, positions = metrics["1day"]

    ledger = Ledger(quotes, CASH, Costs(*costs))
    for day, orders in enumerate(strategy.sent):
        ledger.trade(day, orders)
        ledger.close(day)
    found = ledger.report(report["bench"])
    assert found.columns.tolist() == report.columns.tolist()
    assert list(found.index) == list(report.index)
    for name, atol in {"account": 0, "value": 0, "cash": 1e-9 * CASH}.items():
        np.testing.assert_allclose(found[name], report[name], rtol=1e-9, atol=atol, err_msg=name)
    for name in found.columns.difference(["account", "value", "cash"]):
        np.testing.assert_allclose(found[name], report[name], rtol=1e-9, atol=1e-12, err_msg=name)
    for amounts, position in zip(ledger.holdings(), positions.values(), strict=True):
        expected = position.get_stock_amount_dict()
        held = {quotes.stocks[place]: amounts[place] for place in np.flatnonzero(amounts)}
        assert held.keys() == expected.keys()
        np.testing.assert_allclose([held[name] for name in expected], list(expected.values()), rtol=1e-9)
    # the run meets what it is to show: closed directions, short cash, weeks of trade
    assert (found["turnover"] > 0).sum() > 10
    assert found["cash"].min() < 0.05 * CASH


def test_weights_and_value_are_those_of_the_last_close(small):
    quotes = read_quotes(small[0], "2014-12-01", "2014-12-31")
    ledger = Ledger(quotes, 1e6, Costs(0.001, 0.002))
    assert ledger.value == 1e6
    assert not ledger.weights().any()
    ledger.trade(0, [Order(3, 1e4)])
    ledger.close(0)
    assert ledger.weights()[3] == pytest.approx(ledger.amounts[3] * quotes.close[0, 3] / ledger.value)
    assert ledger.weights().sum() + ledger.cash / ledger.value == pytest.approx(1)


def test_quotes_are_those_of_the_exchange(tmp_path, init):
    """Closed directions, lots and the closes that are carried, of the bars that the exchange's own test uses."""
    from qlib_ext.portfolio.exchange import BoardExchange
    from tests.portfolio.test_exchange import PRICES

    folder = write_bars(tmp_path / "bars", "2021-03-01", PRICES, listed={"SZ300001": 2})
    init(folder)
    for limit in ("one_price", "close"):
        quotes = read_quotes(folder, "2021-03-02", "2021-03-12", limit=limit)
        exchange = BoardExchange("2021-03-02", "2021-03-12", 0.001, 0.002, limit=limit)
        for place, stock in enumerate(quotes.stocks):
            rows = exchange.quote_df.loc[stock].reindex(quotes.days)
            there = rows["$factor"].notna().to_numpy()
            for ours, column in ((quotes.no_buy, "limit_buy"), (quotes.no_sell, "limit_sell")):
                np.testing.assert_array_equal(ours[there, place], rows[column].to_numpy(dtype=bool)[there])
            np.testing.assert_array_equal(quotes.close[there, place], rows["last_close"].to_numpy()[there])
        assert quotes.no_buy[:, quotes.stocks.index("SH600003")].any()


def test_a_holding_that_leaves_the_market_keeps_its_last_price(tmp_path):
    folder = write_bars(
        tmp_path / "bars", "2021-03-01", {"SH600001": [10, 10, 12, CLOSED, CLOSED], "SH600002": [10] * 5}
    )
    ledger = Ledger(read_quotes(folder, "2021-03-01", "2021-03-05"), 1e6, Costs(0, 0))
    for day in range(5):
        ledger.trade(day, [Order(0, 1000.0)] if day == 0 else [Order(0, -1000.0)])
        ledger.close(day)
        if day == 0:
            ledger.quotes.no_sell[1:3, 0] = True  # sold too late
    assert ledger.report()["value"].tolist() == pytest.approx([20000, 20000, 24000, 24000, 24000], rel=1e-6)


def test_what_makes_no_account_is_refused(small):
    quotes = read_quotes(small[0], "2014-12-01", "2014-12-31")
    with pytest.raises(ConfigError, match="cash above 0, not 0"):
        Ledger(quotes, 0, Costs(0, 0))
    with pytest.raises(ConfigError, match="shares of a value"):
        Costs(25, 0)
    ledger = Ledger(quotes, 1e6, Costs(0, 0))
    with pytest.raises(DataError, match="order for SH600004 on 2014-12-01 is of nan shares"):
        ledger.trade(0, [Order(3, np.nan)])
    with pytest.raises(DataError, match="next day is number 0, not 1"):
        ledger.trade(1, [])
    with pytest.raises(DataError, match="next day is number 0, not 1"):
        ledger.close(1)
    with pytest.raises(DataError, match="no day from 2030-01-01"):
        read_quotes(small[0], "2030-01-01", "2030-02-01")


def test_a_quote_is_of_its_day_and_those_before(copy, small):
    """Bars after a day may be anything: its quotes stay."""
    day = 60

    def edit(values, first):
        values[max(day + 1 - first, 0) :] *= 1.7

    days = small[1].calendar[[40, day]]
    kept, other = read_quotes(small[0], *days), read_quotes(copy("later", edit=edit), *days)
    for name in ("close", "price", "factor", "no_buy", "no_sell"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(other, name), err_msg=name)
    assert isinstance(kept, Quotes)


class NoOrders(BaseStrategy):
    def generate_trade_decision(self, execute_result=None):
        return TradeDecisionWO([], self)


def test_the_last_day_of_the_calendar_needs_no_day_after_it(copy, small, init):
    """backtest/utils.py:131: Qlib asks its calendar for the day after, which a provider of today does not have."""
    folder, (first, last) = copy("today"), small[1].calendar[[-5, -1]]
    (folder / "calendars" / "day_future.txt").unlink()
    init(folder)
    kwargs = {"start_time": first, "end_time": last, "open_cost": 0.001, "close_cost": 0.002}
    exchange = {"class": "BoardExchange", "module_path": "qlib_ext.portfolio.exchange", "kwargs": kwargs}
    executor = {
        "class": "SimulatorExecutor",
        "module_path": "qlib.backtest.executor",
        "kwargs": {"time_per_step": "day", "generate_portfolio_metrics": True},
    }
    with pytest.raises(IndexError):
        backtest(first, last, NoOrders(), executor, "SH000300", CASH, {"exchange": exchange})
    quotes = read_quotes(folder, first, last)
    ledger = Ledger(quotes, CASH, Costs(0.001, 0.002))
    for day in range(len(quotes.days)):
        ledger.trade(day, [])
        ledger.close(day)
    assert ledger.report().index[-1] == last

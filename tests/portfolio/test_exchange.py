"""The traps of Qlib's exchange, account and executor: each test shows Qlib's own class in it, then ours beside it."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
from qlib.backtest import get_exchange
from qlib.backtest.account import Account
from qlib.backtest.decision import Order
from qlib.backtest.exchange import Exchange
from qlib.backtest.position import Position
from qlib.contrib.strategy.order_generator import OrderGenWInteract

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.portfolio.exchange import BoardExchange
from qlib_ext.portfolio.orders import in_order
from tests.portfolio.bars import CLOSED, write_bars

DAYS = pd.bdate_range("2021-03-01", periods=10)
PRICES = {
    "SH600001": [10, 10, (11, 11, 11), 11, 11, (9.9, 9.9, 9.9), 10, 10, 10, 10],  # all day at its limits
    "SH600002": [20, 20, (22, 20, 22), 22, 22, 22, 22, 22, 22, 22],  # closes at its limit
    "SZ300001": [10, 10, 11.5, 11.5, 11.5, 11.5, 11.5, 11.5, 11.5, 11.5],  # 15 %, allowed on its board
    "SH688001": [50, 50, 50, 50, 50, 50, 50, 50, 50, 50],
    "SH600003": [10, 10, 10, CLOSED, CLOSED, 10, 10, 10, 10, 10],
    "SH600004": [10, 10.96, 10.96, 10.96, 10.96, 10.96, 10.96, 10.96, 10.96, 10.96],  # +9.6 %, short of its limit
    "SH000001": [3000] * 10,  # an index
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_bars(tmp_path_factory.mktemp("boards") / "provider", "2021-03-01", PRICES)


@pytest.fixture
def provider(folder, init):
    init(folder)


def board_exchange(**options) -> BoardExchange:
    given = {"start_time": DAYS[0], "end_time": DAYS[-1], "open_cost": 0.001, "close_cost": 0.002, "min_cost": 0.0}
    return BoardExchange(**given | options)


def qlib_exchange(**options) -> Exchange:
    given = {"start_time": DAYS[0], "end_time": DAYS[-1], "deal_price": "$vwap", "codes": "all", "min_cost": 0.0}
    return Exchange(**given | options)


def end_of(day: pd.Timestamp) -> pd.Timestamp:
    return day + pd.Timedelta(days=1, seconds=-1)


def order(stock: str, amount: float, direction: int, day: int = 2, last: int | None = None) -> Order:
    return Order(stock, amount, direction, DAYS[day], end_of(DAYS[day if last is None else last]))


def tradable(exchange: Exchange, stock: str, day: int) -> tuple[bool, bool]:
    """Whether a stock can be bought and sold."""
    return tuple(
        exchange.is_stock_tradable(stock, DAYS[day], end_of(DAYS[day]), way) for way in (Order.BUY, Order.SELL)
    )


def test_a_stock_at_its_limit_up_can_be_sold(provider):
    """exchange.py:642: orders for target amounts are checked without their direction."""
    amounts = {"SH600001": 400.0, "SH600003": 400.0}
    for exchange, expected in (
        (qlib_exchange(limit_threshold=0.095), ["SH600003"]),
        (board_exchange(), ["SH600001", "SH600003"]),
    ):
        orders = exchange.generate_order_for_target_amount_position({}, amounts, DAYS[2], end_of(DAYS[2]))
        assert sorted(each.stock_id for each in orders) == expected
    assert tradable(board_exchange(), "SH600001", 2) == (False, True)
    assert tradable(board_exchange(), "SH600001", 5) == (True, False)


def test_orders_come_in_a_stated_order_and_leave_the_random_state_alone(provider):
    """exchange.py:637: Qlib shuffles them, with a seed that it plants in Python's own generator."""
    names = ["SH600002", "SH600003", "SH600004", "SZ300001"]
    now, target = dict.fromkeys(names[1:3], 400.0), dict.fromkeys([names[0], names[3]], 400.0)

    def orders(exchange):
        random.seed(5)
        made = exchange.generate_order_for_target_amount_position(target, now, DAYS[6], end_of(DAYS[6]))
        return [each.stock_id for each in made], random.random()

    stated = ["SH600003", "SH600004", "SH600002", "SZ300001"]  # sells by name, buys by name
    random.seed(5)
    untouched = random.random()
    assert orders(board_exchange()) == (stated, untouched)
    assert orders(qlib_exchange())[1] != untouched


def test_the_limit_is_the_boards_and_not_a_change(provider):
    """exchange.py:289: 0.095 takes a rise of 9.6 % that is short of the limit, and every one of a board of 20 %."""
    qlib, ours = qlib_exchange(limit_threshold=0.095), board_exchange(limit="close")
    assert tradable(qlib, "SH600004", 1) == (False, True)
    assert tradable(ours, "SH600004", 1) == (True, True)
    assert tradable(qlib, "SZ300001", 2) == (False, True)
    assert tradable(ours, "SZ300001", 2) == (True, True)


def test_a_close_at_the_limit_is_no_day_at_the_limit(provider):
    """exchange.py:289: what an order at the day's average price could have bought is refused for its close."""
    assert tradable(qlib_exchange(limit_threshold=0.095), "SH600002", 2) == (False, True)
    assert tradable(board_exchange(limit="close"), "SH600002", 2) == (False, True)
    assert tradable(board_exchange(), "SH600002", 2) == (True, True)


def test_a_rule_needs_no_tuple_and_a_missing_value_closes_nothing(provider):
    """exchange.py:264: a list, as YAML has it, is refused; :285: the NaN of an expression becomes True."""
    rules = ["Gt($change, 0.095)", "Lt($change, -0.095)"]
    with pytest.raises(NotImplementedError):
        qlib_exchange(limit_threshold=rules)
    assert tradable(qlib_exchange(limit_threshold=("$missing", "$missing")), "SH688001", 1) == (False, False)
    assert tradable(board_exchange(), "SH688001", 0) == (True, True)  # the first day has no $change


def test_a_suspended_stock_is_closed_in_both_directions(provider):
    assert tradable(board_exchange(), "SH600003", 3) == (False, False)
    assert board_exchange().deal_order(order("SH600003", 400, Order.BUY, day=3), position=Position(1e6))[0] == 0


def test_a_suspended_holding_leaves_the_account_a_number(provider):
    """order_generator.py:96 with exchange.py:510: Qlib's own orders are of NaN shares, and then is the account."""
    values = {}
    for name, exchange in {"qlib": qlib_exchange(), "ours": board_exchange()}.items():
        position = Position(
            1e5, {"SH600003": {"amount": 400, "price": 20.0}, "SH600002": {"amount": 400, "price": 44.0}}
        )
        orders = OrderGenWInteract().generate_order_list_from_target_weight_position(
            position,
            exchange,
            {"SH600002": 0.5, "SZ300001": 0.5},
            1.0,
            DAYS[2],
            end_of(DAYS[2]),
            DAYS[3],
            end_of(DAYS[3]),
        )
        for each in orders:
            exchange.deal_order(each, position=position)
        values[name] = position.calculate_value()
    assert np.isnan(values["qlib"])
    assert values["ours"] == pytest.approx(1e5 + 400 * 20 + 400 * 44, rel=0.01)


def test_a_suspended_stock_is_worth_its_last_close(provider):
    exchange = board_exchange()
    for day in (3, 4):
        assert exchange.get_close("SH600003", DAYS[day], end_of(DAYS[day])) == 20.0
        assert exchange.get_deal_price("SH600003", DAYS[day], end_of(DAYS[day]), Order.BUY) == 20.0


def test_an_order_of_a_week_is_refused(provider):
    """exchange.py:501: a step of a week is dealt at the average price of its last day."""
    week = order("SH600002", 400, Order.BUY, day=0, last=4)
    price = qlib_exchange().deal_order(week, position=Position(1e6))[2]
    assert price == pytest.approx(44.0, rel=1e-6)  # that of Friday, not Monday's 40
    with pytest.raises(ConfigError, match=r"SH600002 runs from 2021-03-01.*time_per_step to day"):
        board_exchange().deal_order(order("SH600002", 400, Order.BUY, day=0, last=4), position=Position(1e6))


def test_an_order_may_last_over_a_weekend(provider):
    """As the steps of Qlib's executor do, to the day before the next trading day."""
    over = Order("SH600002", 400, Order.BUY, DAYS[4], DAYS[5] - pd.Timedelta(seconds=1))
    assert over.end_time.day_name() == "Sunday"
    assert board_exchange().deal_order(over, position=Position(1e6))[0] > 0


def test_costs_beside_the_exchange_are_not_dropped_in_silence(provider):
    """backtest/__init__.py:110: with an exchange of one's own, Qlib ignores start, end and costs beside it."""
    beside = {"open_cost": 0.3, "close_cost": 0.4, "start_time": DAYS[3], "end_time": DAYS[4]}
    plain = {"class": "Exchange", "module_path": "qlib.backtest.exchange", "kwargs": {"codes": "all"}}
    qlib = get_exchange(exchange=plain, **beside)
    assert (qlib.open_cost, qlib.start_time) == (0.0015, None)
    ours = {"class": "BoardExchange", "module_path": "qlib_ext.portfolio.exchange", "kwargs": {"codes": "all"}}
    with pytest.raises(ConfigError, match="start_time, end_time, open_cost, close_cost among its own kwargs"):
        get_exchange(exchange=ours, **beside)
    within = get_exchange(exchange=ours | {"kwargs": beside})
    assert (within.open_cost, within.close_cost, within.start_time) == (0.3, 0.4, DAYS[3])


def test_amounts_are_lots_of_the_board_and_a_holding_is_sold_whole(provider):
    """Amounts are adjusted: with a factor of 2, a lot of 100 shares is 50, one of 200 is 100."""
    exchange, position = board_exchange(), Position(1e6, {"SH688001": {"amount": 130.0, "price": 100.0}})
    dealt = {}
    for stock, amount, direction in (
        ("SH688001", 299.0, Order.BUY),
        ("SH600002", 299.0, Order.BUY),
        ("SH600002", 120.0, Order.SELL),
        ("SH688001", 330.0, Order.SELL),
    ):
        each = order(stock, amount, direction, day=6)
        exchange.deal_order(each, position=position)
        dealt[stock, direction] = each.deal_amount
    assert list(dealt.values()) == [200.0, 250.0, 100.0, 330.0]
    whole = order("SH688001", 299.0, Order.BUY, day=6)
    board_exchange(lots=False).deal_order(whole, position=Position(1e6))
    assert whole.deal_amount == 299.0
    assert exchange.trade_unit == 100


def test_target_amounts_are_lots_of_the_board(provider):
    made = board_exchange().generate_order_for_target_amount_position(
        {"SH688001": 299.0, "SH600002": 299.0, "SH600004": 10.0}, {}, DAYS[6], end_of(DAYS[6])
    )
    assert {each.stock_id: each.amount for each in made} == {"SH688001": 200.0, "SH600002": 250.0}


def test_an_account_keeps_the_price_of_a_suspended_holding(provider):
    """backtest/account.py:241; :287 adds purchases and sales, which EnhancementRecord halves."""
    account = Account(1e5, {"SH600003": {"amount": 400.0, "price": 20.0}}, port_metr_enabled=False)
    exchange = board_exchange()
    account.update_current_position(DAYS[3], end_of(DAYS[3]), exchange)
    assert account.current_position.calculate_value() == 1e5 + 400 * 20


def test_an_index_cannot_be_traded(provider):
    assert tradable(board_exchange(), "SH000001", 4) == (False, False)
    assert tradable(qlib_exchange(), "SH000001", 4) == (True, True)


def test_a_flag_narrows_the_limit(tmp_path, init):
    def flag(frame):
        return frame.assign(st=1.0)

    prices = {"SH600001": [10, 10, (10.5, 10.5, 10.5), 10.5], "SH600002": [10, 10, (10.5, 10.5, 10.5), 10.5]}
    init(write_bars(tmp_path / "flagged", "2021-03-01", prices, edit={"SH600001": flag}))
    exchange = board_exchange(st="$st", end_time=DAYS[3])
    assert tradable(exchange, "SH600001", 2) == (False, True)
    assert tradable(exchange, "SH600002", 2) == (True, True)
    assert tradable(board_exchange(end_time=DAYS[3]), "SH600001", 2) == (True, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": "vwap"}, "limit has no option 'vwap'.*close, one_price"),
        ({"limit_threshold": 0.095}, "no option 'limit_threshold'; did you mean 'limit'"),
        ({"open_cost": -0.1}, "open_cost is a share of the value traded"),
        ({"close_cost": 25.0}, "close_cost is a share of the value traded"),
        ({"min_cost": -5.0}, "min_cost is in yuan"),
        ({"lots": 100}, "lots is true or false, not 100"),
        ({"boards": "/nowhere.csv"}, "rules /nowhere.csv cannot be read"),
    ],
)
def test_options_are_checked_before_any_bar_is_read(options, message):
    with pytest.raises(ConfigError, match=message):
        board_exchange(**options)


def test_a_provider_without_what_limits_are_made_of_is_refused(provider, tmp_path, init):
    with pytest.raises(DataError, match=r"has no \$st, which BoardExchange reads"):
        board_exchange(st="$st")
    with pytest.raises(DataError, match="no bars of"):
        board_exchange(start_time="2019-01-01", end_time="2019-02-01")
    for edit, message in (
        (lambda frame: frame.drop(columns="change"), r"has no \$change"),
        (
            lambda frame: frame.assign(factor=frame["factor"].where(frame.index != DAYS[4])),
            "1 days.*first SH600004 on 2021-03-05",
        ),
    ):
        init(
            write_bars(
                tmp_path / message[:8].strip("^$"), "2021-03-01", {"SH600004": [10] * 10}, edit={"SH600004": edit}
            )
        )
        with pytest.raises(DataError, match=message):
            board_exchange()


@pytest.mark.parametrize("amount", [np.nan, np.inf, -100.0])
def test_an_amount_that_is_no_number_is_refused(provider, amount):
    with pytest.raises(DataError, match="SH600002 on 2021-03-03 is of"):
        board_exchange().deal_order(order("SH600002", amount, Order.BUY), position=Position(1e6))


def test_what_is_cut_for_want_of_cash_is_the_smallest_purchase(provider):
    """exchange.py:929: Qlib cuts the last purchase to the cash at hand, and :637 shuffles which of them is the last."""
    wanted = {"SH600002": 200.0, "SH600003": 3000.0, "SH600004": 500.0}  # 8,800, 60,000 and 10,960 yuan
    names, dealt = list(wanted), {}
    price = np.array([44.0, 20.0, 21.92])
    in_size = [names[place] for place in in_order(np.array(list(wanted.values())), price)]
    assert in_size == ["SH600003", "SH600004", "SH600002"]
    exchange = qlib_exchange(trade_unit=None)
    shuffled = [
        each.stock_id
        for each in exchange.generate_order_for_target_amount_position(wanted, {}, DAYS[6], end_of(DAYS[6]))
    ]
    for name, stocks in {"qlib": shuffled, "ours": in_size}.items():
        position = Position(70_000.0)
        for stock in stocks:
            exchange.deal_order(order(stock, wanted[stock], Order.BUY, day=6), position=position)
        dealt[name] = {stock: position.get_stock_amount(stock) / wanted[stock] for stock in position.get_stock_list()}
    assert dealt["qlib"]["SH600003"] < 0.9
    assert dealt["ours"]["SH600003"] == 1
    assert dealt["ours"].get("SH600002", 0.0) == 0

"""Ten evenings of a desk: predict, orders, fills by the next day's bars; at the end the account is the backtest's."""

from __future__ import annotations

import copy

import pytest
import qlib
from qlib.backtest import backtest

from qlib_ext.live.orders import orders
from tests.live.desk import Desk
from tests.live.flows import ACCOUNT, BOARDS, EXCHANGES, TOPK
from tests.live.growing import TRAINED

DAYS = range(TRAINED, TRAINED + 10)  # of trade
EXECUTOR = {"class": "SimulatorExecutor", "module_path": "qlib.backtest.executor"}
EXECUTOR["kwargs"] = {"time_per_step": "day", "generate_portfolio_metrics": True}


def backtested(evening, name: str) -> dict:
    """The account at the close of each day in Qlib's backtest of the same days."""
    start, end = (evening.market.calendar[day] for day in (DAYS[0], DAYS[-1]))
    exchange = copy.deepcopy(EXCHANGES.get(name, BOARDS))
    if "exchange" in exchange:
        exchange["exchange"]["kwargs"] |= {"start_time": start, "end_time": end}
    strategy = TOPK | {"kwargs": TOPK["kwargs"] | {"signal": evening.scores(name)}}
    qlib.init(provider_uri=str(evening.provider), region="cn", kernels=1, logging_level=40)
    metrics, _ = backtest(start, end, strategy, EXECUTOR, None, ACCOUNT, exchange)
    return metrics["1day"][0]["account"].to_dict()


def test_after_ten_days_the_account_is_that_of_the_backtest(evening, tmp_path):
    """A single model on Qlib's exchange; a rolling one whose window ends, and a fusion, on that of the boards."""
    names = ("trees", "rolled", "fused")
    desks = {name: Desk(evening.market, ACCOUNT) for name in names}
    values = {name: {} for name in names}
    for day in DAYS:
        evening.until(day)
        for name in ("trees", "fused"):
            evening.predict(name, retrain=True)
        known = {
            name: orders(evening.folder, name, desk.write(tmp_path / name), desk.cash) for name, desk in desks.items()
        }
        evening.until(day + 1)
        for name, desk in desks.items():
            before = evening.market.calendar[day - 1]
            made = orders(evening.folder, name, tmp_path / name, desk.cash, before, next_bars=True)
            assert made.trading == known[name].trading
            assert wanted(made) == wanted(known[name])
            desk.trade(made.table, day)
            values[name][evening.market.calendar[day]] = desk.value(day)
    for name in names:
        assert values[name] == pytest.approx(backtested(evening, name), abs=0.5)


def wanted(made) -> set:
    """What is to be sold and bought, whether it can be or not."""
    return {*made.table[["instrument", "side"]].itertuples(index=False, name=None)}

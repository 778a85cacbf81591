"""Ten evenings of a desk, check, predict, orders, fills by the next day's bars: the account is that of the backtest."""

from __future__ import annotations

import copy

import pytest
import qlib
from qlib.backtest import backtest as qlib_backtest

from qlib_ext.live.health import check
from qlib_ext.live.orders import orders
from tests.live.desk import Desk
from tests.live.flows import ACCOUNT, backtest
from tests.live.growing import SUSPENDED, TRAINED

DAYS = range(TRAINED, TRAINED + 10)  # of trade
CHECKED = (SUSPENDED[0] + 1, DAYS[-1])  # evenings on which nothing is wrong with the bars, as on others
EXECUTOR = {"class": "SimulatorExecutor", "module_path": "qlib.backtest.executor"}
EXECUTOR["kwargs"] = {"time_per_step": "day", "generate_portfolio_metrics": True}


def backtested(evening, name: str) -> dict:
    """The account at the close of each day in Qlib's backtest of the same days."""
    start, end = (evening.market.calendar[day] for day in (DAYS[0], DAYS[-1]))
    config = backtest(name, evening.provider)["kwargs"]["config"]
    exchange = copy.deepcopy(config["backtest"]["exchange_kwargs"])
    if "exchange" in exchange:
        exchange["exchange"]["kwargs"] |= {"start_time": start, "end_time": end}
    strategy = config["strategy"] | {"kwargs": config["strategy"]["kwargs"] | {"signal": evening.scores(name)}}
    qlib.init(provider_uri=str(evening.provider), region="cn", kernels=1, logging_level=40)
    metrics, _ = qlib_backtest(start, end, strategy, EXECUTOR, None, ACCOUNT, exchange)
    return metrics["1day"][0]["account"].to_dict()


def test_after_ten_days_the_account_is_that_of_the_backtest(evening, tmp_path):
    """A single net, a rolling one whose window ends, and a fusion of both.

    TopkDropoutStrategy, on Qlib's exchange for the rolling model and on that of the boards for the fusion, sizes by
    the next day's price: what it wants is known in the evening, how much the day after. IndexEnhancement, of the single
    net, sizes by the close: the orders of the evening are dealt.
    """
    desks = {name: Desk(evening.market, ACCOUNT) for name in ("rolled", "fused", "net")}
    values = {name: {} for name in desks}
    for day in DAYS:  # the provider ends on the day before
        if day in CHECKED:
            assert not [each.findings for each in check(evening.folder, "fused") if each.findings]
        evening.predict("fused", retrain=True)
        held = {name: desk.write(tmp_path / f"{name}.csv") for name, desk in desks.items()}
        known = [*desks] if day in CHECKED else ["net"]
        made = {name: orders(evening.folder, name, held[name], desks[name].cash) for name in known}
        evening.until(day + 1)
        for name in ("rolled", "fused"):
            at = evening.market.calendar[day - 1]
            sized = orders(evening.folder, name, held[name], desks[name].cash, at, next_bars=True)
            assert name not in made or wanted(sized) == wanted(made[name])
            made[name] = sized
        for name, desk in desks.items():
            desk.trade(made[name].table, day)
            values[name][evening.market.calendar[day]] = desk.value(day)
    for name, by_day in values.items():
        assert by_day == pytest.approx(backtested(evening, name), abs=0.5), name
    assert all(len(desk.shares) > 2 and desk.traded > 3 for desk in desks.values())


def wanted(made) -> set:
    """The day, and what is to be sold and bought on it, whether it can be or not."""
    return {*made.table[["date", "instrument", "side"]].itertuples(index=False, name=None)}

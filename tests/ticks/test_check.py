"""Rows that contradict each other are found and named."""

from __future__ import annotations

from datetime import time

import polars as pl
import pytest

from qlib_ext.errors import DataError
from qlib_ext.ticks.bars import minute_bars
from qlib_ext.ticks.check import FAULTS, check_batch, check_reconciled, check_rows
from qlib_ext.ticks.factors import day_factors
from qlib_ext.ticks.schema import MINUTES, ORDERS, SCHEMAS, TRADES
from qlib_ext.ticks.sessions import in_opening_auction, minute_of, start_of


def trades():
    rows = [
        ("SH600000", time(9, 30, 1), 10.0, 100, 1000.0, 1, 2, "B"),
        ("SH600000", time(9, 30, 1), 10.1, 100, 1010.0, 1, 3, "B"),
        ("SH600000", time(9, 31), 10.0, 200, 2000.0, 4, 5, "S"),
        ("SH600001", time(9, 30), 20.0, 100, 2000.0, 4, 5, "S"),
    ]
    return pl.DataFrame(rows, schema=TRADES, orient="row")


def orders():
    rows = [
        ("SH600000", time(9, 30, 1), 10.0, 100, "B", 1, "add"),
        ("SH600000", time(9, 30, 1), 10.0, 100, "B", 1, "cancel"),
        ("SH600001", time(9, 30), 10.0, 100, "B", 1, "add"),
    ]
    return pl.DataFrame(rows, schema=ORDERS, orient="row")


def test_sound_frames_pass():
    check_batch(trades(), "trades", "trades")
    check_batch(orders(), "orders", "orders")
    check_batch(minute_bars(trades()), "minute", "bars")
    check_rows(trades(), FAULTS["trades"], "trades")
    check_reconciled(trades(), minute_bars(trades()))


def test_one_pair_of_orders_may_trade_twice_at_another_price():
    pair = trades().with_columns(sell_order=pl.lit(9))
    check_batch(pair, "trades", "trades")


def test_times_that_go_back_are_named():
    with pytest.raises(DataError, match=r"trades: time goes back in 1 rows, first instrument SH600000, time 09:30:01"):
        day_factors(trades=trades()[[2, 0, 1, 3]])


def test_stocks_may_be_mixed():
    check_batch(trades()[[3, 0, 1, 2]], "trades", "trades")
    check_batch(trades()[[0, 3, 1, 2]], "trades", "trades")


@pytest.mark.parametrize(("kind", "frame"), [("trades", trades()), ("orders", orders())])
def test_a_row_that_is_there_twice_is_named(kind, frame):
    twins = pl.concat([frame, frame[[0]]]).sort("instrument", "time", maintain_order=True)
    with pytest.raises(DataError, match=f"{kind}: a row is there more than once in 2 rows, first instrument SH600000"):
        day_factors(**{kind: twins})


def test_twins_are_found_wherever_they_stand_among_the_rows_of_one_time():
    busy = pl.concat([trades()[[0]].with_columns(sell_order=pl.lit(number, pl.Int64)) for number in range(10, 15)])
    check_batch(pl.concat([busy, trades()]), "trades", "trades")
    for twin in (0, 2, 4):
        with pytest.raises(DataError, match=rf"more than once in 2 rows, .*sell_order {10 + twin}, side B: remove"):
            check_batch(pl.concat([busy, busy[[twin]], trades()]), "trades", "trades")
    with pytest.raises(DataError, match="more than once in 2 rows, first instrument SH600001"):
        check_batch(trades()[[0, 1, 2, 3, 3]], "trades", "trades")
    check_batch(trades().with_columns(instrument=pl.Series(list("abcd"))), "trades", "trades")


def test_two_bars_of_one_minute_are_named():
    bars = minute_bars(trades())
    bars = pl.concat([bars, bars[[1]].with_columns(close=pl.lit(11.0))])
    with pytest.raises(DataError, match=r"minute: two bars of one minute in 2 rows, first instrument SH600000"):
        day_factors(minute=bars)


@pytest.mark.parametrize("auction", [False, True])
def test_bars_that_are_named_by_their_end_are_not_taken_for_twins(auction):
    """239 of 240 would stand a minute late; of the last two of a session, one is not one too many."""
    every = pl.DataFrame({"minute": range(240)}).select(time=start_of(pl.col("minute")))
    bars = minute_bars(trades())[[0]].drop("time").join(every, how="cross").select(list(MINUTES))
    check_batch(bars, "minute", "bars")
    ends = bars.with_columns((pl.col("time").cast(pl.Int64) + 60_000_000_000).cast(pl.Time))
    quiet = ends.filter(pl.col("time") != time(11, 29), pl.col("time") < time(14, 59))  # no minute is there twice
    for day in [pl.concat([bars.head(1), ends])] if auction else [ends, quiet]:
        with pytest.raises(DataError, match=r"named by the end of their minute, .*time 11:30:00.*take a minute off"):
            check_batch(day, "minute", "bars")
    with pytest.raises(DataError, match=r"two bars of one minute in 2 rows, .*: keep one of them"):
        check_batch(pl.concat([bars, bars[[7]]]), "minute", "bars")


def test_a_missing_value_is_named():
    with pytest.raises(DataError, match="file: price is missing in 4 rows, first instrument SH600000, time 09:30:01"):
        check_rows(trades().with_columns(price=pl.lit(None, pl.Float64)), FAULTS["trades"], "file")


@pytest.mark.parametrize("name", ["volume", "amount"])
def test_bars_that_do_not_hold_the_trades_are_named(name):
    bars = minute_bars(trades())
    off = bars.with_columns(
        pl.when(pl.col("instrument") == "SH600001").then(pl.col(name) * 2).otherwise(name).alias(name)
    )
    with pytest.raises(DataError, match=f"The {name} of trades and minute bars differ for 1 of 2 .* first SH600001"):
        check_reconciled(trades(), off)


@pytest.mark.parametrize("gap", [1e-5, -1e-5])
def test_amounts_may_differ_by_rounding_alone(gap):
    bars = minute_bars(trades())
    check_reconciled(trades(), bars.with_columns(pl.col("amount") * (1 + gap / 100)))
    with pytest.raises(DataError, match="The amount of trades and minute bars differ for 2 of 2"):
        check_reconciled(trades(), bars.with_columns(pl.col("amount") * (1 + gap)))
    check_reconciled(trades(), bars.with_columns(pl.col("amount") * (1 + gap)), tolerance=1e-4)


def test_trades_without_bars_are_named_and_bars_without_trades_are_not():
    bars = minute_bars(trades())
    with pytest.raises(DataError, match=r"first SH600001: 100 in trades, 0 in minute bars"):
        check_reconciled(trades(), bars.filter(pl.col("instrument") == "SH600000"))
    check_reconciled(trades().filter(pl.col("instrument") == "SH600000"), bars)


def test_the_opening_auction_is_not_reconciled():
    auction = trades()[[0]].with_columns(time=pl.lit(time(9, 25)))
    check_reconciled(pl.concat([auction, trades()]), minute_bars(trades()))


@pytest.mark.parametrize("source", list(SCHEMAS))
def test_the_session_is_that_of_the_minutes(source):
    whole = pl.DataFrame({"time": [time(s // 3600, s // 60 % 60, s % 60) for s in range(86_400)]})
    ends = whole.select(pl.col("time").cast(pl.Int64).add(999_999_999).cast(pl.Time))
    times = pl.concat([whole, ends])
    outside = minute_of(pl.col("time")).is_null()
    if source != "minute":
        outside &= ~in_opening_auction(pl.col("time"))
    found = times.select(rule=FAULTS[source]["time is outside the session"], sessions=outside)
    assert (found["rule"] == found["sessions"]).all()
    assert 0 < found["rule"].sum() < len(times)

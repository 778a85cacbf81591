"""Each of the 27 factors equals the slow reference on random ticks, and only on what it may look at."""

from __future__ import annotations

import math
from datetime import time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.ticks import minute_factors, order_factors, trade_factors
from qlib_ext.ticks.bars import every_minute, minute_bars
from qlib_ext.ticks.factors import FAMILIES, day_factors
from qlib_ext.ticks.schema import TRADES
from qlib_ext.ticks.sessions import minute_of
from tests.ticks import draws, reference
from tests.ticks.reference import assert_equal


@given(draws.trades())
@settings(deadline=None, max_examples=40)
def test_minute_factors_equal_the_reference(trades):
    names = minute_factors.NAMES
    ours = minute_factors.minute_factors(minute_bars(trades))
    assert_equal(ours, reference.table(trades, reference.minute_factors, names))


@given(draws.trades(), st.sampled_from([0.5, 1.0, 2.0]))
@settings(deadline=None, max_examples=40)
def test_trade_factors_equal_the_reference(trades, big):
    expected = reference.table(trades, lambda rows: reference.trade_factors(rows, big), trade_factors.NAMES)
    assert_equal(trade_factors.trade_factors(trades, big), expected)


@given(draws.orders())
@settings(deadline=None, max_examples=40)
def test_order_factors_equal_the_reference(orders):
    assert_equal(
        order_factors.order_factors(orders), reference.table(orders, reference.order_factors, order_factors.NAMES)
    )


def swapped_after_ten(frame, kind):
    """The frame with other prices, volumes and sides from 10:00 on, and some rows less."""
    late = pl.col("time") >= time(10)
    changed = frame.with_columns(
        pl.when(late).then(pl.col("price") * 1.1).otherwise("price").alias("price"),
        pl.when(late).then(pl.col("volume") * 7).otherwise("volume").alias("volume"),
        pl.when(late).then(pl.lit("B")).otherwise("side").alias("side"),
    )
    if kind == "trades":
        changed = changed.with_columns(amount=pl.col("price") * pl.col("volume"))
    return changed.filter(~late | (pl.int_range(pl.len()) % 2 == 0))


@given(draws.trades())
@settings(deadline=None, max_examples=15)
def test_early_trade_factors_do_not_look_past_ten(trades):
    names = ["instrument", "early_corr_volume_ret", "early_active_buy_perc"]
    before, after = (day_of(trades=frame).select(names) for frame in (trades, swapped_after_ten(trades, "trades")))
    stocks = after["instrument"].to_list()
    assert before.filter(pl.col("instrument").is_in(stocks)).equals(after)


@given(draws.orders())
@settings(deadline=None, max_examples=15)
def test_early_order_factor_does_not_look_past_ten(orders):
    names = ["instrument", "early_kurt_order"]
    before, after = (day_of(orders=frame).select(names) for frame in (orders, swapped_after_ten(orders, "orders")))
    stocks = after["instrument"].to_list()
    assert before.filter(pl.col("instrument").is_in(stocks)).equals(after)


def day_of(**frames):
    """All factors of frames whose random rows may be twins, which a day's may not: they are made single."""
    return day_factors(**{kind: frame.unique(maintain_order=True) for kind, frame in frames.items()})


@given(draws.trades(), draws.orders())
@settings(deadline=None, max_examples=10)
def test_batches_and_the_order_of_stocks_change_nothing(trades, orders):
    whole = day_of(trades=trades, orders=orders)
    assert whole.columns == ["instrument", *(name for family in FAMILIES.values() for name in family)]
    assert whole["instrument"].to_list() == sorted({*trades["instrument"], *orders["instrument"]})
    mixed = trades.sort("time", maintain_order=True).unique(maintain_order=True)
    for rows in (1, 1_000_000):
        ours = day_factors(trades=mixed.lazy(), orders=orders.sort("time", maintain_order=True), batch_rows=rows)
        assert_equal(ours, whole.to_pandas().set_index("instrument"))


@given(draws.trades())
@settings(deadline=None, max_examples=10)
def test_bars_given_are_as_good_as_bars_built(trades):
    bars = minute_bars(trades)
    if bars.is_empty():
        return
    empty = bars.with_columns(
        volume=pl.lit(0, pl.Int64), amount=pl.lit(0.0), count=pl.lit(0, pl.Int64), time=time(11, 29)
    )
    fuller = pl.concat([bars, empty.unique("instrument").join(bars, on=["instrument", "time"], how="anti")])
    names = FAMILIES["minute"]
    built = day_of(trades=trades).select("instrument", *names)
    for given_bars in (bars, fuller.select(bars.columns).sort("instrument", "time")):
        ours = day_factors(minute=given_bars)
        assert built.filter(pl.col("instrument").is_in(ours["instrument"].to_list())).equals(ours)


def trades_at(*rows):
    """Trades of one stock, (time, price) each, of 100 shares, between order 1 and order 2, the buyer active."""
    frame = [("SH600000", at, price, 100, price * 100, i, 1000, "B") for i, (at, price) in enumerate(rows)]
    return pl.DataFrame(frame, schema=TRADES, orient="row")


def test_the_first_return_is_close_over_open_and_empty_minutes_carry_the_close():
    trades = trades_at((time(9, 25), 5.0), (time(9, 31), 10.0), (time(9, 31, 5), 11.0), (time(15, 0, 1), 22.0))
    filled = every_minute(minute_bars(trades).with_columns(minute=minute_of(pl.col("time"))).drop("time"))
    assert filled["minute"].to_list() == list(range(1, 240))
    assert filled["r"].to_list() == pytest.approx([0.1, *[0] * 237, 1.0])
    assert filled["volume"].to_list() == [200, *[0] * 237, 100]
    assert set(filled["high"][1:-1]) == {11.0}


def test_a_day_of_the_opening_auction_alone_is_undefined_not_zero():
    row = day_factors(trades=trades_at((time(9, 25), 10.0))).row(0)[1:]
    assert len(row) == 23
    assert all(math.isnan(value) for value in row)


def test_constant_prices_leave_returns_undefined():
    row = day_factors(trades=trades_at(*((time(9, 30 + m), 10.0) for m in range(20)))).row(0, named=True)
    undefined = ["late_skew_ret", "down_vol_perc", "corr_ret_lastret", "corr_close_nextopen", "corr_volume_amplitude"]
    assert all(math.isnan(row[name]) for name in [*undefined, "corr_netactivebuy_lastret", "down_single_amt_perc"])


def test_equal_orders_are_none_of_them_big():
    # the orders' amounts differ by noise alone, which the logarithm of an amount near 1 keeps
    rows = [("SH600000", time(10, i), 1.0, 1, 1.0 + 2**-52 if i == 0 else 1.0, i, 100 + i, "B") for i in range(20)]
    row = day_factors(trades=pl.DataFrame(rows, schema=TRADES, orient="row")).row(0, named=True)
    assert row["bigorder_amt_perc"] == 0
    assert math.isnan(row["bigorder_ret2"])


def test_no_frame_is_an_error():
    with pytest.raises(ConfigError, match="at least one of minute, trades and orders"):
        day_factors()


def test_a_family_that_nobody_wants_is_left_out():
    trades = trades_at((time(9, 31), 10.0), (time(10), 11.0), (time(11), 10.5))
    whole = day_factors(trades=trades)
    own = day_factors(trades=trades, families=["minute"])
    assert own.equals(whole.select("instrument", *FAMILIES["minute"]))
    with pytest.raises(ConfigError, match="and a family that it allows"):
        day_factors(trades=trades, families=["orders"])


def test_wrong_columns_name_the_source():
    with pytest.raises(DataError, match=r"trades lacks 1 of 8 columns: side"):
        day_factors(trades=trades_at((time(10), 10.0)).drop("side"))
    with pytest.raises(DataError, match=r"trades has 1 columns of another type; 'volume' is Float64 and must be Int64"):
        day_factors(trades=trades_at((time(10), 10.0)).with_columns(pl.col("volume").cast(pl.Float64)))


def test_a_day_without_rows_is_an_error():
    with pytest.raises(DataError, match="trades has no row"):
        day_factors(trades=trades_at())


def test_order_numbers_out_of_range_are_an_error():
    with pytest.raises(DataError, match=r"buy_order lies outside 0..2\^40 in 1 rows, first instrument SH600000"):
        day_factors(trades=trades_at((time(10), 10.0)).with_columns(buy_order=pl.lit(2**40)))

"""Minute bars equal the slow reference, and hold every share and yuan of the sessions."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings

from qlib_ext.ticks.bars import minute_bars
from qlib_ext.ticks.schema import MINUTES, check_schema
from qlib_ext.ticks.sessions import minute_of
from tests.ticks import draws, reference

COLUMNS = ["minute", "open", "high", "low", "close", "volume", "amount", "count"]


@given(draws.trades())
@settings(deadline=None, max_examples=40)
def test_bars_equal_the_reference(trades):
    bars = minute_bars(trades)
    check_schema(bars, MINUTES, "bars")
    assert bars.select("instrument", "time").equals(bars.select("instrument", "time").sort("instrument", "time"))
    ours = bars.with_columns(minute=minute_of(pl.col("time"))).to_pandas()
    for stock, rows in trades.to_pandas().groupby("instrument"):
        expected = reference.bars(rows)
        traded = expected[expected["count"] > 0][COLUMNS].to_numpy(float)
        mine = ours[ours["instrument"] == stock][COLUMNS].to_numpy(float)
        np.testing.assert_allclose(mine, traded, rtol=1e-12)


@given(draws.trades())
@settings(deadline=None, max_examples=20)
def test_bars_hold_all_of_the_sessions(trades):
    session = trades.filter(minute_of(pl.col("time")).is_not_null())
    bars = minute_bars(trades)
    assert bars["volume"].sum() == session["volume"].sum()
    assert bars["count"].sum() == len(session)

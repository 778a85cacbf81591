"""The minute of a time, at every edge of the day."""

from __future__ import annotations

from datetime import time

import numpy as np
import polars as pl
import pytest

from qlib_ext.provider import sessions
from qlib_ext.provider.sessions import MINUTES_A_DAY
from qlib_ext.ticks.sessions import in_opening_auction, minute_of, start_of

EDGES = [
    (time(9, 14, 59, 999_000), None, False),
    (time(9, 15), None, True),
    (time(9, 25, 0, 940_000), None, True),
    (time(9, 29, 59, 999_999), None, True),
    (time(9, 30), 0, False),
    (time(9, 59, 59, 999_999), 29, False),
    (time(10), 30, False),
    (time(11, 29, 59, 999_999), 119, False),
    (time(11, 30), 119, False),
    (time(11, 31), None, False),
    (time(12, 59, 59, 999_999), None, False),
    (time(13), 120, False),
    (time(14, 30), 210, False),
    (time(14, 59, 59, 999_999), 239, False),
    (time(15, 0, 1, 60_000), 239, False),
    (time(15, 1), None, False),
    (time(15, 5), None, False),
]


@pytest.mark.parametrize(("at", "minute", "auction"), EDGES)
def test_edges(at, minute, auction):
    frame = pl.DataFrame({"time": [at]})
    assert frame.select(minute_of(pl.col("time"))).item() == minute
    assert frame.select(in_opening_auction(pl.col("time"))).item() is auction


def test_start_of_is_the_inverse():
    minutes = pl.DataFrame({"minute": range(MINUTES_A_DAY)}, schema={"minute": pl.Int16})
    starts = minutes.select(time=start_of(pl.col("minute")))
    assert starts["time"][0] == time(9, 30)
    assert starts["time"][119] == time(11, 29)
    assert starts["time"][120] == time(13)
    assert starts.select(minute_of(pl.col("time")))["time"].to_list() == minutes["minute"].to_list()


def test_every_minute_of_the_clock_is_the_one_that_bars_are_placed_by():
    clock = np.arange(24 * 60)
    times = pl.DataFrame({"time": [time(*divmod(int(minute), 60)) for minute in clock]})
    ours = times.select(minute_of(pl.col("time")))["time"].fill_null(-1).to_numpy()
    np.testing.assert_array_equal(ours, sessions.minute_of(clock))

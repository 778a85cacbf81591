from __future__ import annotations

from datetime import time

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlib_ext.errors import DataError
from qlib_ext.provider.sessions import MINUTES_A_DAY, bar_of, minute_of
from qlib_ext.ticks import sessions as in_polars

DAY = pd.Timestamp("2020-01-02")


def day_of_bars(minutes: int, named: str) -> pd.DatetimeIndex:
    """A day's bars, named by their end or their start."""
    parts = [
        pd.date_range(DAY + pd.Timedelta(a), DAY + pd.Timedelta(b), freq=f"{minutes}min", inclusive="right")
        for a, b in (("9:30:00", "11:30:00"), ("13:00:00", "15:00:00"))
    ]
    return parts[0].append(parts[1]) - pd.Timedelta(minutes=0 if named == "end" else minutes)


def with_time(times: pd.DatetimeIndex, clock: str) -> pd.DatetimeIndex:
    return times.append(pd.DatetimeIndex([DAY + pd.Timedelta(clock)])).sort_values()


def test_every_minute_of_the_day_is_that_of_the_ticks():
    clock = np.arange(24 * 60)
    times = pl.DataFrame({"time": [time(*divmod(minute, 60)) for minute in clock.tolist()]})
    expected = times.select(in_polars.minute_of(pl.col("time")).fill_null(-1)).to_series().to_numpy()
    np.testing.assert_array_equal(minute_of(clock), expected)
    assert set(minute_of(clock)) == set(range(-1, MINUTES_A_DAY))


@pytest.mark.parametrize("named", ["end", "start"])
@pytest.mark.parametrize("minutes", [1, 5, 15, 30])
def test_bars_of_a_day_are_counted_from_its_first(minutes, named):
    np.testing.assert_array_equal(bar_of(day_of_bars(minutes, named), minutes), range(240 // minutes))


@pytest.mark.parametrize(
    ("named", "minutes", "clock", "bar"),
    [
        ("end", 1, "9:30:00", 0),  # 241 bars a day
        ("end", 15, "9:30:00", 0),
        ("end", 1, "9:25:00", 0),
        ("start", 1, "9:25:00", 0),
        ("start", 1, "15:00:00", 239),
        ("start", 5, "15:00:00", 47),
    ],
)
def test_auctions_belong_to_the_first_and_the_last_bar(named, minutes, clock, bar):
    times = with_time(day_of_bars(minutes, named), clock)
    found = bar_of(times, minutes)
    assert found[times.get_loc(DAY + pd.Timedelta(clock))] == bar
    assert np.bincount(found).tolist() == [1 + (place == bar) for place in range(240 // minutes)]


@pytest.mark.parametrize("clock", ["8:00:00", "12:00:00", "15:05:00", "10:02:00"])
def test_times_that_belong_to_no_bar_are_named(clock):
    times = with_time(day_of_bars(5, "end"), clock)
    with pytest.raises(DataError, match=rf"1 times of the 5-minute .* outside .* first 2020-01-02 0?{clock}"):
        bar_of(times, 5)


def test_days_whose_bars_add_up_but_not_each_of_them_are_named():
    whole = day_of_bars(15, "end")
    following = whole + pd.Timedelta(days=1)
    times = whole.delete(3).append(following).append(following[[3]] + pd.Timedelta(days=1)).sort_values()
    assert len(times) == 2 * 16
    with pytest.raises(DataError, match=r"2 half-hours .* first on 2020-01-02: half-hour 2 has 1 of 2 bars"):
        bar_of(times, 15)


def test_a_whole_half_hour_may_be_missing():
    np.testing.assert_array_equal(bar_of(day_of_bars(15, "end").delete([8, 9]), 15), [*range(8), *range(10, 16)])


def test_a_calendar_that_does_not_say_how_it_names_its_bars():
    times = day_of_bars(30, "end")
    with pytest.raises(DataError, match="has neither"):
        bar_of(times[:2], 30)
    with pytest.raises(DataError, match="has both"):
        bar_of(times.append(day_of_bars(30, "start")).unique().sort_values(), 30)

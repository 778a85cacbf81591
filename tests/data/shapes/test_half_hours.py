from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.data.shapes.half_hours import fold, half_hours
from qlib_ext.errors import DataError

DAY = pd.Timestamp("2020-01-02")


def session(minutes: int, named: str) -> pd.DatetimeIndex:
    """A day's bars, named by their end or their start."""
    parts = [
        pd.date_range(DAY + pd.Timedelta(a), DAY + pd.Timedelta(b), freq=f"{minutes}min", inclusive="right")
        for a, b in (("9:30:00", "11:30:00"), ("13:00:00", "15:00:00"))
    ]
    return parts[0].append(parts[1]) - pd.Timedelta(minutes=0 if named == "end" else minutes)


@pytest.mark.parametrize("named", ["end", "start"])
@pytest.mark.parametrize("minutes", [1, 5, 15, 30])
def test_a_day_has_eight_halves(minutes, named):
    np.testing.assert_array_equal(half_hours(session(minutes, named), minutes), np.repeat(range(8), 30 // minutes))


@pytest.mark.parametrize(
    ("named", "minutes", "time", "half"),
    [
        ("end", 1, "9:30:00", 0),  # 241 bars a day
        ("end", 1, "9:25:00", 0),
        ("start", 1, "9:25:00", 0),
        ("start", 1, "15:00:00", 7),
    ],
)
def test_auctions_belong_to_the_first_and_the_last_half(named, minutes, time, half):
    times = session(minutes, named).append(pd.DatetimeIndex([DAY + pd.Timedelta(time)])).sort_values()
    found = half_hours(times, minutes)
    assert found[times.get_loc(DAY + pd.Timedelta(time))] == half
    assert np.bincount(found)[half] == 31


@pytest.mark.parametrize("time", ["8:00:00", "12:00:00", "15:05:00"])
def test_times_outside_the_session_are_named(time):
    times = session(5, "end").append(pd.DatetimeIndex([DAY + pd.Timedelta(time)])).sort_values()
    with pytest.raises(DataError, match=rf"1 times of the 5-minute .* outside .* first 2020-01-02 0?{time}"):
        half_hours(times, 5)


def test_a_half_hour_that_is_incomplete_is_named():
    times = session(15, "end").delete([9])
    with pytest.raises(DataError, match=r"1 half-hours of the 15-minute .* 2020-01-02: half-hour 5 has 1 of 2 bars"):
        half_hours(times, 15)


def test_a_whole_half_hour_may_be_missing():
    times = session(15, "end").delete([8, 9])
    assert set(half_hours(times, 15)) == {0, 1, 2, 3, 5, 6, 7}


def test_a_calendar_that_does_not_say_how_it_names_its_bars():
    times = session(30, "end")
    with pytest.raises(DataError, match="has neither"):
        half_hours(times[:2], 30)
    with pytest.raises(DataError, match="has both"):
        half_hours(times.append(session(30, "start")).unique().sort_values(), 30)


def test_bars_are_joined_from_what_is_known():
    nan = np.nan
    bars = np.array([[
        [nan, nan, nan, nan, nan], [2, 4, 1, 3, 10], [3, 5, 2, nan, 20], [nan, 9, nan, nan, nan],  # the first
        [nan] * 5, [nan] * 5,  # the second
        [7, 8, 6, 7, 1],  # the third
    ]], dtype="f4")  # fmt: skip
    expected = [[2, 9, 1, 3, 30], [nan] * 5, [7, 8, 6, 7, 1]]
    np.testing.assert_array_equal(fold(bars, np.array([0, 4, 6]))[0], expected)

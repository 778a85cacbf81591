"""What is a day in a table, and on which clock."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.provider.dates import exchange_time, read_days

DAY = date(2023, 2, 1)
SHANGHAI, UTC = ZoneInfo("Asia/Shanghai"), timezone.utc


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-01",
        "2023-2-1",
        "2023/02/01",
        "2023.02.01",
        "20230201",
        " 2023-02-01 ",
        "2023-02-01 00:00:00",
        "2023-02-01T00:00",
        "2023-02-01 00:00:00.000000",
        "2023-02-01T00:00:00+08:00",
        "2023-01-31T16:00:00Z",
        "2023-01-31 16:00:00 UTC",
        "2023-01-31 16:00+0000",
        "2023-01-31 11:00:00.000-05:00",
    ],
)
def test_one_day_in_many_forms(text):
    assert read_days(pl.Series([text, None])).to_list() == [DAY, None]


@pytest.mark.parametrize(
    "text",
    ["", "today", "2023-02-30", "230201", "2023-02-01 18:00:00", "2023-01-31T23:00:00Z", "2023-13-01T16:00:00Z"],
)
def test_what_is_no_day(text):
    assert read_days(pl.Series([text, "2023-02-01"])).to_list() == [None, DAY]


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([DAY]),
        pl.Series([20230201]),
        pl.Series([20230201.0]),
        *(pl.Series([datetime(2023, 2, 1)], dtype=pl.Datetime(unit)) for unit in ("ms", "us", "ns")),
        pl.Series([datetime(2023, 2, 1, tzinfo=SHANGHAI)], dtype=pl.Datetime("us", "Asia/Shanghai")),
        pl.Series([datetime(2023, 1, 31, 16, tzinfo=UTC)], dtype=pl.Datetime("ns", "UTC")),
    ],
)
def test_typed_columns(values):
    assert read_days(values).to_list() == [DAY]
    assert read_days(values.clear()).dtype == pl.Date


def test_an_instant_is_no_day():
    late = [datetime(2023, 2, 1, 18), datetime(2023, 2, 1), None]
    assert read_days(pl.Series(late)).to_list() == [None, DAY, None]
    midnight_in_london = pl.Series([datetime(2023, 2, 1, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))
    assert read_days(midnight_in_london).to_list() == [None]


@settings(deadline=None)
@given(day=st.dates(date(1992, 1, 1), date(2099, 12, 31)), hours=st.integers(-12, 14), text=st.booleans())
def test_midnight_in_the_exchange_is_its_day_wherever_it_was_written(day, hours, text):
    zone = timezone(timedelta(hours=hours))
    instant = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).astimezone(zone)
    written = pl.Series([instant.isoformat()] if text else [instant.astimezone(UTC)])
    assert read_days(written).to_list() == [day]


def test_times_of_pandas():
    there = pd.Timestamp("2023-02-01 09:31")
    assert exchange_time(there) == there
    assert exchange_time(pd.Timestamp("2023-02-01 01:31", tz="UTC")) == there
    index = pd.DatetimeIndex([there])
    assert exchange_time(index).equals(index)
    assert exchange_time(index.tz_localize("Asia/Shanghai").tz_convert("US/Eastern")).equals(index)

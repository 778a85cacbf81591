"""Cutting the test segment: every trading day once, nothing known too late, no day purged in vain."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.errors import ConfigError, SegmentError
from qlib_ext.rolling.windows import LONGEST_HOLIDAY, plan

HALF_YEARS = {"test": ("2015-07-01", "2016-06-30"), "train": "6M", "valid": "3M", "step": "6M"}


@st.composite
def calendars(draw) -> pd.DatetimeIndex:
    """Trading days of some three years, with holidays at random places, some at a month's or a year's border."""
    days = pd.bdate_range(draw(st.sampled_from(["2014-01-01", "2015-06-17", "2011-12-30"])), periods=780)
    closed = draw(st.lists(st.tuples(st.integers(0, 779), st.integers(1, 8)), max_size=12))
    borders = [
        days.searchsorted(day) for day in pd.date_range(days[0], days[-1], freq=draw(st.sampled_from(["MS", "YS"])))
    ]
    closed += [(int(place), draw(st.integers(1, 5))) for place in borders if draw(st.booleans())]
    holidays = {place + later for place, length in closed for later in range(length)}
    return days[[place for place in range(len(days)) if place not in holidays]]


LENGTHS = st.sampled_from(["1Y", "9M", "3M", "250D", "61D"])
SHORT = st.sampled_from(["2M", "1M", "40D", "17D"])
STEPS = st.sampled_from(["1Y", "5M", "1M", "97D", "20D", "9D", "1D"])


@st.composite
def cases(draw) -> dict:
    """A calendar, a test segment with bounds that need not be trading days, and lengths that the calendar has."""
    days = draw(calendars())
    start = days[draw(st.integers(320, 470))] + pd.Timedelta(days=draw(st.integers(0, 3)))  # 310 days and 14 months in
    end = draw(st.one_of(st.none(), st.integers(0, 420).map(lambda n: start + pd.Timedelta(days=n))))
    valid = draw(st.one_of(SHORT, st.floats(0.05, 0.5)))
    return {
        "days": days,
        "test": (start, end),
        "train": draw(LENGTHS),
        "valid": valid,
        "step": draw(STEPS) if end is None or end > start + pd.Timedelta(days=30) else "1D",
        "expanding": draw(st.booleans()),
        "reach": draw(st.integers(0, 11)),
    }


def planned(case: dict) -> list:
    """The windows, none where the segment has no day (a holiday) or a month is shorter than its labels reach."""
    try:
        return plan(**case)
    except SegmentError as error:
        if "has no trading day" in str(error) or "has no day left" in str(error):
            return []
        raise


@settings(max_examples=60, deadline=None)
@given(cases())
def test_test_windows_cover_the_segments_days_once_and_in_order(case):
    days, (start, end) = case["days"], case["test"]
    windows = planned(case)
    if windows:
        covered = [day for w in windows for day in days[(days >= w.test[0]) & (days <= w.test[1])]]
        assert covered == list(days[(days >= start) & (days <= (end or days[-1]))])
        assert all(day in days for w in windows for bounds in w.segments().values() for day in bounds)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_segments_follow_each_other_and_end_on_the_last_day_whose_label_is_known_in_time(case):
    days, reach = case["days"], case["reach"]
    place = days.get_loc
    for w in planned(case):
        assert w.train[0] <= w.train[1] < w.valid[0] <= w.valid[1] < w.test[0] <= w.test[1]
        for kept, following in ((w.train, w.valid), (w.valid, w.test)):
            assert place(kept[1]) + reach < place(following[0]), "known before the next segment's first day"
            assert place(kept[1]) + 1 + reach == place(following[0]), "and no later day's label is"


@settings(max_examples=40, deadline=None)
@given(cases())
def test_expanding_keeps_the_first_begin_and_changes_nothing_else(case):
    rolling, expanding = planned(case | {"expanding": False}), planned(case | {"expanding": True})
    if rolling:
        assert {w.train[0] for w in expanding} == {rolling[0].train[0]}
        assert [(w.train[1], w.valid, w.test) for w in expanding] == [(w.train[1], w.valid, w.test) for w in rolling]


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from([1, 2, 5, 20]))
def test_of_a_step_in_days_all_windows_but_the_last_have_that_many(case, step):
    windows = planned(case | {"step": f"{step}D"})
    lengths = [int(case["days"].slice_indexer(*w.test).stop - case["days"].get_loc(w.test[0])) for w in windows]
    assert all(length == step for length in lengths[:-1])
    assert all(1 <= length <= step for length in lengths[-1:])


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(20, 250), st.integers(12, 60))
def test_lengths_in_days_are_counted_from_the_next_segments_first_day(case, train, valid):
    days = case["days"]
    for w in planned(case | {"train": f"{train}D", "valid": f"{valid}D", "expanding": False}):
        assert days.get_loc(w.test[0]) - days.get_loc(w.valid[0]) == valid
        assert days.get_loc(w.valid[0]) - days.get_loc(w.train[0]) == train


@settings(max_examples=40, deadline=None)
@given(cases(), st.floats(0.05, 0.5))
def test_a_share_is_taken_off_the_end_of_training(case, share):
    days = case["days"]
    for w in planned(case | {"valid": share, "train": "200D", "expanding": False}):
        assert days.get_loc(w.test[0]) - days.get_loc(w.train[0]) == 200
        assert days.get_loc(w.test[0]) - days.get_loc(w.valid[0]) == max(1, round(200 * share))


def dates(windows: list) -> list[str]:
    return [
        " ".join(f"{day:%Y%m%d}" for bounds in (w.train, w.valid, w.test) for day in bounds) for w in windows
    ]  # train from, train to, valid from, valid to, test from, test to


# 2014-2021 without weekends, the first week of October, and 1-3 January
DAYS = pd.bdate_range("2014-01-01", "2021-12-31")
DAYS = DAYS[~((DAYS.month == 10) & (DAYS.day <= 7)) & ~((DAYS.month == 1) & (DAYS.day <= 3))]

BY_HAND = {
    "years; a year begins on its first trading day": (
        {"test": ("2017-01-01", "2018-12-31"), "train": "2Y", "valid": "1Y", "step": "1Y", "reach": 2},
        [
            "20140106 20151229 20160104 20161228 20170104 20171229",
            "20150105 20161228 20170104 20171227 20180104 20181231",
        ],
    ),
    "a rest makes a shorter last window": (
        {"test": ("2021-01-01", "2021-08-10"), "train": "1Y", "valid": "6M", "step": "3M"},
        [
            "20190701 20200630 20200701 20201231 20210104 20210331",
            "20191008 20200930 20201008 20210331 20210401 20210630",
            "20200106 20201231 20210104 20210630 20210701 20210810",
        ],
    ),
    "borders inside a holiday fall on the day after it": (
        {"test": ("2020-10-03", "2020-12-31"), "train": "12M", "valid": "1M", "step": "2M", "reach": 1},
        [
            "20190903 20200901 20200903 20200929 20201008 20201202",
            "20191104 20201030 20201103 20201201 20201203 20201231",
        ],
    ),
    "trading days": (
        {"test": ("2020-10-01", "2020-10-14"), "train": "3D", "valid": "2D", "step": "4D", "reach": 1},
        [
            "20200924 20200925 20200929 20200929 20201008 20201013",
            "20200930 20201008 20201012 20201012 20201014 20201014",
        ],
    ),
    "a share, expanding": (
        {
            "test": ("2020-03-02", "2020-03-06"),
            "train": "10D",
            "valid": 0.2,
            "step": "3D",
            "expanding": True,
        },
        [
            "20200217 20200226 20200227 20200228 20200302 20200304",
            "20200217 20200302 20200303 20200304 20200305 20200306",
        ],
    ),
    "the last day of a month that has no such day": (
        {"test": ("2021-01-31", "2021-04-15"), "train": "2M", "valid": "1M", "step": "1M"},
        [
            "20201102 20201230 20201231 20210129 20210201 20210226",
            "20201130 20210127 20210128 20210226 20210301 20210330",
            "20201228 20210226 20210301 20210330 20210331 20210415",
        ],
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_dates_written_out_by_hand(name):
    case, expected = BY_HAND[name]
    assert dates(plan(DAYS, **case)) == expected


def test_a_segment_without_bounds_is_that_of_the_rows():
    days = DAYS[:30]
    with pytest.raises(SegmentError, match="begin on 2014-01-06"):
        plan(days, (None, None), train="5D", valid="5D", step="5D")
    windows = plan(days, (days[12], None), train="5D", valid="5D", step="10D")
    assert windows[-1].test[1] == days[-1]
    assert dates(windows) == dates(plan(days, (days[12], "2030-01-01"), train="5D", valid="5D", step="10D"))


def test_rows_that_begin_after_a_holiday_are_enough():
    test = (DAYS[0] + pd.DateOffset(years=2) - LONGEST_HOLIDAY, "2016-12-31")
    (first, *_) = plan(DAYS, test, train="1Y", valid="1Y", step="1Y")
    assert first.train[0] == DAYS[0]
    with pytest.raises(SegmentError, match=r"needs rows from 2013-12-21 on, but the handler's begin on 2014-01-06"):
        plan(DAYS, (test[0] - pd.Timedelta(days=1), test[1]), train="1Y", valid="1Y", step="1Y")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train": "9Y"}, r"The window before 2015-04-01 needs rows from 2006-04-01 on.*start_time be earlier"),
        ({"train": "900D"}, r"needs rows 900 trading days, but the handler's begin on 2014-01-06"),
        ({"valid": "2D", "reach": 2}, r"valid segment of the window tested from 2015-07-01 on.*spans 2 trading days"),
        ({"train": "11D", "reach": 11}, r"train segment .* has no day left: .* known 11 trading days later"),
        (
            {"test": ("2015-10-01", "2015-10-07")},
            r"2015-10-01 to 2015-10-07 has no trading day.*2014-01-06 to 2021-12-31",
        ),
        ({"test": ("2023-01-01", "2023-12-31")}, "has no trading day"),
    ],
)
def test_days_that_do_not_suffice_are_named(wrong, message):
    with pytest.raises(SegmentError, match=message):
        plan(DAYS, **HALF_YEARS | wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train": "5 years"}, "train is a number of years, months or trading days, such as 5Y, 6M, 20D"),
        ({"valid": "1W"}, "valid is a number of .* not '1W'"),
        ({"step": "0D"}, "step is a number of .* not '0D'"),
        ({"step": ""}, "step is a number of .* not ''"),
        ({"valid": 1.0}, "valid as a share lies between 0 and 1, not 1.0"),
        ({"valid": 0}, "valid as a share lies between 0 and 1, not 0"),
    ],
)
def test_lengths_that_make_no_sense_are_named(wrong, message):
    with pytest.raises(ConfigError, match=message):
        plan(DAYS, **HALF_YEARS | wrong)

"""A calendar is read as Qlib reads it, or refused with the line that is wrong."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
import qlib
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.errors import ProviderError
from qlib_ext.provider.calendar import longest_bars, read_calendar
from qlib_ext.provider.writer import add_frequency

DAYS = pd.bdate_range("2020-01-01", periods=3)


def calendar_in(folder, *lines, freq="day"):
    (folder / "calendars").mkdir(exist_ok=True)
    (folder / "calendars" / f"{freq}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


@settings(deadline=None)
@given(
    days=st.lists(st.dates(date(1990, 1, 1), date(2099, 12, 31)), unique=True, min_size=1),
    form=st.sampled_from(["%Y-%m-%d", "%Y-%m-%d 00:00:00", "%Y%m%d", "%Y/%m/%d", "  %Y-%m-%dT00:00  "]),
    gaps=st.sets(st.integers(0, 20)),
)
def test_every_line_that_qlib_reads_is_that_day(tmp_path_factory, days, form, gaps):
    lines = [day.strftime(form) for day in sorted(days)]
    for gap in sorted(gaps):
        lines.insert(gap, "")
    folder = calendar_in(tmp_path_factory.mktemp("calendar"), *lines)
    expected = [pd.Timestamp(line.strip()) for line in lines if line]  # as Qlib's CalendarProvider does
    assert read_calendar(folder).tolist() == expected


@pytest.mark.parametrize(
    ("lines", "freq", "says"),
    [
        (["2020-01-01", "2020-01-02", "2020-01-02"], "day", r"at 1 of its 3 times: 2020-01-02 is there twice"),
        (["2020-01-01", "2020-01-03", "2020-01-02"], "day", "2020-01-02 comes after 2020-01-03"),
        (["2020-01-01", "2020-01-02 00:00:00", "2020-01-02"], "day", "2020-01-02 is there twice"),
        (["2020-01-01 15:00:00"], "day", r"a time of day in 1 of its 1 lines, .* Write the day alone: 2020-01-01"),
        (["2020-01-01", "today?"], "day", "the line 'today\\?', which is no time"),
        (["2020-01-01 00:00:00+08:00"], "day", "no time without a zone"),
        (["2020-01-01 09:30:00+08:00", "2020-01-01 09:31:00"], "1min", r"line '2020-01-01 09:30:00\+08:00'"),
        (["2020-01-01 09:31:00", "2020-01-01 09:31:00"], "1min", "is there twice"),
    ],
)
def test_what_is_no_calendar(tmp_path, lines, freq, says):
    with pytest.raises(ProviderError, match=says):
        read_calendar(calendar_in(tmp_path, *lines, freq=freq), freq)


def test_no_calendar_at_all(tmp_path):
    with pytest.raises(ProviderError, match=r"day\.txt cannot be read .*Copy it from a good provider"):
        read_calendar(tmp_path)


def test_the_longest_bars_of_one_folder(tiny):
    times = pd.DatetimeIndex([day + pd.Timedelta(hours=10) for day in DAYS])
    add_frequency(tiny, times, [("SH600001", pd.DataFrame({"close": [1.0, 2.0, 3.0]}, times))], "15min")
    qlib.init(provider_uri=str(tiny), region="cn")
    assert longest_bars((1, 30, 15, 5)) == 15
    assert longest_bars((30, 5, 1)) is None


def test_the_longest_bars_of_several_folders(tiny, tmp_path):
    (tmp_path / "minutes").mkdir()
    calendar_in(tmp_path / "minutes", "2020-01-01 10:00:00", freq="15min")
    qlib.init(provider_uri={"day": str(tiny), "15min": str(tmp_path / "minutes")}, region="cn")
    assert longest_bars((1, 30, 15, 5)) == 15
    assert longest_bars((30, 5, 1)) is None


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    folder = calendar_in(tmp_path, "2020-01-02", "2020-01-03")
    plain = read_calendar(folder)
    path = folder / "calendars" / "day.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_calendar(folder).equals(plain)


def test_a_calendar_without_a_line_is_refused(tmp_path):
    with pytest.raises(ProviderError, match="has no line"):
        read_calendar(calendar_in(tmp_path, "", "  "))

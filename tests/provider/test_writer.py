from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data import D

from qlib_ext.errors import ProviderError
from qlib_ext.provider.writer import ABOUT, add_frequency, read_about, write_provider


def frame(index, **columns):
    return pd.DataFrame(columns, index=index, dtype=float)


def test_qlib_reads_what_was_written(tmp_path, calendar, init):
    rng = np.random.default_rng(0)
    whole = frame(calendar, close=rng.random(8), Volume=1e9 * rng.random(8))
    holes = frame(calendar[[2, 3, 6]], close=[1.5, np.nan, 2.5])
    spans = [("SH600001", calendar[0], calendar[2]), ("SH600001", calendar[5], calendar[7])]
    folder = write_provider(
        tmp_path / "deep" / "p",
        calendar,
        {"SH600001": whole, "SZ000001": holes}.items(),
        {"all": [("SH600001", "2020-01-01", calendar[-1]), ("SZ000001", calendar[2], calendar[6])], "two": spans},
    )
    init(folder)
    got = D.features(["SH600001", "SZ000001"], ["$close", "$volume"])
    pd.testing.assert_series_equal(
        got.loc["SH600001"]["$volume"], whole["Volume"].astype("f4"), check_names=False, check_freq=False
    )
    want = holes["close"].reindex(calendar[2:7]).astype("f4")
    pd.testing.assert_series_equal(
        got.loc["SZ000001"]["$close"].dropna(), want.dropna(), check_names=False, check_freq=False
    )
    assert D.list_instruments(D.instruments("two"))["SH600001"] == [span[1:] for span in spans]
    inside = D.features(D.instruments("two"), ["$close"]).index.get_level_values("datetime")
    assert inside.tolist() == [*calendar[:3], *calendar[5:]]


def test_the_bytes_of_a_bin(tiny):
    raw = np.fromfile(tiny / "features/sz000001/close.day.bin", dtype="<f4")
    assert raw.tolist() == [2, 0, 1, 2, 3, 4, 5]


def test_calendars(tiny, calendar, init):
    init(tiny)
    assert list(D.calendar()) == list(calendar)
    future = D.calendar(future=True)
    assert len(future) == len(calendar) + 30
    assert list(future[len(calendar) :]) == list(pd.bdate_range(calendar[-1], periods=31)[1:])


def test_a_further_frequency(tiny, calendar, init):
    clock = [pd.Timedelta(hours=10), pd.Timedelta(hours=14, minutes=30)]
    minutes = pd.DatetimeIndex([day + time for day in calendar for time in clock])
    bars = frame(minutes[3:9], close=np.arange(6))
    add_frequency(tiny, minutes, {"SH600001": bars}.items(), freq="15min", future_days=2)
    lines = (tiny / "calendars/15min_future.txt").read_text().split("\n")
    assert lines[0] == "2020-01-01 10:00:00"
    assert lines[len(minutes) :] == [f"2020-01-{d} {t}:00" for d in (13, 14) for t in ("10:00", "14:30")] + [""]
    init(tiny)
    got = D.features(["SH600001"], ["$close"], freq="15min").loc["SH600001"]["$close"]
    pd.testing.assert_series_equal(got, bars["close"].astype("f4"), check_names=False)
    assert len(D.features(["SH600001"], ["$close"], freq="day")) == 8
    with pytest.raises(ProviderError, match="already has 15min"):
        add_frequency(tiny, minutes, [], freq="15min")
    with pytest.raises(ProviderError, match="no provider to add"):
        add_frequency(tiny / "nowhere", minutes, [], freq="15min")


def test_minute_bars_of_a_spans_last_day(tmp_path, calendar, init):
    minutes = calendar + pd.Timedelta(hours=15)
    spans = [("SH600001", calendar[0], f"{calendar[-1]:%Y-%m-%d} 23:59:59")]
    bars = {"SH600001": frame(minutes, close=range(8))}
    folder = write_provider(tmp_path / "p", minutes, bars.items(), {"all": spans}, freq="1min")
    init(folder)
    assert len(D.features(D.instruments("all"), ["$close"], freq="1min")) == 8


def breaks_off(calendar):
    yield "SH600001", frame(calendar, close=range(8))
    raise KeyboardInterrupt


def test_an_interrupted_write_leaves_nothing(tmp_path, calendar):
    with pytest.raises(KeyboardInterrupt):
        write_provider(tmp_path / "p", calendar, breaks_off(calendar), {})
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_overwrite_leaves_the_old(tiny, calendar, digest):
    before = digest(tiny)
    with pytest.raises(KeyboardInterrupt):
        write_provider(tiny, calendar, breaks_off(calendar), {}, overwrite=True)
    assert digest(tiny) == before
    assert list(tiny.parent.iterdir()) == [tiny]


def test_an_interrupted_addition_shows_nothing(tiny, calendar):
    with pytest.raises(KeyboardInterrupt):
        add_frequency(tiny, calendar, breaks_off(calendar), freq="1min")
    assert not list((tiny / "calendars").glob("*1min*"))
    add_frequency(tiny, calendar, {"SH600001": frame(calendar, close=range(8))}.items(), freq="1min")


def test_overwrite(tiny, calendar):
    with pytest.raises(ProviderError, match=r"not empty.*--overwrite"):
        write_provider(tiny, calendar, [], {})
    write_provider(tiny, calendar, {"SZ000009": frame(calendar, close=range(8))}.items(), {}, overwrite=True)
    assert [path.name for path in (tiny / "features").iterdir()] == ["sz000009"]
    assert list(tiny.parent.iterdir()) == [tiny]


def test_overwrite_spares_what_is_no_provider(tiny, calendar):
    (tiny / "thesis.doc").write_text("years of work")
    with pytest.raises(ProviderError, match=r"1 entries.*'thesis.doc'.*not overwritten"):
        write_provider(tiny, calendar, [], {}, overwrite=True)
    assert (tiny / "thesis.doc").exists()


def test_an_empty_folder_is_taken(tmp_path, calendar):
    (tmp_path / "p").mkdir()
    write_provider(tmp_path / "p", calendar, [], {}, about={"a": 1})
    assert read_about(tmp_path / "p") == {"a": 1}


def test_about_is_missing_or_damaged(tmp_path):
    assert read_about(tmp_path) is None
    (tmp_path / ABOUT).write_text("{")
    with pytest.raises(ProviderError, match="cannot be read"):
        read_about(tmp_path)


def test_no_place_to_write(tmp_path, calendar):
    (tmp_path / "file").write_text("")
    with pytest.raises(ProviderError, match="is a file"):
        write_provider(tmp_path / "file", calendar, [], {})
    with pytest.raises(ProviderError, match=r"The provider .* cannot be written"):
        write_provider(tmp_path / "file" / "p", calendar, [], {})


@pytest.mark.parametrize(
    ("times", "freq", "says"),
    [
        (["2020-01-02", "2020-01-01"], "day", "does not increase"),
        (["2020-01-01", "2020-01-01"], "day", "does not increase"),
        ([], "day", "has 0 entries"),
        (["2020-01-01"], "hourly", "'hourly' is none"),
    ],
)
def test_bad_calendars(tmp_path, times, freq, says):
    with pytest.raises(ProviderError, match=says):
        write_provider(tmp_path / "p", pd.DatetimeIndex(times), [], {}, freq=freq)


def test_rows_off_the_calendar(tmp_path, calendar):
    strange = frame(pd.DatetimeIndex(["2020-01-01", "2020-01-04"]), close=[1, 2])
    for bad, says in ((strange, "1 of 2 rows.*first 2020-01-04"), (frame(calendar[::-1], close=range(8)), "order")):
        with pytest.raises(ProviderError, match=says):
            write_provider(tmp_path / "p", calendar, {"SH600001": bad}.items(), {})


def test_times_with_a_zone_are_put_on_the_exchanges_clock(tmp_path, calendar):
    days = calendar.tz_localize("Asia/Shanghai").tz_convert("UTC")
    frames = [("SH600001", pd.DataFrame({"close": range(8)}, days))]
    folder = write_provider(tmp_path / "zone", days, frames, {"all": [("SH600001", days[0], days[-1])]})
    plain = [("SH600001", pd.DataFrame({"close": range(8)}, calendar))]
    other = write_provider(tmp_path / "p", calendar, plain, {"all": [("SH600001", calendar[0], calendar[-1])]})
    for file in ("calendars/day.txt", "instruments/all.txt", "features/sh600001/close.day.bin"):
        assert (folder / file).read_bytes() == (other / file).read_bytes()


def test_days_with_a_time_of_day(tmp_path, calendar):
    with pytest.raises(ProviderError, match=r"a time of day in 8 of 8 entries, first 2020-01-01 15:00:00. Normalise"):
        write_provider(tmp_path / "p", calendar + pd.Timedelta(hours=15), [], {})


@pytest.mark.parametrize(
    ("frames", "instruments", "says"),
    [
        ([("SH600001", ["close", "Close"])], {}, "SH600001 close and SH600001 Close would both be features/sh600001/"),
        ([("SH600001", ["close"]), ("sh600001", ["close"])], {}, "SH600001 close and sh600001 close would both be"),
        ([("SH600001", ["P/E"])], {}, "'P/E' is no name for a field"),
        ([], {"CSI300": [], "csi300": []}, "Two universes are called csi300"),
        (
            [],
            {"all": ["SH600001", "NA"]},
            "1 of 2 instruments of all have a name that Qlib reads as missing, first",
        ),
    ],
)
def test_names_that_would_be_lost(tmp_path, calendar, frames, instruments, says):
    features = [(symbol, pd.DataFrame(1.0, calendar, fields)) for symbol, fields in frames]
    spans = {name: [(symbol, calendar[0], calendar[-1]) for symbol in members] for name, members in instruments.items()}
    with pytest.raises(ProviderError, match=says):
        write_provider(tmp_path / "p", calendar, features, spans)
    assert not (tmp_path / "p").exists()


def test_qlib_reads_a_stock_called_con(tmp_path, calendar, init):
    frame = pd.DataFrame({"close": range(8)}, calendar)
    spans = {"all": [("CON", calendar[0], calendar[-1])]}
    init(write_provider(tmp_path / "p", calendar, [("CON", frame)], spans))
    assert D.features(["CON"], ["$close"])["$close"].tolist() == list(range(8))

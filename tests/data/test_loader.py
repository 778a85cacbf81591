from __future__ import annotations

import pickle
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from qlib.data import D
from qlib.data.dataset.loader import QlibDataLoader
from qlib.data.filter import ExpressionDFilter, NameDFilter

from qlib_ext.data import labels
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.errors import ConfigError, DataError, ProviderError
from qlib_ext.provider.writer import write_provider

CALENDAR = pd.bdate_range("2020-01-01", periods=40)
FIELDS = {
    "feature": (["$close", "$close/Ref($close, 3) - 1"], ["CLOSE", "RETURN"]),
    "label": (["Ref($close, -2)/Ref($close, -1) - 1"], ["LABEL0"]),
}
CLOSE = {"feature": (["$close"], ["CLOSE"])}
LISTED = {f"SH60000{i}": range(40) for i in range(1, 5)} | {"SH600005": range(8, 36), "SH600006": range(14, 40)}
MEMBER = {
    "SH600001": [(0, 39)],
    "SH600002": [(20, 39)],
    "SH600003": [(5, 12), (15, 30)],  # comes back within the history
    "SH600004": [(3, 8), (30, 39)],  # comes back long after
    "SH600005": [(10, 39)],  # listed two days before it joins, and leaves the market
    "SH600006": [(12, 39)],  # joins before its first bar
}


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    random = np.random.default_rng(0)
    frames = {
        name: pd.DataFrame({"close": 1 + random.random(len(days)), "open": 1.0}, index=CALENDAR[list(days)])
        for name, days in LISTED.items()
    }
    instruments = {
        "all": [(name, CALENDAR[days[0]], CALENDAR[days[-1]]) for name, days in LISTED.items()],
        "csi300": [(name, CALENDAR[a], CALENDAR[b]) for name, times in MEMBER.items() for a, b in times],
        "nobody": [],
    }
    return write_provider(tmp_path_factory.mktemp("loader") / "provider", CALENDAR, frames.items(), instruments)


@pytest.fixture
def market(provider, init):
    init(provider)
    return provider


def spans_of(positions: dict) -> dict:
    return {name: [(CALENDAR[a], CALENDAR[b]) for a, b in times] for name, times in positions.items()}


def history_of(positions: dict, history: int, start: int = 0, end: int = 39) -> set:
    """The slow and obvious answer: listed days, at most ``history`` before a span, that lie in no span."""
    members, before = set(), set()
    for name, times in positions.items():
        for a, b in times:
            a, b = max(a, start), min(b, end)
            if a <= b:
                members |= {(CALENDAR[d], name) for d in range(a, b + 1)}
                before |= {(CALENDAR[d], name) for d in range(max(a - history, 0), a) if d in LISTED[name]}
    return before - members


UNIVERSES = {
    "a name": lambda: "csi300",
    "no name": lambda: None,
    "a list": lambda: ["SH600002", "SH600005", "SH600003"],
    "spans": lambda: spans_of({"SH600004": [(3, 8), (12, 20)], "SH600006": [(0, 39)]}),
    "filtered by name": lambda: D.instruments("csi300", [NameDFilter("SH60000[2-4]")]),
    "filtered by rule": lambda: D.instruments("csi300", [ExpressionDFilter("$close > 1.3")]),
}


@pytest.mark.parametrize("bounds", [(None, None), (10, None), (None, 25), (17, 32)])
@pytest.mark.parametrize("universe", UNIVERSES)
def test_members_are_exactly_qlibs_rows(market, universe, bounds):
    times = [None if bound is None else CALENDAR[bound] for bound in bounds]
    theirs = QlibDataLoader(FIELDS).load(UNIVERSES[universe](), *times)
    ours = HistoryLoader(FIELDS, history=6).load(UNIVERSES[universe](), *times)
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_the_loaders_own_filter_is_applied_to_a_named_universe(market):
    pipe = [NameDFilter("SH60000[2-4]")]
    theirs = QlibDataLoader(FIELDS, filter_pipe=pipe).load("csi300")
    loader = HistoryLoader(FIELDS, history=6, filter_pipe=pipe)
    pd.testing.assert_frame_equal(loader.load("csi300"), theirs, check_exact=True)
    assert set(loader.history_.index) == history_of({name: MEMBER[name] for name in list(MEMBER)[1:4]}, 6)


@pytest.mark.parametrize("history", [0, 1, 6, 100])
@pytest.mark.parametrize(("start", "end"), [(0, 39), (18, 33), (2, 29)])
def test_history_is_the_days_before_each_span(market, history, start, end):
    loader = HistoryLoader(FIELDS, history=history)
    loader.load("csi300", CALENDAR[start], CALENDAR[end])
    assert set(loader.history_.index) == history_of(MEMBER, history, start, end)


def test_history_reaches_to_before_start_time(market):
    loader = HistoryLoader(FIELDS, history=4)
    loader.load("csi300", CALENDAR[35], None)
    days = loader.history_.xs("SH600001", level="instrument").index
    assert list(days) == list(CALENDAR[31:35])


def test_a_stock_that_comes_back_soon_keeps_the_days_of_its_first_span(market):
    loader = HistoryLoader(FIELDS, history=6)
    members = loader.load("csi300").xs("SH600003", level="instrument").index
    assert list(members) == list(CALENDAR[5:13]) + list(CALENDAR[15:31])
    assert list(loader.history_.xs("SH600003", level="instrument").index) == [*CALENDAR[:5], *CALENDAR[13:15]]


SPANS = st.lists(st.tuples(st.integers(0, 39), st.integers(0, 12)), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(positions=st.dictionaries(st.sampled_from(sorted(LISTED)), SPANS, min_size=1), history=st.integers(0, 15))
def test_any_spans_are_split_into_members_and_history_once(provider, init, positions, history):
    init(provider)
    positions = {name: [(a, min(a + n, 39)) for a, n in times] for name, times in positions.items()}
    assume(any(set(range(a, b + 1)) & set(LISTED[name]) for name, times in positions.items() for a, b in times))
    loader = HistoryLoader(CLOSE, history=history)
    ours = loader.load(spans_of(positions))
    pd.testing.assert_frame_equal(ours, QlibDataLoader(CLOSE).load(spans_of(positions)), check_exact=True)
    assert set(loader.history_.index) == history_of(positions, history)
    assert ours.index.append(loader.history_.index).is_unique


def test_history_rows_are_what_the_stock_did(market):
    loader = HistoryLoader(FIELDS, history=6)
    loader.load("csi300")
    everything = QlibDataLoader(FIELDS).load("all")
    pd.testing.assert_frame_equal(loader.history_, everything.loc[loader.history_.index], check_exact=True)


def test_a_pickled_loader_carries_no_data(market):
    loader = HistoryLoader(FIELDS, history=6)
    loader.load("csi300")
    again = pickle.loads(pickle.dumps(loader))
    assert again.history_ is None
    pd.testing.assert_frame_equal(again.load("csi300"), loader.load("csi300"))
    pd.testing.assert_frame_equal(again.history_, loader.history_)


def test_a_member_whose_name_qlib_loses_is_told(provider, init, tmp_path):
    shutil.copytree(provider, tmp_path / "p")
    with (tmp_path / "p/instruments/all.txt").open("a") as file:
        file.write("NA\t2020-01-01\t2020-02-25\n")
    init(tmp_path / "p")
    with pytest.raises(DataError, match=r"1 of 7 members of 'all' have a name that Qlib reads as missing, such as NA"):
        HistoryLoader(CLOSE).load("all")


def test_a_universe_in_capitals_is_told_to_be_renamed(provider, init, tmp_path):
    shutil.copytree(provider, tmp_path / "p")
    (tmp_path / "p/instruments/csi300.txt").rename(tmp_path / "p/instruments/CSI300.txt")
    init(tmp_path / "p")
    with pytest.raises(DataError, match=r"Qlib reads csi300.txt alone\. Rename the file"):
        HistoryLoader(CLOSE).load("CSI300")


def test_a_stock_that_qlib_renames_is_loaded(init, tmp_path):
    frame = pd.DataFrame({"close": 1.0 + np.arange(40)}, CALENDAR)
    spans = {"all": [(name, CALENDAR[0], CALENDAR[-1]) for name in ("CON", "SH600001")]}
    init(write_provider(tmp_path / "p", CALENDAR, [("CON", frame), ("SH600001", frame * 2)], spans))
    for engine in ("fast", "qlib"):
        rows = HistoryLoader(CLOSE, engine=engine, traded_only=True).load("all")
        assert rows.xs("CON", level="instrument")["feature", "CLOSE"].tolist() == frame["close"].tolist()


def test_an_unknown_universe_is_named(market):
    with pytest.raises(DataError, match=rf"universe 'csi3000'.*{re.escape(str(market))}/instruments"):
        HistoryLoader(FIELDS).load("csi3000")


@pytest.mark.parametrize(
    ("universe", "start", "message"),
    [
        ("nobody", None, "universe 'nobody' has no member between None and None"),
        ("csi300", "2030-01-01", "universe 'csi300' has no member between 2030-01-01 and None"),
        (["SH600001"], "2030-01-01", "universe of 1 instruments has no member between 2030-01-01"),
        ([], None, "universe of 0 instruments has no member"),
    ],
)
def test_a_universe_without_members_is_named_with_the_dates(market, universe, start, message):
    with pytest.raises(DataError, match=message):
        HistoryLoader(FIELDS).load(universe, start)


def test_members_without_bars_are_told_the_calendar(market):
    with pytest.raises(DataError, match=r"No rows for '1 instruments'.*2020-01-01 to 2020-02-25"):
        HistoryLoader(FIELDS).load(spans_of({"SH600006": [(2, 9)]}))


def test_days_without_a_trading_day_are_told(market):
    """The days before them, which complete windows, are no samples."""
    with pytest.raises(DataError, match=r"from 2020-01-04 to 2020-01-05: .* has no trading day between them"):
        HistoryLoader(FIELDS, history=2).load("csi300", "2020-01-04", "2020-01-05")


def test_an_unknown_field_is_answered_with_the_nearest(market):
    config = FIELDS | {"label": (["Ref($clsoe, -1)/$close - 1"], ["LABEL0"])}
    with pytest.raises(ProviderError, match=r"6 instruments has the field \$clsoe.*did you mean \$close\?"):
        HistoryLoader(config).load("csi300")


@pytest.mark.parametrize("days", [1, 5, 20])
def test_a_new_stock_is_a_member_after_its_first_days(market, days):
    loader = HistoryLoader(CLOSE, history=3, seasoned_days=days)
    members = loader.load("all")
    plain = HistoryLoader(CLOSE).load("all")
    since = plain["feature", "CLOSE"].notna().groupby("instrument").cumsum()
    old = plain.index.get_level_values("instrument").isin([f"SH60000{i}" for i in range(1, 5)])  # of the first day
    pd.testing.assert_frame_equal(members, plain[old | (since > days)])
    joined = members.xs("SH600006", level="instrument").index[0]
    assert joined == CALENDAR[14 + days]
    before = loader.history_.xs("SH600006", level="instrument").index
    assert list(before) == list(CALENDAR[max(14, 14 + days - 3) : 14 + days])


def test_nobody_is_seasoned(market):
    names = ["SH600005", "SH600006"]
    with pytest.raises(DataError, match="None of the 2 stocks has more than 30 closes; lower seasoned_days"):
        HistoryLoader(CLOSE, seasoned_days=30).load(names)
    with pytest.raises(ConfigError, match="seasoned_days is a number of trading days, not -1"):
        HistoryLoader(CLOSE, seasoned_days=-1)


@pytest.mark.parametrize("price", [0.0, -1.0])
@pytest.mark.parametrize("engine", ["fast", "qlib"])
def test_a_label_of_a_price_that_is_none_is_missing_counted_and_named(init, tmp_path, monkeypatch, engine, price):
    frames = {name: pd.DataFrame({"close": np.arange(1.0, 41.0)}, index=CALENDAR) for name in ("SH600001", "SH600002")}
    frames["SH600002"].iloc[10:12] = price  # a suspension, written as a price
    spans = [(name, CALENDAR[0], CALENDAR[-1]) for name in frames]
    init(write_provider(tmp_path / "zero", CALENDAR, frames.items(), {"all": spans}))
    warnings = []
    monkeypatch.setattr(labels, "logger", SimpleNamespace(warning=warnings.append))
    label = HistoryLoader(FIELDS, engine=engine).load("all", CALENDAR[5])["label"]["LABEL0"].unstack()
    assert list(label.index[label["SH600002"].isna()]) == [*CALENDAR[8:11], *CALENDAR[-2:]]  # sold, held, bought
    assert np.isfinite(label["SH600001"].to_numpy()[:-2]).all()
    (line,) = [line for line in warnings if "infinite" in line]
    count = 2 + (price < 0)  # 0 over 0 is missing by itself
    assert line.startswith(f"{count} values of the label LABEL0 = {FIELDS['label'][0][0]} are infinite or of a price")
    assert f"the first on {CALENDAR[8]:%Y-%m-%d} for SH600002" in line

"""The handler over a provider: Qlib's rows for members, complete windows for newcomers, nothing of the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import qlib.contrib.data.handler
from hypothesis import given, settings
from hypothesis import strategies as st
from qlib.contrib.data.loader import Alpha158DL
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import QlibDataLoader

from handlers.alpha158vwap import FEATURES, Alpha158vwap
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.window import Window
from qlib_ext.expressions.reach import label_reach
from qlib_ext.processors.normalise import Fillna, RobustZScoreNorm
from qlib_ext.simulator.index import spans
from qlib_ext.testing.rows import SEGMENTS, dataset_of, random_rows
from tests.garbage import garbage_from

ON_TIME = [
    {"class": "RobustZScoreNorm", "kwargs": {"fields_group": "feature", "clip_outlier": True}},
    {"class": "Fillna", "kwargs": {"fields_group": "feature"}},
]
ACROSS_STOCKS = [
    {"class": "CSZScoreNorm", "kwargs": {"fields_group": "feature"}},
    {"class": "Fillna", "kwargs": {"fields_group": "feature"}},
]
CS_RANK = [{"class": "DropnaLabel"}, {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}}]
TIMES = {
    "start_time": "2014-12-15",
    "end_time": "2015-10-30",
    "fit_start_time": "2014-12-15",
    "fit_end_time": "2015-03-31",
}
WORKFLOW = TIMES | {"instruments": "csi300", "infer_processors": ON_TIME, "learn_processors": CS_RANK}
PARTS = {
    "train": ("2014-12-15", "2015-03-31"),
    "valid": ("2015-04-01", "2015-04-30"),
    "test": ("2015-05-04", "2015-10-30"),
}
LABEL = (["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"])
FAR_LABEL = (["Ref($vwap, -11)/Ref($vwap, -1) - 1"], ["LABEL0"])


class TwoFields(WindowHandler):
    """A handler that loads in no time."""

    window = Window(6)

    def __init__(self, label=LABEL, infer_processors=ACROSS_STOCKS, **kwargs):
        fields = (["$close/Ref($close, 1) - 1", "$turnover"], ["RETURN", "TURNOVER"])
        super().__init__(fields, label, infer_processors=infer_processors, **kwargs)


@pytest.fixture(scope="module")
def ours(small, init):
    init(small[0])
    return Alpha158vwap(**WORKFLOW)


@pytest.fixture(scope="module")
def by_qlibs_engine(small, init):
    init(small[0])
    return Alpha158vwap(**WORKFLOW, engine="qlib")


@pytest.fixture(scope="module")
def theirs(small, init):
    init(small[0])
    return qlib.contrib.data.handler.Alpha158vwap(**WORKFLOW)


def windows(handler: DataHandlerLP, segment: tuple) -> tuple[pd.MultiIndex, np.ndarray]:
    """The samples of the days from the first to the last, and their windows."""
    data = CrossSectionDataset(handler, {"days": segment})
    samples = data.samples("days", learn=False)
    return samples.index, samples.batch(np.arange(samples.n_days), data.window).x.numpy()


@pytest.mark.parametrize("view", [DataHandlerLP.DK_R, DataHandlerLP.DK_I, DataHandlerLP.DK_L])
def test_rows_are_exactly_those_of_qlibs_handler(by_qlibs_engine, theirs, view):
    mine, qlibs = (handler.fetch(col_set=DataHandlerLP.CS_RAW, data_key=view) for handler in (by_qlibs_engine, theirs))
    pd.testing.assert_frame_equal(mine, qlibs, check_exact=True)


@pytest.mark.parametrize("view", [DataHandlerLP.DK_R, DataHandlerLP.DK_I, DataHandlerLP.DK_L])
def test_the_fast_engines_rows_are_those_of_qlibs_handler(ours, theirs, view):
    mine, qlibs = (handler.fetch(col_set=DataHandlerLP.CS_RAW, data_key=view) for handler in (ours, theirs))
    pd.testing.assert_frame_equal(mine, qlibs, rtol=1e-4, atol=1e-5)


def test_a_newcomers_first_window_is_complete_and_processed_as_fitted(small, init, ours):
    init(small[0])
    joined = {name for name, times in members_of(small[1]).items() if times[0][0] == pd.Timestamp("2015-06-01")}
    assert joined, "the market must have a newcomer to say anything"
    config = {"feature": Alpha158DL.get_feature_config(FEATURES)}
    everything = QlibDataLoader(config).load("all", "2014-12-15", "2015-10-30")
    for processor in ours.infer_processors:
        everything = processor(everything)
    index, x = windows(ours, ("2015-06-01", "2015-06-01"))
    for name in joined:
        own = everything.xs(name, level="instrument").loc[:"2015-06-01"].iloc[-20:]
        newcomer = x[index.get_loc(("2015-06-01", name))]
        np.testing.assert_allclose(newcomer, own["feature"].to_numpy(), rtol=1e-4, atol=1e-5)


def test_the_fitted_parameters_are_those_of_the_members(ours, theirs):
    for mine, qlibs in zip(ours.infer_processors[:1], theirs.infer_processors[:1], strict=True):
        np.testing.assert_array_equal(mine.mean_train, qlibs.mean_train)
        np.testing.assert_array_equal(mine.std_train, qlibs.std_train)


def test_step_len_of_the_dataset_reaches_the_handler(small, init):
    init(small[0])
    handler = {"class": TwoFields, "kwargs": TIMES | {"instruments": "csi300"}}
    data = CrossSectionDataset(handler, PARTS, step_len=31)
    assert data.handler.window.length == data.window.length == 31
    assert "step_len" not in handler["kwargs"]
    samples = data.samples("test", learn=False)
    first = samples.batch(np.array([samples.index.unique("datetime").get_loc("2015-06-01")]), data.window)
    days = data.panel().window_rows(first.day, first.instrument, 31)
    assert all(len(set(window.tolist())) == 31 for window in days.T), "a day is missing from a window"


def members_of(market) -> dict:
    by_name: dict = {}
    for name, first, last in spans(market.calendar, market.symbols, market.members):
        by_name.setdefault(name, []).append((first, last))
    return by_name


def always_listed(market) -> list:
    return [name for i, name in enumerate(market.symbols) if market.listed[:, i].all()]


TODAY = 150  # position in the calendar of the small market


@pytest.fixture
def now_and_later(small, copy):
    """Two providers that differ in who joins after TODAY, one of them with joins just before TODAY as well."""
    day, stocks = small[1].calendar, always_listed(small[1])
    assert len(stocks) >= 12
    known = {name: [(day[0], day[-1])] for name in stocks[:8]}
    known |= {name: [(day[TODAY - 1], day[-1])] for name in stocks[8:10]}
    comes_back = {stocks[7]: [(day[0], day[TODAY - 3]), (day[TODAY + 2], day[-1])]}
    gone = {stocks[7]: [(day[0], day[TODAY - 3])]}
    joins = {stocks[10]: [(day[TODAY + 1], day[-1])], stocks[11]: [(day[TODAY + 4], day[-1])]}
    return copy("now", known | gone), copy("later", known | comes_back | joins)


def test_who_joins_later_changes_no_window_of_today(small, init, now_and_later):
    today = small[1].calendar[TODAY]
    read = []
    for folder in now_and_later:
        init(folder)
        handler = TwoFields(instruments="csi300")
        read.append(windows(handler, (None, today)))
    early = handler.history().loc[:today].index.unique("instrument")
    assert len(early) >= 4, "those who join later must have a history of today"
    pd.testing.assert_index_equal(read[0][0], read[1][0])
    np.testing.assert_array_equal(read[0][1], read[1][1])


def test_who_joins_later_changes_windows_after_they_joined(small, init, now_and_later):
    days = small[1].calendar[TODAY + 1], small[1].calendar[TODAY + 5]
    read = []
    for folder in now_and_later:
        init(folder)
        read.append(windows(TwoFields(instruments="csi300"), days))
    assert len(read[1][0]) > len(read[0][0])
    both = read[1][0].isin(read[0][0])
    assert not np.array_equal(read[0][1], read[1][1][both])


def test_history_is_standardised_among_the_members_and_those_who_join_the_same_day(init, now_and_later):
    init(now_and_later[1])
    handler = TwoFields(instruments="csi300")
    raw = QlibDataLoader(handler.data_loader.fields).load("all")["feature"]
    members, history = set(handler.fetch().index), handler.history()
    joined = {(day, name): min(d for d, n in members if n == name and d > day) for day, name in history.index}
    assert len(history) > 20
    for (day, name), row in history.iterrows():
        peers = raw.loc[[c for c in raw.loc[[day]].index if c in members or joined.get(c) == joined[day, name]]]
        expected = ((raw.loc[(day, name)] - peers.mean()) / peers.std()).fillna(0.0)
        np.testing.assert_allclose(row.to_numpy(), expected.to_numpy(), rtol=1e-4, atol=1e-5)


def test_processors_that_go_row_by_row_see_the_history_at_once_and_make_the_same_bits_of_it(small, init, monkeypatch):
    init(small[0])
    of_ours = "qlib_ext.processors.normalise"
    kwargs = {"fields_group": "feature", "clip_outlier": True}
    scale = {"class": "RobustZScoreNorm", "module_path": of_ours, "kwargs": kwargs}
    fill = {"class": "Fillna", "module_path": of_ours, "kwargs": {"fields_group": "feature"}}
    frames = []

    def made() -> pd.DataFrame:
        frames.clear()
        options = {"instruments": "csi300", "infer_processors": [scale, fill], "traded_only": True}
        return TwoFields(**options, **TIMES).history()

    def counted(self, frame):
        frames.append(len(frame))
        return filled(self, frame)

    filled = Fillna.__call__
    monkeypatch.setattr(Fillna, "__call__", counted)
    at_once = made()
    assert len(frames) == 2  # the members, the history
    for processor in (RobustZScoreNorm, Fillna):
        monkeypatch.setattr(processor, "row_by_row", False)
    by_cohort = made()
    assert len(frames) > 5
    assert len(by_cohort) > 100
    pd.testing.assert_frame_equal(at_once, by_cohort, check_exact=True)


def test_a_processor_that_drops_rows_drops_them_from_the_history_too(small, init):
    init(small[0])
    drop = {"class": "DropnaProcessor", "kwargs": {"fields_group": "feature"}}
    plain, dropped = (
        TwoFields(instruments="csi300", infer_processors=processors, **TIMES) for processors in ([], [drop])
    )
    expected = plain.history().dropna()
    assert len(expected) < len(plain.history()), "a history row must lack a feature"
    pd.testing.assert_frame_equal(dropped.history(), expected)


@pytest.mark.parametrize("processors", [ON_TIME, ACROSS_STOCKS], ids=["on time", "across stocks"])
def test_prices_after_today_change_no_window_of_today(small, init, copy, processors):
    today = small[1].calendar[TODAY]
    read = []
    for folder in (small[0], copy("garbage", edit=garbage_from(TODAY + 1))):
        init(folder)
        handler = Alpha158vwap(**WORKFLOW | {"infer_processors": processors})
        read.append(windows(handler, (None, today)))
        assert np.isfinite(read[-1][1]).all()
    pd.testing.assert_index_equal(read[0][0], read[1][0])
    np.testing.assert_array_equal(read[0][1], read[1][1])


@pytest.mark.parametrize(("label", "reach"), [(LABEL, 2), (FAR_LABEL, 11)])
def test_training_labels_are_known_before_the_validation_begins(small, init, copy, label, reach):
    calendar = small[1].calendar
    border = calendar.get_loc(pd.Timestamp("2015-04-01"))
    read = []
    for folder in (small[0], copy("garbage", edit=garbage_from(border))):
        init(folder)
        handler = TwoFields(label, instruments="csi300", learn_processors=CS_RANK, **TIMES)
        data = CrossSectionDataset(handler, PARTS)
        assert label_reach(data.handler, data.purge) == reach
        assert data.purged_end("train") == calendar[border - 1 - reach]
        read.append(data.prepare("train", data_key=DataHandlerLP.DK_L))
    pd.testing.assert_frame_equal(read[0], read[1], check_exact=True)
    assert read[0].index.unique("datetime")[-1] == calendar[border - 1 - reach]


def test_the_reach_of_alpha158vwap_is_two_days(small, init, ours):
    init(small[0])
    assert label_reach(ours) == 2


@settings(deadline=None)
@given(n=st.integers(1, 120), m=st.integers(1, 120), past=st.integers(1, 120))
def test_the_reach_is_that_of_the_farthest_price(small, init, n, m, past):
    data = dataset_of(random_rows(), purge="auto")
    expressions = [f"Ref($close, -{n})/Ref($close, -{m}) - 1", f"$close/Ref($close, {past}) - 1"]
    data.handler.data_loader.fields = {"label": (expressions, ["LABEL0", "LABEL1"])}
    assert label_reach(data.handler, data.purge) == max(n, m)
    days = data.handler.fetch().index.unique("datetime")
    known = days[days <= data.purged_end("train")]
    assert len(known) == max(days.searchsorted(pd.Timestamp(SEGMENTS["valid"][0])) - max(n, m), 0)


def test_groups_are_those_of_the_rows_own_day(small, init):
    folder, market = small
    init(folder)
    handler = TwoFields(instruments="all", group="$industry")
    data = CrossSectionDataset(handler, {"all": (None, None)})
    samples = data.samples("all", learn=False)
    industry = pd.DataFrame(market.fields["industry"], market.calendar, market.symbols)
    assert (industry.nunique() > 1).any(), "a stock must change its industry"
    batch = samples.batch(np.arange(samples.n_days), data.window)
    expected = industry.stack().loc[samples.index]
    np.testing.assert_array_equal(batch.group.numpy(), expected.to_numpy(dtype=np.float32))


def test_a_handler_without_groups_has_none(small, init):
    init(small[0])
    data = CrossSectionDataset(TwoFields(instruments="csi300"), {"all": (None, None)})
    assert data.panel().groups is None

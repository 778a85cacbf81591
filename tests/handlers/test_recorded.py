"""RecordedFactors over runs made by hand: which rows are read, joined with what, and what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from qlib.data import D
from qlib.data.dataset import DatasetH
from qlib.data.dataset.handler import DataHandlerLP

from handlers.bars import LABEL
from handlers.recorded import RecordedFactors
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.expressions.reach import label_reach
from tests.handlers.conftest import windows
from tests.handlers.recorded_runs import STOCKS, RecordedRuns, rows


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A store without experiments; mlflow takes seconds to make one."""
    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def runs(empty_store, tmp_path, small):
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(empty_store, folder)
    return RecordedRuns(folder, small[0])


def marked(valid: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([valid.assign(segment="valid"), test.assign(segment="test")]).sort_index()


def features(handler) -> pd.DataFrame:
    return handler.fetch(col_set="feature", data_key=DataHandlerLP.DK_I)


def two_windows() -> list[tuple[str, pd.DataFrame]]:
    """Half-years in small: validation of the second lies over the test days of the first."""
    parts = [("2015-06-01", "2015-07-31"), ("2015-08-03", "2015-08-31"), ("2015-07-01", "2015-08-31")]
    valid, test, later = (rows(*span, seed=seed) for seed, span in enumerate(parts))
    last = rows("2015-09-01", "2015-09-30", seed=9)
    return [("2015-05-15", marked(valid, test)), ("2015-06-15", marked(later, last))]


def slow(frames: list[pd.DataFrame], segments: list[str]) -> dict:
    """Row by row: the values of test before those of validation, of an earlier window before a later one."""
    found: dict = {}
    for segment in segments:
        for frame in frames:
            fresh = {}
            for row, values in frame.iterrows():
                if values["segment"] == segment and row[0] not in {day for day, _ in found}:
                    fresh[row] = tuple(values.drop("segment"))
            found |= fresh
    return found


@pytest.mark.parametrize("segments", [["test"], ["valid", "test"], ["valid"]])
def test_each_day_is_read_once_test_before_validation(runs, segments):
    parts = two_windows()
    runs.rolling("net", *parts)
    frame = features(RecordedFactors(["net"], segments=segments))
    order = [segment for segment in ("test", "valid") if segment in segments]
    expected = slow([part for _, part in parts], order)
    assert list(frame.index) == sorted(expected)
    np.testing.assert_array_equal(frame.to_numpy(), np.array([expected[row] for row in frame.index], dtype="f4"))
    assert list(frame.columns) == ["net.net0_factor0", "net.net0_factor1"]


def test_test_days_alone_are_read_unless_validation_is_asked_for(runs):
    runs.rolling("net", *two_windows())
    assert features(RecordedFactors(["net"])).index[0][0] == pd.Timestamp("2015-08-03")


def test_seeds_are_columns_side_by_side(runs):
    frames = [rows("2015-09-01", "2015-09-30", seed=seed).assign(segment="test") for seed in (4, 5)]
    runs.rolling("net", *(("2015-06-30", frame) for frame in frames), seeds=(4, 5))
    frame = features(RecordedFactors(["net"]))
    assert list(frame.columns) == [f"net.seed{seed}.net0_factor{k}" for seed in (4, 5) for k in (0, 1)]
    expected = np.hstack([frame.drop(columns="segment") for frame in frames])
    np.testing.assert_array_equal(frame.to_numpy(), expected)


def test_rows_are_those_that_all_experiments_and_the_members_have(runs, small):
    runs.one_window("a", "2015-09-01", "2015-09-18", stocks=STOCKS[1:], seed=1)
    runs.one_window("b", "2015-09-09", "2015-09-30", stocks=STOCKS[:3], seed=2)
    frame = features(RecordedFactors(["a", "b"], instruments="csi300"))
    a = rows("2015-09-01", "2015-09-18", stocks=STOCKS[1:], seed=1)
    b = rows("2015-09-09", "2015-09-30", stocks=STOCKS[:3], seed=2)
    market = small[1]
    inside = pd.DataFrame(market.members, market.calendar, market.symbols).stack()
    expected = [row for row in a.index if row in b.index and inside.get(row, False)]
    assert list(frame.index) == expected
    np.testing.assert_array_equal(frame.to_numpy(), np.hstack([a.loc[expected], b.loc[expected]]))


def test_the_label_is_that_of_the_provider(runs):
    runs.one_window("net")
    handler = RecordedFactors(["net"])
    raw = handler.fetch(col_set="label", data_key=DataHandlerLP.DK_R)["LABEL0"]
    expected = D.features(STOCKS, LABEL[0], "2015-09-01", "2015-09-30").iloc[:, 0].swaplevel().sort_index()
    pd.testing.assert_series_equal(raw, expected, check_names=False, check_freq=False, check_index_type=False)
    assert label_reach(handler) == 11
    own = RecordedFactors(["net"], label=(["Ref($close, -2)/$close - 1"], ["RETURN"]))
    assert label_reach(own) == 2
    learnt = handler.fetch(col_set="label", data_key=DataHandlerLP.DK_L)["LABEL0"].groupby(level=0)
    np.testing.assert_allclose(learnt.mean(), 0, atol=1e-6)


def test_the_last_finished_run_is_read(runs):
    for seed in (1, 2):
        runs.one_window("net", seed=seed)
    runs.run("net", status="FAILED")
    expected = rows("2015-09-01", "2015-09-30", seed=2)
    np.testing.assert_array_equal(features(RecordedFactors(["net"])).to_numpy(), expected.to_numpy())


def plain(segments: dict) -> dict:
    return {"dataset": {"kwargs": {"segments": segments}}}


def test_scores_are_columns_named_after_their_experiments(runs):
    runs.one_window("rolling")  # with a prediction of September
    score = rows("2015-09-01", "2015-09-30", columns=1, seed=5).set_axis(["score"], axis=1)
    segments = {"train": ["2015-01-01", "2015-06-30"], "valid": ["2015-07-01", "2015-08-31"]}
    runs.run("plain", pred=score[::-1], task=plain(segments))
    frame = features(RecordedFactors(["rolling", "plain"], kind="score"))
    assert list(frame.columns) == ["rolling", "plain"]
    np.testing.assert_array_equal(frame["plain"], score["score"])


def test_datasets_of_qlib_and_ours_read_it(runs):
    runs.one_window("net")
    segments = {"train": ("2015-09-01", "2015-09-15"), "test": ("2015-09-16", "2015-09-30")}
    expected = rows("2015-09-01", "2015-09-30")
    for kind in (DatasetH, CrossSectionDataset):
        tested = kind(RecordedFactors(["net"]), segments).prepare("test", col_set="feature")
        np.testing.assert_array_equal(tested, expected.loc["2015-09-16":])
    index, x = windows(RecordedFactors(["net"]))
    assert x.shape == (len(expected), 1, 2)
    np.testing.assert_array_equal(x[:, 0], expected)
    later = RecordedFactors(["net"], start_time="2015-09-10", step_len=3)
    index, x = windows(later)
    assert index[0] == (pd.Timestamp("2015-09-10"), STOCKS[0])
    np.testing.assert_array_equal(x[0], expected.xs(STOCKS[0], level=1).loc["2015-09-08":"2015-09-10"])


def test_a_run_without_marks_is_referred_to_the_rolling_model(runs):
    runs.run("net", pred=rows("2015-09-01", "2015-09-30", columns=1))
    with pytest.raises(
        DataError, match=r"'net' has no windows.*Train the model within RollingModel.*or take kind: score"
    ):
        RecordedFactors(["net"])


@pytest.mark.parametrize("mark", ["train", None])
def test_rows_marked_otherwise_than_valid_or_test_are_refused(runs, mark):
    frame = rows("2015-09-01", "2015-09-30").assign(segment="test")
    frame.loc[frame.index[7], "segment"] = mark
    runs.rolling("net", ("2015-06-30", frame if mark else frame.drop(columns="segment")))
    where = "1 of 88 weak factors of 'net' are in-sample, first on 2015-09-02 at SZ000001" if mark else "88 of 88 weak"
    with pytest.raises(DataError, match=where):
        RecordedFactors(["net"])


def test_days_that_training_saw_are_refused_whatever_their_mark(runs):
    runs.rolling("net", ("2015-09-02", rows("2015-09-01", "2015-09-30").assign(segment="test")))
    with pytest.raises(DataError, match=r"8 of 88 .* first on 2015-09-01 at SH600001: training ended on 2015-09-02"):
        RecordedFactors(["net"])


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        ({"train": ["2015-01-01", "2015-09-01"], "valid": ["2015-09-02", "2015-09-03"]}, "4 of 88 .* segment 'train'"),
        (
            {"train": ["2015-01-01", "2015-06-30"], "valid": ["2015-09-30", None]},
            "4 of 88 .* 'valid', first on 2015-09-30",
        ),
        ({"test": ["2015-09-01", "2015-09-30"]}, "does not say on which days it was trained: its task lacks 'train'"),
    ],
)
def test_predictions_of_days_trained_on_are_refused(runs, segments, said):
    runs.run("net", pred=rows("2015-09-01", "2015-09-30", columns=1), task=plain(segments))
    with pytest.raises(DataError, match=said):
        RecordedFactors(["net"], kind="score")


def test_a_window_without_weak_factors_is_named(runs):
    runs.rolling("tree", ("2015-06-30", None))
    with pytest.raises(DataError, match=r"A window of 'tree', tested from 2015-09-01 on, has no weak factors: .*score"):
        RecordedFactors(["tree"])


def test_an_experiment_that_is_not_there_is_named(runs):
    runs.one_window("net")
    with pytest.raises(DataError, match=r"no experiment 'nte' in .*; it has net"):
        RecordedFactors(["net", "nte"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_named(runs, value):
    frame = rows("2015-09-01", "2015-09-30")
    frame.iloc[5, 1] = value
    runs.rolling("net", ("2015-06-30", frame.assign(segment="test")))
    said = "1 of 88 recorded rows of 'net' are missing or infinite, first 'net.net0_factor1' on 2015-09-02 at SH600002"
    with pytest.raises(DataError, match=said):
        RecordedFactors(["net"])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"first": "2015-10-08", "last": "2015-10-20"},
            r"'a' \(2015-09-01 to 2015-09-30\) and 'b' \(2015-10-08 to .*date",
        ),
        ({"stocks": ["SZ000002"]}, "have no instrument in common"),
        ({"stocks": [STOCKS[0], "SZ000002"]}, None),
    ],
)
def test_experiments_without_common_rows_are_refused(runs, other, said):
    runs.one_window("a")
    runs.one_window("b", **other)
    if said is None:
        assert len(features(RecordedFactors(["a", "b"])).index.unique("instrument")) == 1
    else:
        with pytest.raises(DataError, match=said):
            RecordedFactors(["a", "b"])


def test_stocks_in_common_but_never_on_a_day_are_refused(runs):
    early, late = rows("2015-09-01", "2015-09-10", STOCKS[:2]), rows("2015-09-11", "2015-09-30", STOCKS[2:])
    turned = [rows("2015-09-01", "2015-09-10", STOCKS[2:]), rows("2015-09-11", "2015-09-30", STOCKS[:2])]
    for name, parts in (("a", [early, late]), ("b", turned)):
        runs.rolling(name, ("2015-06-30", pd.concat(parts).assign(segment="test")))
    with pytest.raises(DataError, match="no stock in common on any day"):
        RecordedFactors(["a", "b"])


def test_days_that_nobody_recorded_are_refused(runs):
    runs.one_window("net")
    said = r"net recorded rows of 2015-09-01 to 2015-09-30, and none is of the 20 instruments .* from 2015-05-04 on"
    with pytest.raises(DataError, match=said):
        RecordedFactors(["net"], start_time="2015-05-04", end_time="2015-06-30")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"experiments": []}, "at least one"),
        ({"experiments": "net"}, "a list of experiment names"),
        ({"experiments": ["net"], "kind": "factors"}, "did you mean 'weak_factors'"),
        ({"experiments": ["net"], "segments": ["train"]}, "no option 'train'"),
        ({"experiments": ["net"], "segments": []}, "at least one of test, valid"),
        ({"experiments": ["net"], "labels": LABEL}, "did you mean 'label'"),
    ],
)
def test_bad_options_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        RecordedFactors(**options)

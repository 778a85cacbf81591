"""RecordedFactors over runs made by hand: which rows are read, joined with what, and what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from qlib.data import D
from qlib.data.dataset import DatasetH
from qlib.data.dataset.handler import DataHandlerLP

from handlers.bars import LABEL
from handlers.recorded import RecordedFactors
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.loader import ENGINES
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.expressions.reach import label_reach
from qlib_ext.recorder.windows import RUN, TEST_FROM, TRAIN_LABELS_TO, VALID_FROM, VALID_LABELS_TO, VALID_TO
from tests.handlers.conftest import windows
from tests.handlers.recorded_runs import STOCKS, RecordedRuns, rows
from tests.rolling.cases import Returns


@pytest.fixture
def runs(database, tmp_path, small):
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(database, folder)
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


@pytest.mark.parametrize("label", [LABEL, (["0 - Delta($close, -10)/$close"], ["DELTA"])])
def test_qlibs_engine_reads_the_label_as_ours_does(runs, label):
    runs.one_window("net")
    ours, theirs = (RecordedFactors(["net"], label=label, engine=engine, group="$industry") for engine in ENGINES)
    for key in (DataHandlerLP.DK_I, DataHandlerLP.DK_R):
        pd.testing.assert_frame_equal(
            ours.fetch(data_key=key), theirs.fetch(data_key=key), check_dtype=False, rtol=1e-5
        )


def test_the_last_finished_run_is_read(runs):
    for seed in (1, 2):
        runs.one_window("net", seed=seed)
    runs.run("net", status="FAILED")
    expected = rows("2015-09-01", "2015-09-30", seed=2)
    np.testing.assert_array_equal(features(RecordedFactors(["net"])).to_numpy(), expected.to_numpy())


def recorded(kind: type, segments: dict, label: str = "Ref($close, -2)/Ref($close, -1) - 1", **kwargs):
    """The dataset that a plain run of qrun leaves behind, without rows."""
    handler = Returns(label=([label], ["LABEL0"]), instruments="csi300", init_data=False)
    return kind(handler=handler, segments=segments, **kwargs)


# of labels that look two trading days ahead: 2015-06-30 is followed by 07-01, 07-02, 2015-08-31 by 09-01, 09-02
APART = {"train": ["2015-01-01", "2015-06-26"], "valid": ["2015-07-01", "2015-08-27"], "test": ["2015-09-01", None]}
ADJACENT = {"train": ["2015-01-01", "2015-06-30"], "valid": ["2015-07-01", "2015-08-31"], "test": ["2015-09-01", None]}
SEPTEMBER = ("2015-09-01", "2015-09-30")


def test_scores_are_columns_named_after_their_experiments(runs):
    runs.one_window("rolling")  # with a prediction of September
    score = rows("2015-09-01", "2015-09-30", columns=1, seed=5).set_axis(["score"], axis=1)
    runs.run("plain", pred=score[::-1], dataset=recorded(CrossSectionDataset, ADJACENT))
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
    where = "1 of 88 weak factors of 'net' are marked neither .* on 2015-09-02 at SZ000001" if mark else "88 of 88 weak"
    with pytest.raises(DataError, match=where):
        RecordedFactors(["net"])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({TRAIN_LABELS_TO: "2015-09-02"}, "labels of its train days, up to 2015-06-30, look at days up to 2015-09-02"),
        ({VALID_LABELS_TO: "2015-09-01"}, "labels of its valid days, .* up to 2015-09-01, and its test days begin on"),
        ({TRAIN_LABELS_TO: None}, "labels of 'net' look ahead is not known .*get_extended_window_size"),
        ({VALID_LABELS_TO: None}, "labels of 'net' look ahead is not known .*purge: auto"),
    ],
)
@pytest.mark.parametrize("kind", ["weak_factors", "score"])
def test_windows_that_were_not_purged_are_refused(runs, labels, said, kind):
    runs.rolling("net", ("2015-06-30", rows(*SEPTEMBER).assign(segment="test")), **labels)
    with pytest.raises(DataError, match=said):
        RecordedFactors(["net"], kind=kind)


@pytest.mark.parametrize("mark", ["valid", "test"])
def test_days_that_the_labels_of_a_window_look_at_are_refused_whatever_their_mark(runs, mark):
    seen, rest = rows("2015-08-27", "2015-09-01"), rows("2015-09-02", "2015-09-30")
    frame = marked(seen, rest) if mark == "valid" else pd.concat([seen, rest]).assign(segment="test")
    dates = {VALID_FROM: "2015-08-31", VALID_TO: "2015-08-31", TEST_FROM: "2015-09-02", VALID_LABELS_TO: "2015-09-01"}
    runs.rolling("net", ("2015-06-30", frame), **dates | {TRAIN_LABELS_TO: "2015-08-28"})
    first = r"8 of \d+ rows of 'net' are in-sample, first on 2015-08-27 at SH600001: the labels of its train days"
    with pytest.raises(DataError, match=first):
        RecordedFactors(["net"])


def test_scores_of_days_that_no_window_was_tested_on_are_refused(runs):
    runs.rolling("net", ("2015-06-30", rows("2015-09-02", "2015-09-29").assign(segment="test")))
    with pytest.raises(
        DataError, match=r"8 of 88 predictions of 'net' are of days that no window.*on 2015-09-01 at SH"
    ):
        RecordedFactors(["net"], kind="score")


@pytest.mark.parametrize(
    ("kind", "segments"),
    [
        (CrossSectionDataset, ADJACENT),
        (DatasetH, APART),
        (DatasetH, {"train": ["2015-01-01", "2015-08-27"], "test": ["2015-09-01", None]}),
    ],
)
def test_scores_of_a_run_that_purges_or_leaves_days_out_are_read(runs, kind, segments):
    runs.run("net", pred=rows(*SEPTEMBER, columns=1), dataset=recorded(kind, segments))
    assert len(features(RecordedFactors(["net"], kind="score"))) == 88


def test_nets_purge_whatever_the_dataset_that_they_are_given(runs):
    files = {"pred": rows(*SEPTEMBER, columns=1), "dataset": recorded(DatasetH, ADJACENT)}
    runs.run("tree", **files, task={"model": {"class": "LGBModel", "module_path": "qlib.contrib.model.gbdt"}})
    with pytest.raises(DataError, match="'tree' was not purged"):
        RecordedFactors(["tree"], kind="score")
    runs.run("net", **files, task={"model": {"class": "GRU", "module_path": "qlib_ext.models.gru"}})
    assert len(features(RecordedFactors(["net"], kind="score"))) == 88


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ((DatasetH, ADJACENT), "'net' was not purged.*train days, up to 2015-06-30, .* 2015-07-02, and its valid days"),
        ((DatasetH, APART | {"valid": ["2015-07-01", "2015-08-28"]}), "valid days, up to 2015-08-28, .* to 2015-09-01"),
        ((DatasetH, APART, "0 - Delta($close, -10)/$close"), "train days, up to 2015-06-26, .* to 2015-07-10"),
        ((DatasetH, {"train": ["2015-01-01", "2015-08-31"]}), "8 of 88 rows .* first on 2015-09-01 at SH600001"),
        ((DatasetH, {"train": ["2015-01-01", None]}), "88 of 88 rows of 'net' are in-sample"),
        ((DatasetH, APART, "Later($close)"), r"look ahead is not known \(.*get_extended_window_size"),
        ((DatasetH, {"test": ["2015-09-01", None]}), "on which days it was trained: its dataset has no segment train"),
        (None, "does not say on which days it was trained: the recorded dataset cannot be read"),
    ],
)
def test_scores_of_a_run_that_may_have_seen_their_days_are_refused(runs, dataset, said):
    files = {} if dataset is None else {"dataset": recorded(*dataset)}
    runs.run("net", pred=rows(*SEPTEMBER, columns=1), **files)
    with pytest.raises(DataError, match=said):
        RecordedFactors(["net"], kind="score")


@pytest.mark.parametrize("purge", [0, 1])
def test_a_purge_that_is_shorter_than_the_label_is_refused(runs, purge):
    runs.run("net", pred=rows(*SEPTEMBER, columns=1), dataset=recorded(CrossSectionDataset, ADJACENT, purge=purge))
    with pytest.raises(DataError, match=r"'net' was not purged.*Train it again with purge: auto"):
        RecordedFactors(["net"], kind="score")
    runs.run("net", pred=rows(*SEPTEMBER, columns=1), dataset=recorded(CrossSectionDataset, ADJACENT, purge=2))
    assert len(features(RecordedFactors(["net"], kind="score"))) == 88


def test_a_window_without_weak_factors_is_named(runs):
    runs.rolling("tree", ("2015-06-30", None))
    with pytest.raises(DataError, match=r"A window of 'tree', tested from 2015-09-01 on, has no weak factors: .*score"):
        RecordedFactors(["tree"])


def test_a_window_that_was_removed_from_the_recorder_is_named(runs):
    """As mlflow's gc removes deleted runs, their files and all."""
    runs.rolling("net", ("2015-06-30", rows(*SEPTEMBER).assign(segment="test")), **{RUN: "0" * 32})
    with pytest.raises(DataError, match=r"window of 'net' that is tested from 2015-09-01 on was removed.*model again"):
        RecordedFactors(["net"])


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
        ({"experiments": "net"}, "experiments is a list of texts"),
        ({"experiments": ["net"], "kind": "factors"}, "did you mean 'weak_factors'"),
        ({"experiments": ["net"], "segments": ["train"]}, "no option 'train'"),
        ({"experiments": ["net"], "segments": []}, "at least one of test, valid"),
        ({"experiments": ["net"], "labels": LABEL}, "did you mean 'label'"),
    ],
)
def test_bad_options_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        RecordedFactors(**options)

"""What is finished is not trained again; what was touched, or is not finished, is."""

from __future__ import annotations

import errno

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from qlib.workflow import R

from qlib_ext.errors import OutputError, TrainingError
from qlib_ext.rolling.keys import Keys
from qlib_ext.rolling.rows import RawData
from qlib_ext.rolling.store import WindowStore
from qlib_ext.testing.rows import random_rows
from tests.rolling.cases import DAYS, dataset_of, inner, ridge, rolling

FIRST, SECOND, THIRD = "2020-03-10", "2020-03-24", "2020-04-07"
ALL = [f"{day} 0" for day in (FIRST, SECOND, THIRD)]


@pytest.fixture
def rows():
    return random_rows(days=80)


def test_a_second_run_trains_nothing_and_writes_the_same_bytes(bench, rows):
    runs = [bench.run(rolling(bench.ridge()), dataset_of(rows))]
    assert bench.trained() == ALL
    model = rolling(bench.ridge())
    runs.append(bench.run(model, dataset_of(rows)))
    assert bench.trained() == []
    assert model.windows_["trained"].tolist() == [False] * 3
    assert model.windows_["run"].tolist() == [child.info.run_id for child in bench.children(runs[0])]
    assert bench.children(runs[1]) == []
    first, second = (bench.file(run, "pred.pkl").read_bytes() for run in runs)
    assert first == second


def test_resume_false_trains_all(bench, rows):
    for _ in range(2):
        bench.run(rolling(bench.ridge(), resume=False), dataset_of(rows))
        assert bench.trained() == ALL


def test_another_experiment_knows_nothing_of_it(bench, rows):
    for name in ("one", "other"):
        bench.run(rolling(bench.ridge()), dataset_of(rows), name)
        assert bench.trained() == ALL


def changed(rows, day):
    other = rows.copy()
    other.loc[day, ("feature", "F0")] = 5.0
    return other


PROCESSOR = {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}}
TOUCHED = {
    "nothing": (lambda rows: (dataset_of(rows), {}, {}), []),
    "seconds that rows are loaded to": (lambda rows: (dataset_of(rows.loc[:"2020-04-20"]), {}, {}), []),
    "a longer test segment": (
        lambda rows: (dataset_of(rows, ("2020-03-10", "2020-04-21")), {}, {}),
        ["2020-04-21 0"],
    ),
    "the number of jobs": (lambda rows: (dataset_of(rows), {}, {"n_jobs": 2}), []),
    "an option of the model": (lambda rows: (dataset_of(rows), {"alpha": 2.0}, {}), ALL),
    "the model's seed": (lambda rows: (dataset_of(rows), {"seed": 1}, {}), [f"{line[:-1]}1" for line in ALL]),
    "the purge": (lambda rows: (dataset_of(rows), {}, {"purge": 3}), ALL),
    "the length of training": (lambda rows: (dataset_of(rows), {}, {"train": "29D"}), ALL),
    "a day that the last window tests": (lambda rows: (dataset_of(changed(rows, "2020-04-20")), {}, {}), ALL[2:]),
    "a day that the first window alone trains on": (
        lambda rows: (dataset_of(changed(rows, DAYS[12])), {}, {}),
        ALL[:1],
    ),
    "a day that no window reads": (lambda rows: (dataset_of(changed(rows, DAYS[5])), {}, {}), []),
    "a day that all read": (lambda rows: (dataset_of(changed(rows, "2020-03-02")), {}, {}), ALL),
    "a row that is gone": (lambda rows: (dataset_of(rows.drop(rows.loc[["2020-04-17"]].index[3])), {}, {}), ALL[2:]),
    "a name": (
        lambda rows: (dataset_of(rows.rename({"SH600011": "SH600099"}, level="instrument").sort_index()), {}, {}),
        ALL,
    ),
}


def keys_and_scores(data, model) -> tuple[dict, pd.Series]:
    """The keys of the windows by name, and the scores, trained without a recorder."""
    keys = Keys(RawData.of(data), data, model.model)
    model.fit(data)
    return {f"{window} {seed(model)}": keys.key(window, None) for window in model.plan(data)}, model.predict(data)


def seed(model) -> int:
    return model.model["kwargs"].get("seed", 0)


@pytest.mark.parametrize("what", TOUCHED)
def test_only_what_is_touched_has_another_key(rows, qlib_expressions, what):
    touch, expected = TOUCHED[what]
    data, of_model, of_rolling = touch(rows)
    before, scores = keys_and_scores(dataset_of(rows), rolling())
    after, touched = keys_and_scores(data, rolling(ridge(**of_model), **of_rolling))
    assert [name for name, key in after.items() if before.get(name) != key] == expected
    kept = [name[:10] for name in after if name not in expected]
    for first, last in ((day, DAYS[DAYS.get_loc(day) + 9]) for day in kept):
        same = [series.loc[first:last] for series in (scores, touched)]
        pd.testing.assert_series_equal(*same, check_exact=True)


def test_only_what_is_touched_is_trained_again(bench, rows):
    bench.run(rolling(bench.ridge()), dataset_of(rows))
    assert bench.trained() == ALL
    model = rolling(bench.ridge())
    run = bench.run(model, dataset_of(changed(rows, "2020-04-20"), (FIRST, "2020-04-21")))
    assert bench.trained() == [THIRD + " 0", "2020-04-21 0"]
    assert model.windows_["trained"].tolist() == [False, False, True, True]
    alone = rolling()
    alone.fit(dataset_of(changed(rows, "2020-04-20"), (FIRST, "2020-04-21")))
    expected = alone.scores_.rename(None)
    pd.testing.assert_series_equal(bench.prediction(run).rename(None), expected, check_exact=True)


def test_a_further_seed_is_trained_alone(bench, rows):
    bench.run(rolling(bench.ridge(), seeds=[0]), dataset_of(rows))
    bench.trained()
    bench.run(rolling(bench.ridge(), seeds=[0, 1]), dataset_of(rows))
    assert bench.trained() == [f"{line[:-1]}1" for line in ALL]


def test_a_child_that_is_not_finished_is_redone(bench, rows):
    bench.run(rolling(bench.ridge()), dataset_of(rows))
    bench.trained()
    for child, status in zip(bench.children(), ("FAILED", "FINISHED", "RUNNING"), strict=True):
        bench.client.update_run(child.info.run_id, status)
    bench.run(rolling(bench.ridge()), dataset_of(rows))
    assert bench.trained() == [ALL[0], ALL[2]]


def flipped(content: bytes) -> bytes:
    """The content with one bit changed, among the scores themselves: it is read as before, and has another score."""
    place = content.index(b"numpy") + len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", ["gone", "cut off", "one bit flipped"])
def test_a_finished_window_whose_scores_are_lost_or_damaged_is_redone(bench, rows, damage):
    run = bench.run(rolling(bench.ridge()), dataset_of(rows))
    bench.trained()
    file = bench.file(bench.children()[1].info.run_id, "prediction.pkl")
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:100] if damage == "cut off" else flipped(file.read_bytes()))
    again = bench.run(rolling(bench.ridge()), dataset_of(rows))
    assert bench.trained() == [ALL[1]]
    assert bench.file(again, "pred.pkl").read_bytes() == bench.file(run, "pred.pkl").read_bytes()


def test_a_finished_window_whose_model_is_damaged_is_redone(bench, rows):
    bench.run(rolling(bench.ridge()), dataset_of(rows))
    bench.trained()
    file = bench.file(bench.children()[1].info.run_id, "model.pkl")
    file.write_bytes(file.read_bytes()[:-1])
    bench.run(rolling(bench.ridge()), dataset_of(rows))
    assert bench.trained() == [ALL[1]]


def test_of_two_runs_at_once_one_is_refused(bench, rows):
    bench.run(rolling(bench.ridge()), dataset_of(rows))
    bench.trained()
    with R.start(experiment_name="roll"):
        holder = WindowStore.active()
    with holder.locked():
        with pytest.raises(TrainingError, match=r"Another run is training windows of this experiment .*\.lock"):
            bench.run(rolling(bench.ridge(alpha=3.0)), dataset_of(rows))
        assert bench.trained() == []
        bench.run(rolling(bench.ridge()), dataset_of(rows), "another experiment")
    bench.trained()
    bench.run(rolling(bench.ridge(alpha=3.0)), dataset_of(rows))
    assert bench.trained() == ALL


def test_a_full_disk_loses_nothing_that_is_finished(bench, rows, monkeypatch):
    write, calls = MlflowClient.log_artifacts, []

    def full(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, *args, **kwargs)

    monkeypatch.setattr(MlflowClient, "log_artifacts", full)
    with pytest.raises(OutputError, match=r"Window 2020-03-24 is trained but could not be saved .*No space left"):
        bench.run(rolling(bench.ridge()), dataset_of(rows))
    assert bench.trained() == ALL[:2]
    first, second = bench.children()
    assert (first.info.status, second.info.status) == ("FINISHED", "RUNNING")
    run = bench.run(rolling(bench.ridge()), dataset_of(rows))
    assert bench.trained() == ALL[1:]
    fresh = bench.run(rolling(bench.ridge()), dataset_of(rows), "fresh")
    assert bench.file(run, "pred.pkl").read_bytes() == bench.file(fresh, "pred.pkl").read_bytes()


def test_a_table_that_cannot_be_written_is_said(bench, rows, monkeypatch):
    write = MlflowClient.log_text

    def full(self, run, text, name):
        if name == "rolling_windows.csv":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, run, text, name)

    monkeypatch.setattr(MlflowClient, "log_text", full)
    with pytest.raises(OutputError, match=r"rolling_windows\.csv could not be saved"):
        bench.run(rolling(bench.ridge()), dataset_of(rows))
    assert [child.info.status for child in bench.children()] == ["FINISHED"] * 3


def test_an_inner_model_that_fails_names_its_window_and_the_finished_ones_are_kept(bench, rows):
    said = r"Window 2020-04-07: KeyError: 'no such luck' \(finished windows are kept\)"
    for expected in (ALL[:2], []):
        with pytest.raises(TrainingError, match=said):
            bench.run(rolling(bench.ridge(fail_from=THIRD)), dataset_of(rows))
        assert bench.trained() == expected


def test_curves_keep_what_mlflow_takes_and_leave_out_what_is_no_figure(bench, rows):
    many = {f"option{number}": number for number in range(250)}
    bench.run(rolling(bench.ridge(**many)), dataset_of(rows))
    for child in bench.children():
        assert child.data.params["kwargs.option249"] == "249"
        assert len(bench.client.get_metric_history(child.info.run_id, "valid.mse_1")) == 2
        assert not [name for name in child.data.metrics if "notes" in name]


def test_a_window_with_nothing_to_train_on_is_named(bench, rows):
    empty = rows.copy()
    empty.loc[:"2020-03-04", ("label", "LABEL0")] = np.nan
    lgb = {"class": "LGBModel", "module_path": "qlib.contrib.model.gbdt", "kwargs": {}}
    with pytest.raises(TrainingError, match=r"Window 2020-03-10: ValueError: Empty data from dataset"):
        bench.run(rolling(lgb), dataset_of(empty))


def test_a_model_that_cannot_be_pickled_is_named(bench, rows, monkeypatch):
    monkeypatch.setattr(
        "tests.rolling.inner.LastLabel.fit", lambda self, data: setattr(self, "last", pd.Series(dtype=float))
    )
    monkeypatch.setattr("tests.rolling.inner.LastLabel.__getstate__", lambda self: 1 / 0, raising=False)
    with pytest.raises(TrainingError, match=r"Window 2020-03-10: ZeroDivisionError"):
        bench.run(rolling(inner("LastLabel")), dataset_of(rows))

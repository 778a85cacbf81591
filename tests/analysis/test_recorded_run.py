from __future__ import annotations

import datetime

import pandas as pd
import yaml

from qlib_ext.analysis.report.recorded_run import read_recorded_run
from qlib_ext.recorder.runs import find_runs
from qlib_ext.recorder.windows import RUN, TEST_FROM, WINDOWS
from tests.analysis.findings import findings, log_curve, save_findings
from tests.analysis.recorders import save, save_windows

NAMES = ("2016-06-01", "2016-12-01")


def recorded_run(recorders, experiment="net", at_hand=None):
    (run,) = find_runs(recorders.store, experiment)
    return read_recorded_run(recorders.client, experiment, run, at_hand)


def test_frames_are_those_that_factor_record_saved(recorders):
    saved = findings("net")
    save_findings(recorders.run("net"), saved)
    found = recorded_run(recorders)
    assert found.frames.keys() == saved.keys()
    pd.testing.assert_frame_equal(found.frames["group_returns"], saved["group_returns"])
    assert found.problems == []


def test_frames_that_are_given_are_not_read(recorders):
    save_findings(recorders.run("net"), findings("net"))
    assert recorded_run(recorders, at_hand={"frames": {"about": {}}}).frames == {"about": {}}


def test_a_damaged_frame_is_named_and_the_others_are_read(recorders):
    artifacts = recorders.run("net")
    save_findings(artifacts, findings("net"))
    (artifacts / "factor_analysis" / "ic.pkl").write_bytes(b"cnowhere\nThing\n.")
    found = recorded_run(recorders)
    assert "ic" not in found.frames
    assert "group_years" in found.frames
    (problem,) = found.problems
    assert "factor_analysis/ic.pkl cannot be read (ModuleNotFoundError" in problem


def test_a_run_without_anything(recorders):
    (recorders.run("net") / "task").unlink()
    found = recorded_run(recorders)
    assert (found.frames, found.windows, found.config, found.problems) == ({}, None, "", [])
    assert found.curves.empty


def test_curves_are_the_metrics_of_several_epochs(recorders):
    run = recorders.run("net").parent.name
    for name in ("GRU.valid_rank_ic", "l2.train", "train.l2", "ASTGNN.seed1.train_loss", "valid_ic", "speed"):
        log_curve(recorders.client, run, name, [0.5, 0.25])
    for _ in range(2):
        recorders.client.log_metric(run, "factor.rank_ic", 0.1)
    curves = recorded_run(recorders).curves
    of = curves.drop_duplicates(["part", "measure", "segment"])[["part", "measure", "segment"]]
    assert sorted(map(tuple, of.to_numpy())) == [
        ("", "ic", "valid"),
        ("", "l2", "train"),
        ("", "speed", ""),
        ("ASTGNN.seed1", "loss", "train"),
        ("GRU", "rank_ic", "valid"),
    ]
    last = curves[curves["measure"] == "rank_ic"]
    assert last[["epoch", "value"]].to_numpy().tolist() == [[0, 0.5], [1, 0.25]]


def test_a_rolling_run_has_the_curves_of_its_windows_wherever_they_were_trained(recorders):
    ids = []
    for name in NAMES:
        child = recorders.run("net").parent.name
        recorders.client.set_tag(child, "mlflow.parentRunId", "another run")
        recorders.client.set_tag(child, "mlflow.runName", name)
        log_curve(recorders.client, child, "train.l2", [3.0, 2.0])
        ids.append(child)
    parent = recorders.run("net")
    save_windows(parent, [{TEST_FROM: name, RUN: child} for name, child in zip(NAMES, ids, strict=True)])
    found = recorded_run(recorders)
    assert found.windows[RUN].tolist() == ids
    assert found.curves["part"].tolist() == ["2016-06-01"] * 2 + ["2016-12-01"] * 2
    assert found.problems == []


def test_a_window_whose_run_was_removed_is_named_and_the_others_are_shown(recorders):
    child = recorders.run("net").parent.name
    log_curve(recorders.client, child, "train.l2", [3.0, 2.0])
    recorders.client.set_tag(child, "mlflow.parentRunId", "another run")
    save_windows(recorders.run("net"), [{TEST_FROM: NAMES[0], RUN: child}, {TEST_FROM: NAMES[1], RUN: "0" * 32}])
    found = recorded_run(recorders)
    assert len(found.curves) == 2
    (problem,) = found.problems
    assert f"1 of 2 windows were removed from the recorder, the first {'0' * 32}" in problem


def test_a_table_of_windows_without_a_column_is_named(recorders):
    parent = recorders.run("net")
    pd.DataFrame({TEST_FROM: NAMES}).to_csv(parent / WINDOWS, index=False)
    found = recorded_run(recorders)
    assert found.windows is None
    assert "rolling_windows.csv lacks 15 columns" in found.problems[0]
    assert "'train from'" in found.problems[0]


def test_the_configuration_is_yaml_and_an_object_in_it_is_its_class(recorders):
    task = {"model": {"class": "门控", "kwargs": {"lr": 0.1, "days": (1, 2)}}, "day": datetime.date(2020, 1, 2)}
    save(recorders.run("net") / "task", task | {"handler": pd.DataFrame({"x": [1] * 1000})})
    text = recorded_run(recorders).config
    expected = {"model": {"class": "门控", "kwargs": {"lr": 0.1, "days": [1, 2]}}, "day": datetime.date(2020, 1, 2)}
    assert yaml.safe_load(text) == expected | {"handler": "<DataFrame>"}
    assert "门控" in text

from __future__ import annotations

import datetime

import pandas as pd
import yaml

from qlib_ext.analysis.report.recorded_run import gather
from qlib_ext.recorder.runs import find_runs
from tests.analysis.findings import findings, log_curve, save_findings
from tests.analysis.recorders import save


def evidence(recorders, experiment="net", frames=None):
    (run,) = find_runs(recorders.store, experiment)
    return gather(recorders.client, experiment, run, frames)


def test_frames_are_those_that_factor_record_saved(recorders):
    saved = findings("net")
    save_findings(recorders.run("net"), saved)
    found = evidence(recorders)
    assert found.frames.keys() == saved.keys()
    pd.testing.assert_frame_equal(found.frames["group_returns"], saved["group_returns"])
    assert found.problems == []


def test_frames_that_are_given_are_not_read(recorders):
    save_findings(recorders.run("net"), findings("net"))
    assert evidence(recorders, frames={"about": {}}).frames == {"about": {}}


def test_a_damaged_frame_is_told_and_the_others_are_read(recorders):
    artifacts = recorders.run("net")
    save_findings(artifacts, findings("net"))
    (artifacts / "factor_analysis" / "ic.pkl").write_bytes(b"cnowhere\nThing\n.")
    found = evidence(recorders)
    assert "ic" not in found.frames
    assert "group_years" in found.frames
    (problem,) = found.problems
    assert "factor_analysis/ic.pkl cannot be read (ModuleNotFoundError" in problem


def test_a_run_without_anything(recorders):
    (recorders.run("net") / "task").unlink()
    found = evidence(recorders)
    assert (found.frames, found.windows, found.config, found.problems) == ({}, None, "", [])
    assert found.curves.empty


def test_curves_are_the_metrics_of_several_epochs(recorders):
    run = recorders.run("net").parent.name
    for name in ("GRU.valid_rank_ic", "l2.train", "train.l2", "ASTGNN.seed1.train_loss", "valid_ic", "speed"):
        log_curve(recorders.client, run, name, [0.5, 0.25])
    for _ in range(2):
        recorders.client.log_metric(run, "factor.rank_ic", 0.1)
    curves = evidence(recorders).curves
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
    for name in ("2016-06-01", "2016-12-01"):
        child = recorders.run("net").parent.name
        recorders.client.set_tag(child, "mlflow.parentRunId", "another run")
        recorders.client.set_tag(child, "mlflow.runName", name)
        log_curve(recorders.client, child, "train.l2", [3.0, 2.0])
        ids.append(child)
    parent = recorders.run("net")
    windows = pd.DataFrame({"test from": ["2016-06-01", "2016-12-01"], "seed": [None, None], "run": ids})
    windows.to_csv(parent / "rolling_windows.csv", index=False)
    found = evidence(recorders)
    assert found.windows["run"].tolist() == ids
    assert found.curves["part"].tolist() == ["2016-06-01"] * 2 + ["2016-12-01"] * 2


def test_the_configuration_is_yaml_and_an_object_in_it_is_its_class(recorders):
    task = {"model": {"class": "门控", "kwargs": {"lr": 0.1, "days": (1, 2)}}, "day": datetime.date(2020, 1, 2)}
    save(recorders.run("net") / "task", task | {"handler": pd.DataFrame({"x": [1] * 1000})})
    text = evidence(recorders).config
    expected = {"model": {"class": "门控", "kwargs": {"lr": 0.1, "days": [1, 2]}}, "day": datetime.date(2020, 1, 2)}
    assert yaml.safe_load(text) == expected | {"handler": "<DataFrame>"}
    assert "门控" in text

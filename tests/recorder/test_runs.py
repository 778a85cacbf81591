from __future__ import annotations

import shutil
import sqlite3

import pytest
from mlflow import MlflowClient

from qlib_ext.errors import DataError
from qlib_ext.recorder.runs import find_run, find_runs, store_of

PAGE = 1_000  # what mlflow gives at a time


@pytest.fixture
def client(tmp_path, database):
    shutil.copy(database, tmp_path)
    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


def repeat(folder, table, key, value, **changed):
    """Write the row again and again, as one more than a page holds; mlflow would take minutes for them."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        names = [row[1] for row in database.execute(f"pragma table_info({table})")]
        for row in database.execute(f"select * from {table} where {key}=?", (value,)).fetchall():
            for number in range(PAGE + 1):
                copy = dict(zip(names, row, strict=True)) | {
                    name: text.format(number + 1000) for name, text in changed.items()
                }
                marks = ",".join("?" * len(copy))
                database.execute(f"insert into {table} ({','.join(copy)}) values ({marks})", list(copy.values()))


def test_a_run_before_more_children_than_a_page_is_found(client, tmp_path):
    experiment = client.create_experiment("rolling", artifact_location=(tmp_path / "artifacts").as_uri())
    parents = [client.create_run(experiment, start_time=start).info.run_id for start in (1_000, 900)]
    child = client.create_run(experiment, start_time=2_000, tags={"mlflow.parentRunId": parents[0]}).info.run_id
    for run in (child, *parents):
        client.set_terminated(run, "FINISHED")
    for table in ("runs", "tags"):
        repeat(tmp_path, table, "run_uuid", child, run_uuid="{:032x}")
    store = store_of(tmp_path)
    assert [run.info.run_id for run in find_runs(store, "rolling")] == parents[:1]
    assert [run.info.run_id for run in find_runs(store, "rolling", last=5)] == parents


def test_an_experiment_behind_a_page_of_others_is_named(client, tmp_path):
    experiment = client.create_experiment("first")
    repeat(tmp_path, "experiments", "experiment_id", experiment, experiment_id="{}", name="more{}")
    with pytest.raises(DataError, match=r"no experiment 'nett' .* it has first, more1000, .*, more2000\."):
        find_runs(store_of(tmp_path), "nett")


def test_a_run_that_was_removed_is_none(client, tmp_path):
    run = client.create_run("0").info.run_id
    assert find_run(store_of(tmp_path), run).info.run_id == run
    assert find_run(store_of(tmp_path), "0" * 32) is None

from __future__ import annotations

import os
import subprocess
import sys

import mlflow
import pytest

from qlib_ext.errors import ConfigError, ProviderError
from qlib_ext.provider.writer import add_future_days
from qlib_ext.recorder.store import SQLiteExpManager

SAVE = """
import sys, qlib
from qlib.workflow import R

uri = sys.argv[2]
manager = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder.store"}
manager["kwargs"] = {"uri": uri, "default_exp_name": "default"}
qlib.init(provider_uri=sys.argv[1], region="cn", exp_manager=manager)
for number in (1, 2):
    with R.start(experiment_name="trial"):
        R.save_objects(**{"note.pkl": number})
        R.log_metrics(ic=0.5)
"""


def test_artifacts_lie_beside_the_database_wherever_the_process_was_started(small, tmp_path):
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-c", SAVE, small[0], f"sqlite:///{store}/mlflow.db"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not os.listdir(elsewhere)
    assert sorted(os.listdir(store)) == [".mlflow.db.lock", "artifacts", "mlflow.db"]
    client = mlflow.MlflowClient(f"sqlite:///{store}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("trial").experiment_id])
    assert [run.data.metrics["ic"] for run in runs] == [0.5, 0.5]
    notes = {store / "artifacts" / "trial" / run.info.run_id / "artifacts" / "note.pkl" for run in runs}
    assert notes == set(store.rglob("note.pkl"))


def test_several_processes_may_begin_in_a_new_folder(small, tmp_path):
    command = [sys.executable, "-c", SAVE, small[0], f"sqlite:///{tmp_path}/store/mlflow.db"]
    processes = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    assert len(list((tmp_path / "store").rglob("note.pkl"))) == 8


@pytest.mark.parametrize("uri", ["file:mlruns", "http://localhost:5000", "mlruns", ""])
def test_other_stores_are_refused(small, init, uri):
    init(small[0])
    with pytest.raises(ConfigError, match=rf"must be sqlite:///FOLDER/NAME.db, not '{uri}'"):
        SQLiteExpManager(uri=uri, default_exp_name="default")


def test_a_missing_provider_is_named_in_one_sentence(init, tmp_path):
    init(tmp_path / "nowhere")
    with pytest.raises(ProviderError) as stop:
        SQLiteExpManager(uri=f"sqlite:///{tmp_path}/store/mlflow.db", default_exp_name="default")
    sentence = str(stop.value)
    assert sentence.startswith(f"The Qlib provider folder {tmp_path}/nowhere does not exist")
    assert "QLIB_DATA" in sentence
    assert "qlib-ext market" in sentence
    assert "\n" not in sentence
    assert not (tmp_path / "store").exists()


def test_a_provider_that_knows_no_day_after_its_last_is_named_at_the_start(copy, init, tmp_path):
    """Qlib's backtest up to the last day ends in an IndexError, after all training."""
    folder = copy("days")
    (folder / "calendars/day_future.txt").unlink()
    init(folder)
    with pytest.raises(ProviderError, match=r"day_future.txt, is missing: a backtest .* python -c .*add_future_days"):
        SQLiteExpManager(f"sqlite:///{tmp_path}/runs/mlflow.db", "Experiment")
    assert not (tmp_path / "runs").exists()
    add_future_days(folder)
    SQLiteExpManager(f"sqlite:///{tmp_path}/runs/mlflow.db", "Experiment")

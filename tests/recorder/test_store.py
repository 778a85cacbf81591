from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import mlflow
import numpy as np
import pandas as pd
import pytest
from qlib.config import C
from qlib.utils.exceptions import RecorderInitializationError
from qlib.workflow import R
from sqlalchemy import Engine, event

from qlib_ext.errors import ConfigError, DataError, OutputError, ProviderError
from qlib_ext.provider.writer import add_future_days
from qlib_ext.recorder import record_in, store
from qlib_ext.recorder.checkpoints import FOLDER, active_checkpoints
from qlib_ext.recorder.location import follow_move
from qlib_ext.recorder.runs import artifacts_of, find_runs, load, store_of
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


def test_two_processes_may_begin_in_a_new_folder_and_artifacts_lie_beside_its_database(small, tmp_path):
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-c", SAVE, small[0], f"sqlite:///{store}/mlflow.db"]
    processes = [subprocess.Popen(command, cwd=elsewhere, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 2, errors
    assert not any("usage: git" in error for error in errors), "git is not asked where there is no repository"
    assert not os.listdir(elsewhere)
    assert sorted(os.listdir(store)) == [".mlflow.db.lock", ".running", "artifacts", "mlflow.db"]
    client = mlflow.MlflowClient(f"sqlite:///{store}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("trial").experiment_id])
    assert [run.data.metrics["ic"] for run in runs] == [0.5] * 4
    notes = {store / "artifacts" / "trial" / run.info.run_id / "artifacts" / "note.pkl" for run in runs}
    assert notes == set(store.rglob("note.pkl"))


@pytest.mark.parametrize("uri", ["file:mlruns", "http://localhost:5000", "mlruns", ""])
def test_other_stores_are_refused(small, init, uri):
    init(small[0])
    with pytest.raises(ConfigError, match=rf"must be sqlite:///FOLDER/NAME.db, not '{uri}'"):
        SQLiteExpManager(uri=uri, default_exp_name="default")


def test_a_missing_provider_is_one_sentence_before_anything_is_made(init, tmp_path):
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


@pytest.fixture
def manager(small, init, database, tmp_path):
    """Makes the manager of a folder of runs, as a process does that starts."""
    init(small[0])

    def of(folder="runs"):
        file = tmp_path / folder / "mlflow.db"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            shutil.copy(database, file)
        return SQLiteExpManager(uri=f"sqlite:///{file}", default_exp_name="default")

    return of


def test_a_database_that_a_kill_left_half_made_is_made_anew(tmp_path, monkeypatch):
    file = tmp_path / "mlflow.db"
    with monkeypatch.context() as patch:
        patch.setattr(store.Path, "replace", lambda *_: os._exit(9))
        killed = os.fork()
        if not killed:
            store.create_database(file)
        assert os.waitstatus_to_exitcode(os.waitpid(killed, 0)[1]) == 9
    assert not file.exists()
    (part,) = tmp_path.iterdir()
    part.write_bytes(part.read_bytes()[:5000])
    part.with_name(f"{part.name}-journal").write_bytes(b"left")
    store.create_database(file)
    assert os.listdir(tmp_path) == ["mlflow.db"]
    assert mlflow.MlflowClient(f"sqlite:///{file}").create_experiment("e")


def test_only_the_tables_are_made_without_waiting_for_the_disk(database):
    assert not event.contains(Engine, "connect", store._wait_for_no_disk)


KILLED = (
    SAVE.split("for number")[0]
    + """
import os, signal, mlflow
R.start_exp(experiment_name="trial")
mlflow.MlflowClient(R.get_uri()).create_run("1", tags={"mlflow.parentRunId": R.get_recorder().id})
os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_runs_that_a_kill_left_running_are_marked_by_the_next_start(manager, small, tmp_path):
    manager()
    command = [sys.executable, "-c", KILLED, small[0], f"sqlite:///{tmp_path}/runs/mlflow.db"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == -9
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db")
    assert [run.info.status for run in client.search_runs(["1"])] == ["RUNNING", "RUNNING"]
    manager()
    assert [run.info.status for run in client.search_runs(["1"])] == ["KILLED", "KILLED"]
    assert list((tmp_path / "runs" / ".running").iterdir()) == []


def test_a_run_at_work_is_left_alone_and_known_as_finished_when_it_ends(manager, tmp_path):
    at_work = manager()
    run = at_work.start_exp(experiment_name="trial").active_recorder.id
    client = manager().client
    child = client.create_run("1", tags={"mlflow.parentRunId": run}).info.run_id
    manager()
    assert [client.get_run(each).info.status for each in (run, child)] == ["RUNNING", "RUNNING"]
    at_work.end_exp("FINISHED")
    manager()
    assert client.get_run(run).info.status == "FINISHED"
    assert list((tmp_path / "runs" / ".running").iterdir()) == []


def test_a_run_that_was_killed_as_it_began_is_marked(manager):
    client = manager().client
    run = client.create_run(client.create_experiment("trial")).info.run_id
    manager()
    assert client.get_run(run).info.status == "KILLED"


def test_checkpoints_stay_until_a_run_that_goes_on_has_finished_or_for_thirty_days(manager, tmp_path):
    recording = manager()

    def run(status: str, **written: bytes) -> dict[str, bytes | None]:
        recording.start_exp(experiment_name="trial")
        read = {key: active_checkpoints().read(key) for key in written}
        for key, content in written.items():
            active_checkpoints().write(key, content)
        recording.end_exp(status)
        return read

    def kept() -> list[str]:
        return sorted(path.name for path in tmp_path.rglob(f"{FOLDER}/*") if path.suffix == "")

    assert run("FAILED", a=b"1", b=b"2") == {"a": None, "b": None}
    assert run("FAILED", a=b"3") == {"a": b"1"}
    assert kept() == ["a", "b"], "one of each training: whoever goes on takes it over"
    assert run("FINISHED", a=b"4") == {"a": b"3"}
    assert kept() == ["b"], "of another training, which may go on yet"
    for path in tmp_path.rglob(f"{FOLDER}/*"):
        os.utime(path, (time.time() - 31 * 86_400,) * 2)
    run("FINISHED", c=b"5")
    assert not list(tmp_path.rglob(FOLDER))


@pytest.mark.parametrize("folder", ["with a space", "a#b", "a&b=c", "因子"])
def test_a_folder_of_any_name(manager, tmp_path, folder):
    save_note(manager(folder))
    (run,) = find_runs(store_of(tmp_path / folder), "trial")
    assert load(run, "note.pkl") == (1, "")
    assert artifacts_of(run).is_relative_to(tmp_path / folder)


@pytest.mark.parametrize("folder", ["a?b", "a%20b"])
def test_a_folder_whose_name_a_database_cannot_have(small, init, tmp_path, folder):
    init(small[0])
    with pytest.raises(ConfigError, match=r"has a '[?%]', which means something else in sqlite:///; rename it"):
        SQLiteExpManager(f"sqlite:///{tmp_path}/{folder}/mlflow.db", "default")
    assert not (tmp_path / folder).exists()


def save_note(manager):
    """A run with a file; -> its id."""
    recorder = manager.start_exp(experiment_name="trial").active_recorder
    recorder.save_objects(**{"note.pkl": 1})
    manager.end_exp("FINISHED")
    return recorder.id


@pytest.mark.parametrize("copied", [False, True])
def test_a_folder_that_was_moved_keeps_its_files_and_takes_the_new_ones(manager, tmp_path, copied):
    run = save_note(manager("old"))
    (shutil.copytree if copied else os.rename)(tmp_path / "old", tmp_path / "new")
    (found,) = find_runs(store_of(tmp_path / "new"), "trial")
    assert artifacts_of(found) == tmp_path / "new" / "artifacts" / "trial" / run / "artifacts"
    assert load(found, "note.pkl") == (1, "")
    before = sorted(tmp_path.glob("old/**/*"))
    again = save_note(manager("new"))
    assert sorted(tmp_path.glob("old/**/*")) == before, "nothing is written into the old place"
    assert {path.parent.parent.name for path in tmp_path.glob("new/**/note.pkl")} == {run, again}
    assert manager("new").client.get_run(run).info.artifact_uri == (found.info.artifact_uri)


def test_a_moved_database_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database")
    with pytest.raises(OutputError, match=r"mlflow\.db was moved, .* cannot be written"):
        follow_move(tmp_path / "mlflow.db")


@pytest.mark.parametrize("name", ["../trial", "/trial", "a/../../trial", "."])
def test_a_name_that_leads_out_of_the_folder_is_refused(manager, tmp_path, name):
    with pytest.raises(DataError, match=r"would put files outside of .*/runs/artifacts"):
        manager().start_exp(experiment_name=name)
    assert not list(tmp_path.glob("**/trial"))


def test_the_name_of_a_deleted_experiment_is_refused_with_the_ways_out(manager, tmp_path):
    save_note(manager())
    manager().delete_exp(experiment_name="trial")
    ways_out = r"'trial' was deleted.*experiments restore --experiment-id 1'.*mlflow gc.*another name"
    with pytest.raises(DataError, match=ways_out):
        manager().start_exp(experiment_name="trial")
    with pytest.raises(DataError, match=ways_out):
        find_runs(store_of(tmp_path / "runs"), "trial")


def test_a_saved_object_of_which_a_bit_flipped_is_named_and_one_saved_again_is_read(manager):
    own = manager()
    experiment = own.start_exp(experiment_name="trial")
    scores = pd.Series(np.arange(300.0))
    experiment.active_recorder.save_objects(**{"pred.pkl": scores})
    own.end_exp(recorder_status="FINISHED")
    (run,) = find_runs(own.uri, "trial")
    assert load(run, "pred.pkl")[0].equals(scores)
    file = artifacts_of(run) / "pred.pkl"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert load(run, "pred.pkl") == (None, "the recorded pred.pkl is damaged: it is not what was written")
    named = own.get_exp(experiment_name="trial")
    for recorder in (
        named.get_recorder(recorder_id=run.info.run_id),
        *named.list_recorders().values(),
        *own.list_experiments()["trial"].list_recorders(rtype="list"),
    ):  # as Qlib's PredUpdater finds the recorder into which it writes new scores
        scores = scores + 1
        recorder.save_objects(**{"pred.pkl": scores})
        assert load(run, "pred.pkl")[0].equals(scores)


def test_one_line_after_a_plain_init_lets_r_record(small, init, tmp_path):
    init(small[0])
    record_in(tmp_path / "runs", "mine")
    with R.start(experiment_name="trial"):
        R.save_objects(**{"note.pkl": 1})
        with pytest.raises(RecorderInitializationError):
            record_in(tmp_path / "elsewhere")
    with R.start():
        R.log_metrics(ic=0.5)
    assert R.get_exp(experiment_name="mine", create=False).list_recorders()
    assert len(list((tmp_path / "runs/artifacts/trial").rglob("note.pkl"))) == 1
    assert C["exp_manager"]["kwargs"]["uri"] == R.get_uri()

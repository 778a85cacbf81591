"""Backends: the same bytes wherever windows are trained, and what happens when a worker dies."""

from __future__ import annotations

import errno
import os
import tempfile

import joblib
import pytest

from qlib_ext.errors import OutputError, TrainingError, WorkerError
from qlib_ext.testing.rows import random_rows
from tests.rolling.cases import dataset_of, rolling
from tests.rolling.test_kill import EIGHT, below, wait_for

SEVENTH = "2020-04-13"


def data():
    return dataset_of(random_rows(days=80))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def expected(bench_in, tmp_path_factory):
    """The bytes of the prediction of windows trained one after the other in this process."""
    bench = bench_in(tmp_path_factory.mktemp("expected"))
    return bench.file(bench.run(rolling(bench.ridge(), **EIGHT), data()), "pred.pkl").read_bytes()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, of this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def workers() -> set[int]:
    """The processes below this one that are no trackers of resources, which stay."""
    commands = {pid: open(f"/proc/{pid}/cmdline").read() for pid in below(os.getpid())}  # noqa: SIM115
    return {pid for pid, command in commands.items() if "loky" in command and "resource_tracker" not in command}


def test_a_loky_worker_that_dies_is_explained_and_finished_windows_are_kept(bench, expected, temporary):
    dying = {**EIGHT, "n_jobs": 2, "backend": "loky"}
    with pytest.raises(WorkerError, match=r"process at work on a window died.*Lower n_jobs and run again"):
        bench.run(rolling(bench.ridge(die_from=SEVENTH), **dying), data())
    assert not workers()
    assert not list(temporary.iterdir())
    kept = [child.info.run_name for child in bench.children() if child.info.status == "FINISHED"]
    assert len(kept) >= 4
    bench.trained()
    run = bench.run(rolling(bench.ridge(die_from=SEVENTH), **dying), data())
    assert not {f"{name} 0" for name in kept} & set(bench.trained())
    assert bench.file(run, "pred.pkl").read_bytes() == expected
    assert not list(temporary.iterdir())


def test_a_failed_window_ends_the_workers(bench, temporary):
    model = rolling(bench.ridge(fail_from="2020-03-10", seconds=60.0), **EIGHT, n_jobs=2, backend="loky")
    with pytest.raises(TrainingError, match="Window 2020-03-10: KeyError: 'no such luck'"):
        bench.run(model, data())
    wait_for(lambda: not workers(), "a worker goes on training")
    assert not list(temporary.iterdir())


def test_a_disk_that_cannot_hold_the_rows_is_explained(bench, temporary, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(joblib, "dump", full)
    with pytest.raises(OutputError, match=r"cannot be written to .*No space left.*TMPDIR"):
        bench.run(rolling(bench.ridge(), backend="loky"), data())
    assert not list(temporary.iterdir())


def test_ray_gives_the_same_bytes_though_a_worker_dies(bench, expected, cluster):
    model = rolling(bench.ridge(die_from=SEVENTH), **EIGHT, n_jobs=2, backend="ray")
    run = bench.run(model, data())
    assert (bench.folder / "died").exists(), "a worker must die"
    assert len(bench.trained()) == 8
    assert bench.file(run, "pred.pkl").read_bytes() == expected


@pytest.mark.slow
def test_a_window_whose_workers_die_again_and_again_is_explained_on_ray(bench, cluster):
    model = rolling(bench.ridge(die_from=SEVENTH, log=None), **EIGHT, backend="ray")
    with pytest.raises(WorkerError, match=r"died.*finished windows are kept"):
        bench.run(model, data())
    assert [child.info.status for child in bench.children()] == ["FINISHED"] * 6


def test_an_inner_model_that_fails_on_ray_names_its_window(bench, cluster):
    model = rolling(bench.ridge(fail_from="2020-03-10"), **EIGHT, n_jobs=1, backend="ray")
    with pytest.raises(TrainingError, match="Window 2020-03-10: KeyError: 'no such luck'"):
        bench.run(model, data())


def test_ray_that_is_not_installed_is_asked_for(bench, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(WorkerError, match=r'pip install "qlib_ext\[ray\]"'):
        bench.run(rolling(bench.ridge(), backend="ray"), data())

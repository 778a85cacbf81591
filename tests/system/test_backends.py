"""The seam for jobs, whatever they are: results, threads, and what is said where a worker dies or data do not fit."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import joblib
import numpy as np
import pytest

from qlib_ext.errors import ConfigError, OutputError, WorkerError
from qlib_ext.system.backends import backend_of, loky, run_jobs, serial, worker_died


@dataclass(frozen=True)
class Sum:
    noun: ClassVar[str] = "sum"

    add: float


def work(data: np.ndarray, job: Sum) -> tuple[float, str | None, bool]:
    if np.isnan(job.add):
        os._exit(1)
    return float(data.sum() + job.add), os.environ.get("POLARS_MAX_THREADS"), data.flags.writeable


def test_loky_hands_the_data_over_and_shares_the_cores(monkeypatch):
    monkeypatch.delenv("POLARS_MAX_THREADS", raising=False)
    found = list(run_jobs(loky, work, np.arange(4.0), [Sum(add) for add in (1.0, 2.0, 3.0)], 2))
    assert sorted(total for total, _, _ in found) == [7.0, 8.0, 9.0]
    assert {threads for _, threads, _ in found} == {str(max(1, joblib.cpu_count() // 2))}
    assert not any(writeable for _, _, writeable in found), "the data is mapped, not copied"


def process(data: np.ndarray, job: Sum) -> int:
    time.sleep(0.05)  # so that both have one
    return os.getpid()


def test_loky_keeps_its_processes_until_it_is_left():
    jobs = [Sum(float(add)) for add in range(4)]
    with loky(np.arange(4.0), 2, 0.0) as run:
        first, second = ({*run(process, jobs)} for _ in range(2))
        assert first | second == first
        assert [total for total, *_ in run(work, [Sum(1.0)])] == [7.0]
    assert all(not Path(f"/proc/{own}").exists() for own in first)


def test_serial_works_in_this_process():
    data = np.arange(4.0)
    found = list(
        run_jobs(serial, lambda given, job: (given is data, os.getpid(), job.add), data, [Sum(1.0), Sum(2.0)], 2)
    )
    assert found == [(True, os.getpid(), 1.0), (True, os.getpid(), 2.0)]


def test_threads_that_the_user_has_chosen_stay(monkeypatch):
    monkeypatch.setenv("POLARS_MAX_THREADS", "5")
    assert next(iter(run_jobs(loky, work, np.zeros(1), [Sum(0.0)], 1)))[1] == "5"


def test_a_worker_that_dies_is_told_by_what_it_worked_on():
    with pytest.raises(WorkerError, match=r"at work on a sum died.*Lower n_jobs.*finished sums are kept"):
        list(run_jobs(loky, work, np.zeros(1), [Sum(float("nan"))], 1))
    assert "a sum died" in worker_died([Sum(0.0)])


def test_data_that_the_disk_does_not_hold(monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(joblib, "dump", full)
    with pytest.raises(OutputError, match=r"data that all sums share cannot be written .*TMPDIR"):
        list(run_jobs(loky, work, np.zeros(1), [Sum(0.0)], 1))


def test_unknown_backends():
    with pytest.raises(ConfigError, match="backend is one of serial, loky, ray, not 'dask'"):
        backend_of("dask")


def test_a_daemonic_process_is_told_of_the_serial_backend(monkeypatch):
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    with pytest.raises(WorkerError, match=r"daemonic process.*backend: serial"):
        list(run_jobs(backend_of("loky"), print, None, [object()], 1))

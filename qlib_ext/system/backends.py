"""Where the jobs run: one function a backend, all of the same form.

A backend is entered with data, and gives a function ``run`` until it is left. ``run(work, jobs)`` calls
``work(data, job)`` for every job, at most ``n_jobs`` at a time, with ``gpus`` GPUs of its machine per job, and yields
the results as they come. The data is handed over once, however many jobs and runs there are.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, ClassVar, Protocol

import joblib
from tqdm import tqdm

from qlib_ext.errors import ConfigError, OutputError, WorkerError
from qlib_ext.system.scratch import scratch_folder
from qlib_ext.system.vendored_loky import ProcessPoolExecutor


class Job(Protocol):
    """What is handed to a worker; ``noun`` is what the messages call it: window, day."""

    noun: ClassVar[str]


Work = Callable[[Any, Any], Any]  # (data, job) -> result
Run = Callable[[Work, Sequence[Job]], Iterator[Any]]
Backend = Callable[[Any, int, float], AbstractContextManager[Run]]  # (data, n_jobs, gpus)

PARENT_CHECK_SECONDS = 1.0
THREADS = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")
_of_this_process: dict[str, Any] = {}


@contextmanager
def serial(data: Any, n_jobs: int, gpus: float) -> Iterator[Run]:
    """This process, one job after the other: for a process that may not start others, and to look for errors."""

    def run(work: Work, jobs: Sequence[Job]) -> Iterator[Any]:
        for job in jobs:
            yield work(data, job)

    yield run


@contextmanager
def loky(data: Any, n_jobs: int, gpus: float) -> Iterator[Run]:
    """Processes of this machine, which share its GPUs; one file holds the data, and all map it into their memory.

    They start with the first jobs, and end when the backend is left.
    """
    if multiprocessing.current_process().daemon:
        raise WorkerError(
            "A daemonic process, such as a worker of multiprocessing.Pool, may not start others: give backend: serial."
        )
    pools: list[ProcessPoolExecutor] = []
    with ExitStack() as stack:

        def run(work: Work, jobs: Sequence[Job]) -> Iterator[Any]:
            if not pools:
                pools.append(stack.enter_context(_pool(data, n_jobs, jobs[0].noun)))
            try:
                for future in as_completed([pools[0].submit(_work, work, job) for job in jobs]):
                    yield future.result()
            except BrokenProcessPool as error:
                raise WorkerError(worker_died(jobs)) from error

        yield run


@contextmanager
def _pool(data: Any, workers: int, noun: str) -> Iterator[ProcessPoolExecutor]:
    threads = {name: str(max(1, joblib.cpu_count() // workers)) for name in THREADS if name not in os.environ}
    with scratch_folder() as folder:
        file = str(folder / "data")
        try:
            joblib.dump(data, file)
        except OSError as error:
            raise OutputError(
                f"The data that all {noun}s share cannot be written to {folder} ({error}). Make room there, or "
                "let TMPDIR name another folder."
            ) from error
        pool = ProcessPoolExecutor(workers, initializer=_open, initargs=(file, os.getpid()), env=threads)
        try:
            yield pool
        finally:
            pool.shutdown(kill_workers=True)


def _open(file: str, parent: int) -> None:
    """Map the data, and end with the parent, which may be killed without a chance to say so."""
    tqdm.set_lock(threading.RLock())  # its own is a semaphore of the system, which a killed worker leaves behind
    _of_this_process["data"] = joblib.load(file, mmap_mode="r")

    def end_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _work(work: Work, job: Job) -> Any:
    return work(_of_this_process["data"], job)


@contextmanager
def ray(data: Any, n_jobs: int, gpus: float) -> Iterator[Run]:
    """Workers of a Ray cluster: that of $RAY_ADDRESS, else one started on this machine.

    The data lies in Ray's object store, once a machine. A job whose worker dies is given to another one.
    """
    try:
        import ray as cluster
    except ImportError as error:
        raise WorkerError('backend: ray needs Ray: pip install "qlib_ext[ray]"') from error
    if not cluster.is_initialized():
        cluster.init(logging_level=logging.WARNING)
    shared = cluster.put(data)

    def run(work: Work, jobs: Sequence[Job]) -> Iterator[Any]:
        remote = cluster.remote(num_gpus=gpus, max_retries=3)(work)
        waiting = list(reversed(jobs))
        running: list[Any] = []
        try:
            while waiting or running:
                while waiting and len(running) < n_jobs:
                    running.append(remote.remote(shared, waiting.pop()))
                finished, running = cluster.wait(running)
                yield from cluster.get(finished)
        except (cluster.exceptions.WorkerCrashedError, cluster.exceptions.OutOfMemoryError) as error:
            raise WorkerError(worker_died(jobs)) from error
        finally:
            for left in running:
                cluster.cancel(left, force=True)

    yield run


def worker_died(jobs: Sequence[Job]) -> str:
    """What to say where a worker is gone without a word."""
    noun = jobs[0].noun
    return (
        f"A process at work on a {noun} died, most often for want of memory. Lower n_jobs and run again: finished "
        f"{noun}s are kept."
    )


BACKENDS: dict[str, Backend] = {"serial": serial, "loky": loky, "ray": ray}


def backend_of(name: str) -> Backend:
    """The backend of that name; raises ConfigError that names those there are."""
    if name not in BACKENDS:
        raise ConfigError(f"backend is one of {', '.join(BACKENDS)}, not {name!r}.")
    return BACKENDS[name]


def run_jobs(
    backend: Backend, work: Work, data: Any, jobs: Sequence[Job], n_jobs: int, gpus: float = 0.0
) -> Iterator[Any]:
    """The results of jobs, as they come, of a backend that is left after them."""
    with backend(data, min(n_jobs, len(jobs)), gpus) as run:
        yield from run(work, jobs)

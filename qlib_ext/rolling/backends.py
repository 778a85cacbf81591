"""Where the jobs run: one function a backend, all of the same form.

A backend calls ``train(data, job)`` for every job, at most ``n_jobs`` at a time, with ``gpus`` GPUs of its machine per
job, and yields the results as they come. It hands ``data`` over once, not once a job.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import joblib
from joblib.externals.loky import ProcessPoolExecutor
from tqdm import tqdm

from qlib_ext.errors import OutputError, TrainingError
from qlib_ext.rolling.jobs import Job, Outcome
from qlib_ext.rolling.rows import RawData
from qlib_ext.rolling.scratch import scratch_folder

Train = Callable[[RawData, Job], Outcome]
Backend = Callable[[Train, RawData, Sequence[Job], int, float], Iterator[Outcome]]

PARENT_CHECK_SECONDS = 1.0
DIED = (
    "A process that trained a window died, most often for want of memory. Lower n_jobs and run again: finished windows "
    "are kept."
)
_of_this_process: dict[str, Any] = {}


def loky(train: Train, data: RawData, jobs: Sequence[Job], n_jobs: int, gpus: float) -> Iterator[Outcome]:
    """Processes of this machine, which share its GPUs; one file holds the data, and all map it into their memory."""
    workers = min(n_jobs, len(jobs))
    threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, joblib.cpu_count() // workers))}
    with scratch_folder() as folder:
        file = str(folder / "rows")
        try:
            joblib.dump(data, file)
        except OSError as error:
            raise OutputError(
                f"The rows that all windows share cannot be written to {folder} ({error}). Make room there, or let "
                "TMPDIR name another folder."
            ) from error
        pool = ProcessPoolExecutor(workers, initializer=_open, initargs=(file, os.getpid()), env=threads)
        try:
            for future in as_completed([pool.submit(_train, train, job) for job in jobs]):
                yield future.result()
        except BrokenProcessPool as error:
            raise TrainingError(DIED) from error
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


def _train(train: Train, job: Job) -> Outcome:
    return train(_of_this_process["data"], job)


def ray(train: Train, data: RawData, jobs: Sequence[Job], n_jobs: int, gpus: float) -> Iterator[Outcome]:
    """Workers of a Ray cluster: that of $RAY_ADDRESS, else one started on this machine.

    The data lies in Ray's object store, once a machine. A job whose worker dies is given to another one.
    """
    try:
        import ray as cluster
    except ImportError as error:
        raise TrainingError('backend: ray needs Ray: pip install "qlib_ext[ray]"') from error
    if not cluster.is_initialized():
        cluster.init(logging_level=logging.WARNING)
    shared = cluster.put(data)
    remote = cluster.remote(num_gpus=gpus, max_retries=3)(train)
    waiting = list(reversed(jobs))
    running: list[Any] = []
    try:
        while waiting or running:
            while waiting and len(running) < n_jobs:
                running.append(remote.remote(shared, waiting.pop()))
            finished, running = cluster.wait(running)
            yield from cluster.get(finished)
    except (cluster.exceptions.WorkerCrashedError, cluster.exceptions.OutOfMemoryError) as error:
        raise TrainingError(DIED) from error
    finally:
        for left in running:
            cluster.cancel(left, force=True)


BACKENDS: dict[str, Backend] = {"loky": loky, "ray": ray}


def backend_of(name: str) -> Backend:
    """The backend of that name; raises ValueError that names those there are."""
    if name not in BACKENDS:
        raise ValueError(f"backend is one of {', '.join(BACKENDS)}, not {name!r}.")
    return BACKENDS[name]

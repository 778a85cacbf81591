"""Which runs are at work: each holds a lock that ends with its process, so that a killed one is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mlflow import MlflowClient, MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from qlib_ext.errors import WorkerError
from qlib_ext.recorder.runs import search_experiments, search_runs
from qlib_ext.system.locks import locked

FOLDER = ".running"


class RunningRun:
    """The lock of a run at work, on a file named after it beside the database; it goes when the run ends."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self.file = folder / FOLDER / run_id
        self.lock = ExitStack()
        self.lock.enter_context(locked(self.file))

    def end(self) -> None:
        """Give the lock back and remove its file."""
        self.file.unlink(missing_ok=True)
        self.lock.close()


@contextmanager
def at_work_on(folder: Path, run_id: str) -> Iterator[None]:
    """Hold the lock of a finished run while files of it are changed; raises WorkerError where another process does."""
    file = folder / FOLDER / run_id
    busy = WorkerError(f"Another process works on the run {run_id} (it holds {file}). Wait for it.")
    with locked(file, busy):
        yield
        file.unlink(missing_ok=True)


def mark_killed(client: MlflowClient, folder: Path) -> list[str]:
    """Give the status KILLED to the runs that a killed process left as RUNNING, and to their children; their ids.

    Nobody may begin a run meanwhile: one without a file is taken for one whose process was killed as it began.
    """
    killed = []
    for experiment in search_experiments(client):
        for run in search_runs(client, experiment.experiment_id, "attributes.status = 'RUNNING'"):
            if MLFLOW_PARENT_RUN_ID not in run.data.tags and not (folder / FOLDER / run.info.run_id).exists():
                killed += _mark(client, run.info.run_id)
    for file in sorted((folder / FOLDER).glob("*")):
        at_work = WorkerError(f"The run {file.name} is at work.")
        try:
            with locked(file, at_work):
                killed += _mark(client, file.name)
                file.unlink(missing_ok=True)
        except WorkerError as error:
            if error is not at_work:
                raise
    return killed


def _mark(client: MlflowClient, run_id: str) -> list[str]:
    try:
        run = client.get_run(run_id)
    except MlflowException:  # deleted, and removed by mlflow's gc
        return []
    unfinished = f"attributes.status = 'RUNNING' and tags.`mlflow.parentRunId` = '{run_id}'"
    left = [*search_runs(client, run.info.experiment_id, unfinished)]
    left += [run] if run.info.status == "RUNNING" else []
    for each in left:
        client.set_terminated(each.info.run_id, "KILLED")
    return [each.info.run_id for each in left]

"""The windows of a rolling model in the recorder: a child run for each window and seed."""

from __future__ import annotations

import pickle
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from qlib.log import get_module_logger
from qlib.utils import flatten_dict

from qlib_ext.errors import OutputError, TrainingError
from qlib_ext.recorder.checkpoints import Checkpoints
from qlib_ext.recorder.runs import search_runs
from qlib_ext.recorder.windows import DATASET, MODEL, PREDICTION, SEED, WEAK_FACTORS
from qlib_ext.rolling.jobs import Job, Outcome
from qlib_ext.system.files import files_with_checksum, is_as_written, write_checked
from qlib_ext.system.locks import locked
from qlib_ext.system.scratch import scratch_folder

logger = get_module_logger("qlib_ext.rolling")

KEY = "rolling.key"
ENTRIES_PER_CALL = 100  # parameters that mlflow takes in one call; of figures it would take more
NOT_IN_A_NAME = re.compile(r"[^\w ./:-]")  # what mlflow takes in no name


class WindowStore:
    """Child runs of a run, in its experiment; ``store``: its tracking URI, by default that of the process.

    A child is FINISHED only after all that belongs to it is written, so a half-written one is never taken for
    a finished one.
    """

    def __init__(self, run: Run, store: str | None = None) -> None:
        self.run, self.uri = run, store
        self.client = MlflowClient(tracking_uri=store)
        self.parent, self.experiment = run.info.run_id, run.info.experiment_id

    @classmethod
    def active(cls) -> WindowStore | None:
        """The store of the active run; None where no recorder is active."""
        run = mlflow.active_run()
        return None if run is None else cls(run)

    def locked(self) -> AbstractContextManager[None]:
        """Keep other runs from training windows of the same experiment; raises TrainingError where one does."""
        location = self.client.get_experiment(self.experiment).artifact_location
        local = location.startswith(("file:", "/"))
        folder = Path(local_file_uri_to_path(location)) if local else Path(tempfile.gettempdir())
        file = folder / f"rolling_{self.experiment}.lock"
        return locked(
            file,
            TrainingError(
                f"Another run is training windows of this experiment (it holds {file}). Wait for it, or give this run "
                "an experiment_name of its own."
            ),
        )

    def checkpoints(self) -> Checkpoints:
        """Where the parent keeps those of its windows; raises ConfigError where it has no folder."""
        return Checkpoints.of(self.run, self.uri)

    def finished(self) -> dict[str, str]:
        """The run ids of the finished windows of all runs of the experiment, by key."""
        condition = "attributes.status = 'FINISHED' and tags.`rolling.key` != ''"
        return {run.data.tags[KEY]: run.info.run_id for run in search_runs(self.client, self.experiment, condition)}

    def prediction(self, run_id: str) -> pd.Series | None:
        """The scores of a finished window; None where one of its files is gone or damaged."""
        with scratch_folder() as folder:
            try:
                for artifact in self.client.list_artifacts(run_id):
                    self.client.download_artifacts(run_id, artifact.path, str(folder))
            except (OSError, mlflow.MlflowException) as error:
                logger.warning(f"A finished window is trained again: a file of run {run_id} is lost ({error}).")
                return None
            scores = folder / PREDICTION
            for file in sorted({scores, *files_with_checksum(folder)}):
                if not is_as_written(file):
                    logger.warning(
                        f"A finished window is trained again: {file.name} of run {run_id} is lost or damaged."
                    )
                    return None
            return pd.read_pickle(scores)

    def save(self, job: Job, outcome: Outcome, metrics: dict[str, float]) -> str:
        """Write a child run and return its id; raises OutputError where it cannot be written."""
        tags = {MLFLOW_PARENT_RUN_ID: self.parent, MLFLOW_RUN_NAME: str(job), KEY: job.key}
        with saving(f"Window {job} is trained but"):
            run_id = self.client.create_run(self.experiment, tags=tags).info.run_id
            self._log(run_id, job, outcome, metrics)
            with scratch_folder() as folder:
                write_artifacts(folder, outcome)
                self.client.log_artifacts(run_id, str(folder))
            self.client.set_terminated(run_id, "FINISHED")
        return run_id

    def _log(self, run_id: str, job: Job, outcome: Outcome, metrics: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        params = {**job.window.dates(), SEED: job.seed, **flatten_dict(job.configuration())}
        texts = [Param(NOT_IN_A_NAME.sub("_", name), str(value)) for name, value in params.items()]
        curves = {**{name: [float(value)] for name, value in metrics.items()}, **outcome.curves}
        figures = [
            Metric(NOT_IN_A_NAME.sub("_", name), value, now, step)
            for name, curve in curves.items()
            for step, value in enumerate(curve)
        ]
        for first in range(0, max(len(texts), len(figures)), ENTRIES_PER_CALL):
            part = slice(first, first + ENTRIES_PER_CALL)
            self.client.log_batch(run_id, metrics=figures[part], params=texts[part])

    def attach(self, name: str, table: pd.DataFrame) -> None:
        """Write a table into the parent run."""
        with saving(f"All windows are trained and saved but {name}"):
            self.client.log_text(self.parent, table.to_csv(index=False), name)


@contextmanager
def saving(what: str) -> Iterator[None]:
    """Raise OutputError for what cannot be written: a full disk, a locked database."""
    try:
        yield
    except (OSError, mlflow.MlflowException) as error:
        raise OutputError(
            f"{what} could not be saved ({error}). Make room and run again: the windows saved before are kept."
        ) from error


def write_artifacts(folder: Path, outcome: Outcome) -> None:
    """The files of one child run, each with its checksum beside it."""
    files = {PREDICTION: pickle.dumps(outcome.prediction), MODEL: outcome.model, DATASET: outcome.dataset}
    if outcome.weak_factors is not None:
        files[WEAK_FACTORS] = pickle.dumps(outcome.weak_factors)
    for name, content in files.items():
        write_checked(folder / name, content, "Make room in the folder of temporary files.")

"""Finding the finished runs of an experiment in Qlib's recorder, and reading what they saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from qlib_ext.errors import DataError


def store_of(runs: str | Path) -> str:
    """The tracking URI of a folder of runs that SQLiteExpManager wrote; raises DataError where there is none."""
    database = Path(runs).expanduser().resolve() / "mlflow.db"
    if not database.is_file():
        raise DataError(f"{database} does not exist; run a workflow first, or name its folder with --runs.")
    return f"sqlite:///{database}"


def find_runs(store: str, experiment: str, last: int = 1) -> list[MlflowRun]:
    """The same runs as mlflow has them; raises DataError where the experiment has no finished run."""
    client = MlflowClient(tracking_uri=store)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        there = sorted(e.name for e in client.search_experiments() if e.name != "Default")
        raise DataError(f"There is no experiment {experiment!r} in {store}; it has {', '.join(there) or 'none'}.")
    finished = client.search_runs(
        [found.experiment_id], "attributes.status = 'FINISHED'", order_by=["attributes.start_time DESC"]
    )
    runs = [run for run in finished if MLFLOW_PARENT_RUN_ID not in run.data.tags]  # children are parts of a run
    if not runs:
        raise DataError(f"Experiment {experiment!r} has no finished run; see its log for what stopped it.")
    return runs[:last]


def load(run: MlflowRun, path: str) -> tuple[Any, str]:
    """An object that Qlib saved, or None and the reason."""
    try:
        return pd.read_pickle(artifacts_of(run) / path), ""
    except Exception as error:  # the unpickler imports the user's own classes, which may raise whatever they like
        return None, f"the recorded {path} cannot be read ({type(error).__name__}: {error})"


def artifacts_of(run: MlflowRun) -> Path:
    """The folder of a run's files."""
    return Path(local_file_uri_to_path(run.info.artifact_uri))

"""Finding the finished runs of an experiment in Qlib's recorder, and reading what they saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient, MlflowException
from mlflow.entities import Experiment, LifecycleStage, Run
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from qlib_ext.errors import DataError
from qlib_ext.recorder.location import SQLITE, as_it_lies_now
from qlib_ext.system.files import checksum_of, is_as_written

SHORT = 8  # characters of a run's id, of 32
_READS_PICKLES = ContextVar("reads_pickles", default=True)


def store_of(runs: str | Path) -> str:
    """The tracking URI of a folder of runs that SQLiteExpManager wrote; raises DataError where there is none."""
    database = Path(runs).expanduser().resolve() / "mlflow.db"
    if not database.is_file():
        raise DataError(f"{database} does not exist; run a workflow first, or name its folder with --runs.")
    return f"{SQLITE}{database}"


def find_runs(store: str, experiment: str, last: int = 1) -> list[Run]:
    """The last finished runs of an experiment, newest first, without those that are parts of another run.

    ``NAME@RUN`` is the one run of the experiment NAME whose id begins with RUN. Raises DataError where there is no such
    experiment, where it was deleted, where it has no finished run, or none or several whose id begins so.
    """
    client = MlflowClient(tracking_uri=store)
    name, at, beginning = experiment.rpartition("@")
    if not at or client.get_experiment_by_name(experiment) is not None:
        name, beginning = experiment, ""
    found = _experiment(client, store, name)
    finished = search_runs(client, found.experiment_id, "attributes.status = 'FINISHED'")
    whole = (run for run in finished if MLFLOW_PARENT_RUN_ID not in run.data.tags)
    if beginning:
        runs = [run for run in whole if run.info.run_id.startswith(beginning)]
        if len(runs) != 1:
            raise DataError(
                f"{len(runs)} finished runs of {name!r} have an id that begins with {beginning!r}, not one; `qlib-ext "
                f"compare {name} --each --last 20` lists them."
            )
    else:
        runs = list(islice(whole, last))
    if not runs:
        raise DataError(f"Experiment {experiment!r} has no finished run; see its log for what stopped it.")
    return [as_it_lies_now(run, found, store) for run in runs]


def each_run(store: str, experiments: Sequence[str], last: int) -> list[str]:
    """The last runs of each experiment by names of their own, ``NAME@RUN``, newest first; raises as ``find_runs``."""
    return [
        name if "@" in name else f"{name}@{run.info.run_id[:SHORT]}"
        for name in experiments
        for run in find_runs(store, name, last)
    ]


def _experiment(client: MlflowClient, store: str, name: str) -> Experiment:
    found = client.get_experiment_by_name(name)
    if found is None:
        others = experiment_names(store)
        near = get_close_matches(name, others, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(f"There is no experiment {name!r} in {store}; it has {', '.join(others) or 'none'}.{hint}")
    if found.lifecycle_stage == LifecycleStage.DELETED:
        raise DataError(deleted(found, store))
    return found


def deleted(experiment: Experiment, store: str) -> str:
    """What to tell who names an experiment that was deleted in mlflow."""
    number = experiment.experiment_id
    return (
        f"The experiment {experiment.name!r} was deleted. Bring it back with 'MLFLOW_TRACKING_URI={store} mlflow "
        f"experiments restore --experiment-id {number}', or remove what is left of it with 'mlflow gc "
        f"--backend-store-uri {store} --experiment-ids {number}', or take another name."
    )


def find_run(store: str, run_id: str) -> Run | None:
    """A run by its id; None where it was removed, as mlflow's gc removes deleted runs."""
    client = MlflowClient(tracking_uri=store)
    try:
        run = client.get_run(run_id)
    except MlflowException:
        return None
    return as_it_lies_now(run, client.get_experiment(run.info.experiment_id), store)


def search_runs(client: MlflowClient, experiment_id: str, condition: str = "") -> Iterator[Run]:
    """All runs of an experiment that fulfil a condition of mlflow's, newest first; they are read a page at a time."""
    token = None
    while token != "":
        page = client.search_runs([experiment_id], condition, order_by=["attributes.start_time DESC"], page_token=token)
        yield from page
        token = page.token or ""


def search_experiments(client: MlflowClient) -> Iterator[Experiment]:
    """All experiments that are not deleted; they are read a page at a time."""
    token = None
    while token != "":
        page = client.search_experiments(page_token=token)
        yield from page
        token = page.token or ""


def experiment_names(store: str) -> list[str]:
    """The names of all experiments that are not deleted, without that which mlflow makes by itself."""
    client = MlflowClient(tracking_uri=store)
    return sorted(each.name for each in search_experiments(client) if each.name != "Default")


@contextmanager
def without_pickles() -> Iterator[None]:
    """Within it ``load`` reads nothing: what a run left is its figures, its parameters and its tables."""
    token = _READS_PICKLES.set(False)
    try:
        yield
    finally:
        _READS_PICKLES.reset(token)


def load(run: Run, path: str) -> tuple[Any, str]:
    """An object that Qlib saved, or None and the reason.

    It is a pickle, and reading one executes what its author put into it: read runs of people that you trust, or others
    within ``without_pickles``.
    """
    if not _READS_PICKLES.get():
        return None, f"the recorded {path} is a pickle, and none is read"
    file = artifacts_of(run) / path
    if checksum_of(file).is_file() and not is_as_written(file):
        return None, f"the recorded {path} is damaged: it is not what was written"
    try:
        return pd.read_pickle(file), ""
    except Exception as error:  # the unpickler imports the user's own classes, which may raise whatever they like
        return None, f"the recorded {path} cannot be read ({type(error).__name__}: {error})"


def artifacts_of(run: Run) -> Path:
    """The folder of a run's files."""
    return Path(local_file_uri_to_path(run.info.artifact_uri))

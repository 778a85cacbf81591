"""What a run left in the recorder for its report."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from qlib_ext.recorder.runs import artifacts_of, load
from qlib_ext.recorder.windows import windows_of

FOLDER = "factor_analysis"
SCALARS = (str, bool, int, float, datetime.date, type(None))
CURVE = re.compile(r"(?:(?P<net>.+)\.)?(?P<segment>train|valid)[._](?P<measure>.+)")  # GRU.valid_rank_ic, train.l2
TREE = re.compile(r"(?P<measure>.+)\.(?P<segment>train|valid)(?P<net>)")  # l2.valid, as LGBModel logs it


@dataclass(frozen=True)
class Evidence:
    """One run of an experiment.

    frames    what FactorRecord saved, by file name without ``.pkl``; empty where it was no part of the run
    curves    training curves, one line an epoch: part (the window and seed of a rolling model, the net), measure,
              segment (train, valid or ""), epoch, value
    windows   the table of a rolling model's windows
    config    the task of the workflow, as YAML; empty where it is not recorded
    problems  why something that is there cannot be read
    """

    name: str
    run: MlflowRun
    frames: Mapping[str, Any]
    curves: pd.DataFrame
    windows: pd.DataFrame | None
    config: str
    problems: list[str]


def gather(client: MlflowClient, name: str, run: MlflowRun, frames: Mapping[str, Any] | None = None) -> Evidence:
    """Read what a run left; ``frames`` are given by a FactorRecord that has them at hand."""
    problems: list[str] = []
    if frames is None:
        frames, problems = _frames(run)
    windows = windows_of(run)
    parts = {"": run} if windows is None else _children(client, windows)
    task, _ = load(run, "task")
    config = "" if task is None else yaml.safe_dump(_plain(task), allow_unicode=True, sort_keys=False, width=110)
    return Evidence(name, run, frames, _curves(client, parts), windows, config, problems)


def _frames(run: MlflowRun) -> tuple[dict[str, Any], list[str]]:
    found, problems = {}, []
    for path in sorted((artifacts_of(run) / FOLDER).glob("*.pkl")):
        thing, problem = load(run, f"{FOLDER}/{path.name}")
        if problem:
            problems.append(problem)
        else:
            found[path.stem] = thing
    return found, problems


def _children(client: MlflowClient, windows: pd.DataFrame) -> dict[str, MlflowRun]:
    """The runs of the windows, those that an earlier run had finished among them."""
    runs = [client.get_run(run_id) for run_id in windows["run"].dropna()]
    return {run.data.tags[MLFLOW_RUN_NAME]: run for run in runs}


def _curves(client: MlflowClient, parts: Mapping[str, MlflowRun]) -> pd.DataFrame:
    rows = []
    for part, run in parts.items():
        for name in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, name)
            if len({point.step for point in history}) > 1:
                found = CURVE.fullmatch(name) or TREE.fullmatch(name)
                net, segment, measure = found.group("net", "segment", "measure") if found else ("", "", name)
                said = " ".join(filter(None, (part, net)))
                rows += [(said, measure, segment, point.step, point.value) for point in history]
    return pd.DataFrame(rows, columns=["part", "measure", "segment", "epoch", "value"])


def _plain(thing: Any) -> Any:
    """A task for YAML; an object that a script put into it, a handler with its rows perhaps, by its class alone."""
    if isinstance(thing, Mapping):
        return {str(key): _plain(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [_plain(value) for value in thing]
    return thing if isinstance(thing, SCALARS) else f"<{type(thing).__name__}>"

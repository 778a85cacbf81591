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
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from qlib_ext.errors import DataError
from qlib_ext.recorder.runs import artifacts_of, find_run, load
from qlib_ext.recorder.windows import RUN, windows_of

FOLDERS = {"frames": "factor_analysis", "enhancement": "enhancement"}
SCALARS = (str, bool, int, float, datetime.date, type(None))
CURVE = re.compile(r"(?:(?P<net>.+)\.)?(?P<segment>train|valid)[._](?P<measure>.+)")  # GRU.valid_rank_ic, train.l2
TREE = re.compile(r"(?P<measure>.+)\.(?P<segment>train|valid)(?P<net>)")  # l2.valid, as LGBModel logs it


@dataclass(frozen=True)
class RecordedRun:
    """One run of an experiment, as far as a report shows it.

    experiment  its name
    run         the run as mlflow has it
    frames      what FactorRecord saved, by file name without ``.pkl``; empty where it was no part of the run
    enhancement what EnhancementRecord saved, likewise
    curves      training curves, one line an epoch: part (the window and seed of a rolling model, the net), measure,
                segment (train, valid or ""), epoch, value
    windows     the table of a rolling model's windows
    config      the task of the workflow, as YAML; empty where it is not recorded
    problems    why something that is there cannot be read
    """

    experiment: str
    run: Run
    frames: Mapping[str, Any]
    enhancement: Mapping[str, Any]
    curves: pd.DataFrame
    windows: pd.DataFrame | None
    config: str
    problems: list[str]


def read_recorded_run(
    client: MlflowClient, experiment: str, run: Run, at_hand: Mapping[str, Mapping[str, Any]] | None = None
) -> RecordedRun:
    """Read what a run left; ``at_hand`` are the frames that a record is about to save, by the name of their field."""
    problems: list[str] = []
    saved = {}
    for name, folder in FOLDERS.items():
        if at_hand and name in at_hand:
            saved[name] = at_hand[name]
        else:
            saved[name], unreadable = _frames(run, folder)
            problems += unreadable
    windows = None
    parts = {"": run}
    try:
        windows = windows_of(run)
    except DataError as error:
        problems.append(str(error))
    if windows is not None:
        parts, removed = _children(client.tracking_uri, windows)
        problems += removed
    task, _ = load(run, "task")
    config = "" if task is None else yaml.safe_dump(_plain(task), allow_unicode=True, sort_keys=False, width=110)
    return RecordedRun(
        experiment, run, curves=_curves(client, parts), windows=windows, config=config, problems=problems, **saved
    )


def _frames(run: Run, folder: str) -> tuple[dict[str, Any], list[str]]:
    found, problems = {}, []
    for path in sorted((artifacts_of(run) / folder).glob("*.pkl")):
        frame, problem = load(run, f"{folder}/{path.name}")
        if problem:
            problems.append(problem)
        else:
            found[path.stem] = frame
    return found, problems


def _children(store: str, windows: pd.DataFrame) -> tuple[dict[str, Run], list[str]]:
    """The runs of the windows by name, those that an earlier run had finished among them; what was removed."""
    found = {run_id: find_run(store, run_id) for run_id in windows[RUN].dropna()}
    removed = [run_id for run_id, run in found.items() if run is None]
    problems = []
    if removed:
        problems.append(
            f"The runs of {len(removed)} of {len(windows)} windows were removed from the recorder, the first "
            f"{removed[0]}; their curves are not shown."
        )
    return {run.data.tags[MLFLOW_RUN_NAME]: run for run in found.values() if run is not None}, problems


def _curves(client: MlflowClient, parts: Mapping[str, Run]) -> pd.DataFrame:
    rows = []
    for part, run in parts.items():
        for name in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, name)
            if len({point.step for point in history}) > 1:
                found = CURVE.fullmatch(name) or TREE.fullmatch(name)
                net, segment, measure = found.group("net", "segment", "measure") if found else ("", "", name)
                part_and_net = " ".join(filter(None, (part, net)))
                rows += [(part_and_net, measure, segment, point.step, point.value) for point in history]
    return pd.DataFrame(rows, columns=["part", "measure", "segment", "epoch", "value"])


def _plain(value: Any) -> Any:
    """A task for YAML; an object that a script put into it, a handler with its rows perhaps, by its class alone."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, SCALARS) else f"<{type(value).__name__}>"

"""Runs made by hand, as RollingModel and task_train leave them in the recorder that Qlib is initialised with."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import qlib
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from qlib_ext.recorder.out_of_sample import SEGMENTS
from qlib_ext.recorder.windows import (
    COLUMNS,
    DATES,
    RUN,
    SEED,
    TRAIN_LABELS_TO,
    VALID_LABELS_TO,
    WINDOWS,
    windows_frame,
)
from tests.analysis.recorders import save

STOCKS = ["SH600001", "SH600002", "SH600003", "SZ000001"]


def rows(first: str, last: str, stocks: list[str] = STOCKS, columns: int = 2, seed: int = 0) -> pd.DataFrame:
    """Random weak factors of all stocks on all weekdays, by (datetime, instrument)."""
    days = pd.bdate_range(first, last)
    index = pd.MultiIndex.from_product([days, stocks], names=["datetime", "instrument"])
    values = np.random.default_rng(seed).standard_normal((len(index), columns)).astype("f4")
    return pd.DataFrame(values, index, [f"net0_factor{k}" for k in range(columns)])


def line_of(trained_to: str, frame: pd.DataFrame | None) -> dict[str, str]:
    """The dates of a window, validated between training and test where no row is marked so."""
    first, last = "2015-09-01", "2015-09-30"
    valid = [f"{pd.Timestamp(trained_to) + pd.offsets.BDay():%Y-%m-%d}"] * 2
    if frame is not None and "segment" in frame:
        days = frame.index.get_level_values("datetime").strftime("%Y-%m-%d")
        spans = {
            name: [days[mark].min(), days[mark].max()] for name in SEGMENTS if (mark := frame["segment"] == name).any()
        }
        first, last = spans.get("test", [first, last])
        valid = spans.get("valid", valid)
    labels = {TRAIN_LABELS_TO: trained_to, VALID_LABELS_TO: valid[1]}
    return dict(zip(DATES, ("2015-01-05", trained_to, *valid, first, last), strict=True)) | labels


class RecordedRuns:
    """A folder of runs."""

    def __init__(self, folder: Path, provider: Path) -> None:
        uri = f"sqlite:///{folder}/mlflow.db"
        manager = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder.store"}
        manager["kwargs"] = {"uri": uri, "default_exp_name": "default"}
        qlib.init(provider_uri=str(provider), region="cn", kernels=1, logging_level=40, exp_manager=manager)
        self.folder, self.client, self.clock = folder, MlflowClient(tracking_uri=uri), itertools.count(1)

    def run(self, experiment: str, status: str = "FINISHED", parent: str | None = None, **files: Any) -> str:
        """A run with these files, ``pred`` being pred.pkl; -> its id."""
        found = self.client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else self.client.create_experiment(experiment, str(self.folder / "files"))
        tags = {} if parent is None else {MLFLOW_PARENT_RUN_ID: parent}
        run = self.client.create_run(number, start_time=next(self.clock), tags=tags)
        artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
        artifacts.mkdir(parents=True)
        for name, thing in files.items():
            save(artifacts / (name if name in ("task", "dataset") else f"{name}.pkl"), thing)
        self.client.set_terminated(run.info.run_id, status)
        return str(run.info.run_id)

    def rolling(
        self,
        experiment: str,
        *windows: tuple[str, pd.DataFrame | None],
        seeds: tuple = (None,),
        pred: pd.DataFrame | None = None,
        **more: Any,
    ) -> str:
        """A run of RollingModel: of each window the last training day and the weak factors with their marks.

        No label looks ahead, unless ``more`` gives other columns of the table of windows; pred is of September, unless
        it is given.
        """
        if pred is None:
            pred = rows("2015-09-01", "2015-09-30", columns=1).set_axis(["score"], axis=1)
        parent = self.run(experiment, pred=pred)
        lines = []
        for number, (trained_to, frame) in enumerate(windows):
            child = self.run(experiment, parent=parent, **({} if frame is None else {"weak_factors": frame}))
            seed = seeds[number % len(seeds)]
            lines.append(dict.fromkeys(COLUMNS) | line_of(trained_to, frame) | {RUN: child, SEED: seed} | more)
        folder = Path(self.client.get_run(parent).info.artifact_uri.removeprefix("file://"))
        windows_frame(lines).to_csv(folder / WINDOWS, index=False)
        return parent

    def one_window(self, experiment: str, first: str = "2015-09-01", last: str = "2015-09-30", **kwargs: Any) -> None:
        """A run of RollingModel with one window, tested from one day to another."""
        self.rolling(experiment, ("2015-06-30", rows(first, last, **kwargs).assign(segment="test")))

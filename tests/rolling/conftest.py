"""A recorder of a test's own, as qrun would use it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import qlib
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from qlib.workflow import R
from qlib.workflow.record_temp import SignalRecord

from tests.rolling.cases import inner


class Bench:
    """Runs rolling models with a recorder in ``folder``."""

    def __init__(self, folder: Path, provider: Path) -> None:
        self.folder, self.uri = folder, f"sqlite:///{folder}/mlflow.db"
        self.log = folder / "trained.txt"
        manager = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder.store"}
        manager["kwargs"] = {"uri": self.uri, "default_exp_name": "default"}
        self.init = lambda: qlib.init(provider_uri=str(provider), region="cn", logging_level=40, exp_manager=manager)
        self.init()
        self.client = MlflowClient(self.uri)

    def run(self, model: Any, dataset: Any, experiment: str = "roll") -> str:
        """What task_train does with a model, its dataset and a SignalRecord; -> the run's id."""
        with R.start(experiment_name=experiment):
            recorder = R.get_recorder()
            model.fit(dataset)
            SignalRecord(model=model, dataset=dataset, recorder=recorder).generate()
            return recorder.id

    def runs(self, experiment: str = "roll") -> list[Run]:
        """All runs of an experiment, oldest first."""
        found = self.client.get_experiment_by_name(experiment)
        return self.client.search_runs([found.experiment_id], order_by=["attributes.start_time ASC"])

    def children(self, parent: str | None = None, experiment: str = "roll") -> list[Run]:
        """The child runs of a run, or of all, oldest first."""
        tagged = [(run.data.tags.get(MLFLOW_PARENT_RUN_ID), run) for run in self.runs(experiment)]
        return [run for tag, run in tagged if (tag is not None if parent is None else tag == parent)]

    def file(self, run: str, name: str) -> Path:
        """An artifact of a run."""
        return next(iter((self.folder / "artifacts").glob(f"*/{run}/artifacts/{name}")))

    def prediction(self, run: str) -> pd.Series:
        """The scores that SignalRecord saved."""
        return pd.read_pickle(self.file(run, "pred.pkl"))["score"]

    def trained(self) -> list[str]:
        """The windows and seeds that ``tests.rolling.inner.Ridge`` was trained for since the last call."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return sorted(lines)

    def ridge(self, **kwargs: Any) -> dict:
        """The configuration of a Ridge that notes its trainings."""
        return inner("Ridge") | {"kwargs": {"log": str(self.folder), **kwargs}}


@pytest.fixture(scope="session")
def bench_in(small, database) -> Callable[[Path], Bench]:
    """Makes a bench in a folder."""

    def of(folder: Path) -> Bench:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "mlflow.db").exists():
            shutil.copy(database, folder)
        return Bench(folder, small[0])

    return of


@pytest.fixture
def bench(bench_in, tmp_path) -> Bench:
    return bench_in(tmp_path / "bench")

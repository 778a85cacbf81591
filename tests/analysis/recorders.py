"""Recorders made by hand: a store as SQLiteExpManager writes it, with runs as Qlib's task_train leaves them."""

from __future__ import annotations

import datetime
import itertools
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
from mlflow import MlflowClient

from qlib_ext.analysis.compare.runs import OF_BACKTEST, OF_SIGNAL
from qlib_ext.recorder.windows import COLUMNS, WINDOWS, windows_frame

LABEL = "Ref($vwap, -2)/Ref($vwap, -1) - 1"
SEGMENTS = {
    "train": [datetime.date(2010, 1, 1), datetime.date(2015, 12, 31)],
    "valid": [datetime.date(2016, 1, 1), datetime.date(2016, 12, 31)],
    "test": ["2017-01-01", "2021-12-31"],
}
METRIC_NAMES = (*OF_SIGNAL, *(f"1day.{name}" for name in OF_BACKTEST))
BACKTEST = {"benchmark": "SH000300", "exchange_kwargs": {"deal_price": "vwap"}}


class Recorders:
    """A folder of runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = f"sqlite:///{folder}/mlflow.db"
        self.client = MlflowClient(tracking_uri=self.store)
        self.clock = itertools.count(1)

    def experiment(self, name: str) -> str:
        """Its id; made where it is not there yet."""
        found = self.client.get_experiment_by_name(name)
        return found.experiment_id if found else self.client.create_experiment(name, str(self.folder / "artifacts"))

    def run(
        self,
        experiment: str,
        value: float | dict[str, float] = 0.05,
        status: str = "FINISHED",
        params: dict[str, Any] | None = None,
        universe: Any = "csi300",
        label: str = LABEL,
        segments: dict | None = None,
        days: tuple[str, str] | None = None,
        record: Any = None,
    ) -> Path:
        """A run, later than those before it; ``value`` is every metric, or the metrics by name; -> its artifacts."""
        run = self.client.create_run(self.experiment(experiment), start_time=next(self.clock))
        metrics = value if isinstance(value, dict) else dict.fromkeys(METRIC_NAMES, value)
        for name, figure in metrics.items():
            self.client.log_metric(run.info.run_id, name, figure)
        for name, text in (params or {}).items():
            self.client.log_param(run.info.run_id, name, text)
        self.client.set_terminated(run.info.run_id, status)
        loader = SimpleNamespace(fields={"label": ([label], ["LABEL0"])})
        handler = SimpleNamespace(instruments=universe, data_loader=loader)
        artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
        (artifacts / "sig_analysis").mkdir(parents=True)
        save(artifacts / "dataset", SimpleNamespace(segments=segments or SEGMENTS, handler=handler))
        save(artifacts / "task", {"record": port_analysis(BACKTEST) if record is None else record})
        if days:
            save(artifacts / "sig_analysis/ic.pkl", pd.Series(0.1, pd.DatetimeIndex(days, name="datetime")))
        return artifacts


def port_analysis(backtest: dict) -> list[dict]:
    """The records of a task, the last a backtest."""
    strategy = {"class": "TopkDropoutStrategy", "kwargs": {"signal": "<PRED>", "topk": 50}}
    return [{"class": "SigAnaRecord"}, {"kwargs": {"config": {"strategy": strategy, "backtest": backtest}}}]


def save_windows(artifacts: Path, lines: list[dict[str, Any]]) -> None:
    """The table of a rolling model's windows; what a line does not say is empty."""
    windows_frame([dict.fromkeys(COLUMNS) | line for line in lines]).to_csv(artifacts / WINDOWS, index=False)


def save(path: Path, thing: Any) -> None:
    path.write_bytes(pickle.dumps(thing))

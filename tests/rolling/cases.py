"""Data sets to roll over: of random rows, and of a provider."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qlib.data.dataset import DatasetH
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader

from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.window import Window
from qlib_ext.rolling import RollingModel
from qlib_ext.rolling.jobs import Job
from qlib_ext.rolling.windows import RollingWindow
from qlib_ext.testing.rows import random_rows

WHOLE = {"fit_start_time": "2020-01-01", "fit_end_time": "2020-04-30"}  # what a handler is given and a window is not
TEST = ("2020-03-10", "2020-04-20")  # 30 trading days
LENGTHS: dict[str, Any] = {"train": "30D", "valid": "10D", "step": "10D", "purge": 2, "backend": "serial"}
DAYS = random_rows(days=80).index.unique("datetime")


def handler_of(rows: pd.DataFrame, *processors: dict) -> DataHandlerLP:
    """A Qlib handler of these rows, without history; features are standardised over the days of WHOLE."""
    standardise = {"class": "ZScoreNorm", "kwargs": {"fields_group": "feature", **WHOLE}}
    return DataHandlerLP(
        data_loader=StaticDataLoader(rows.copy()),
        infer_processors=[standardise, {"class": "Fillna", "kwargs": {"fields_group": "feature"}}],
        learn_processors=[{"class": "DropnaLabel"}, *processors],
    )


def dataset_of(rows: pd.DataFrame, test: tuple = TEST, **kwargs: Any) -> DatasetH:
    """Qlib's own tabular dataset of these rows, with a test segment alone."""
    return DatasetH(handler=handler_of(rows), segments={"test": test}, **kwargs)


def ridge(**kwargs: Any) -> dict:
    """The configuration of the inner model of most tests."""
    return {"class": "Ridge", "module_path": "tests.rolling.inner", "kwargs": kwargs}


def inner(name: str) -> dict:
    """The configuration of another one of ``tests.rolling.inner``."""
    return {"class": name, "module_path": "tests.rolling.inner", "kwargs": {}}


def rolling(model: dict | None = None, **kwargs: Any) -> RollingModel:
    """A RollingModel of three windows on ``dataset_of``, in this process: others take seconds to start."""
    return RollingModel(model=ridge() if model is None else model, **LENGTHS | kwargs)


def job_of(window: RollingWindow, model: dict, seed: int | None = None) -> Job:
    """A job to be trained in this process."""
    return Job(window, seed, model, {}, f"{window} {seed}")


class Returns(WindowHandler):
    """Three fields of a provider, in windows of six days."""

    window = Window(6)
    LABEL = (["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"])

    def __init__(self, label: tuple = LABEL, **kwargs: Any) -> None:
        fields = ["$close/Ref($close, 1) - 1", "$turnover", "$close/Mean($close, 5) - 1"]
        super().__init__((fields, ["RETURN", "TURNOVER", "MEAN"]), label, **kwargs)

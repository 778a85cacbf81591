"""A workflow's task whose model must not be reached, and the ways to spoil it."""

from __future__ import annotations

from qlib.model.base import Model

LABEL = "Ref($close, -2)/Ref($close, -1) - 1"


class TrainingReachedError(Exception):
    """The model was trained."""


class Unreachable(Model):
    """A model that says that it was reached."""

    def fit(self, dataset):
        raise TrainingReachedError

    def predict(self, dataset):
        raise NotImplementedError


def task() -> dict:
    """Alpha158vwap, an unreachable model, and the records of the shipped workflows."""
    handler = {
        "class": "Alpha158vwap",
        "module_path": "handlers.alpha158vwap",
        "kwargs": {
            "instruments": "csi300",
            "start_time": "2014-09-01",
            "fit_start_time": "2014-12-01",
            "fit_end_time": "2015-04-30",
            "infer_processors": [
                {"class": "RobustZScoreNorm", "module_path": "qlib_ext.processors.normalise"},
                {"class": "Fillna", "kwargs": {"fields_group": "feature"}},
            ],
            "label": [[LABEL], ["LABEL0"]],
        },
    }
    strategy = {
        "class": "TopkDropoutStrategy",
        "module_path": "qlib.contrib.strategy",
        "kwargs": {"signal": "<PRED>", "topk": 5, "n_drop": 1},
    }
    backtest = {
        "start_time": None,
        "end_time": None,
        "account": 1e8,
        "benchmark": "SH000300",
        "exchange_kwargs": {"deal_price": "vwap", "open_cost": 0.0005},
    }
    segments = {
        "train": ["2014-12-01", "2015-04-30"],
        "valid": ["2015-05-01", "2015-06-30"],
        "test": ["2015-07-01", "2015-09-30"],
    }
    return {
        "model": {"class": "Unreachable", "module_path": "tests.checks.tasks"},
        "dataset": {
            "class": "CrossSectionDataset",
            "module_path": "qlib_ext.data.dataset",
            "kwargs": {"step_len": 5, "handler": handler, "segments": segments},
        },
        "record": [
            {"class": "SignalRecord", "kwargs": {"model": "<MODEL>", "dataset": "<DATASET>"}},
            {"class": "SigAnaRecord", "kwargs": {"ana_long_short": False, "ann_scaler": 252}},
            {"class": "PortAnaRecord", "kwargs": {"config": {"strategy": strategy, "backtest": backtest}}},
            {
                "class": "FactorRecord",
                "module_path": "qlib_ext.analysis.records",
                "kwargs": {"dataset": "<DATASET>"},
            },
        ],
    }

"""A workflow's task with FactorRecord as its last record."""

from __future__ import annotations

LABEL = "Ref($close, -6)/Ref($close, -1) - 1"
TRAIN, TEST = ("2015-01-01", "2015-06-30"), ("2015-07-01", "2016-05-31")


class Reversal:
    """A model that needs no training: the last day's return, turned round."""

    def fit(self, dataset):
        pass

    def predict(self, dataset):
        return -dataset.prepare("test", col_set="feature", data_key="infer").iloc[:, 0]


def task(step="day", **kwargs):
    """The task; ``step``: of the backtest. FactorRecord is given ``kwargs``."""
    loader = {"feature": (["$close/Ref($close, 1) - 1"], ["R1"]), "label": ([LABEL], ["LABEL0"])}
    handler = {
        "class": "DataHandlerLP",
        "module_path": "qlib.data.dataset.handler",
        "kwargs": {
            "instruments": "all",
            "start_time": "2015-01-01",
            "data_loader": {"class": "QlibDataLoader", "kwargs": {"config": loader}},
        },
    }
    backtest = {"start_time": None, "end_time": None, "account": 1e8, "benchmark": "SH000300"}
    strategy = {
        "class": "TopkDropoutStrategy",
        "module_path": "qlib.contrib.strategy",
        "kwargs": {"signal": "<PRED>", "topk": 10, "n_drop": 2},
    }
    executor = {
        "class": "SimulatorExecutor",
        "module_path": "qlib.backtest.executor",
        "kwargs": {"time_per_step": step, "generate_portfolio_metrics": True},
    }
    config = {"strategy": strategy, "executor": executor, "backtest": backtest}
    factor = {"class": "FactorRecord", "module_path": "qlib_ext.analysis.records"}
    return {
        "model": {"class": "Reversal", "module_path": "tests.analysis.tasks"},
        "dataset": {
            "class": "DatasetH",
            "module_path": "qlib.data.dataset",
            "kwargs": {"handler": handler, "segments": {"train": TRAIN, "test": TEST}},
        },
        "record": [
            {"class": "SignalRecord", "kwargs": {"model": "<MODEL>", "dataset": "<DATASET>"}},
            {"class": "PortAnaRecord", "kwargs": {"config": config}},
            factor | {"kwargs": {"dataset": "<DATASET>"} | kwargs},
        ],
    }

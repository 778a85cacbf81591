"""Workflows in small, each of a kind that is predicted every evening, and what ``qrun`` does with them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import qlib
from qlib.model.trainer import task_train

from qlib_ext.simulator.simulate import INDEX
from tests.live.growing import TRAINED, Market

WINDOW = {"class": "CrossSectionDataset", "module_path": "qlib_ext.data.dataset"}
PROCESSORS = [
    {"class": name, "module_path": "qlib_ext.processors.normalise", "kwargs": {"fields_group": "feature"}}
    for name in ("RobustZScoreNorm", "CSZScoreNorm", "Fillna")
]
GRU = {
    "class": "GRU",
    "module_path": "qlib_ext.models.gru",
    "kwargs": {"hidden_size": 4, "num_layers": 1, "n_epochs": 1, "num_factors": 2, "GPU": -1},
}
TREES = {"class": "LGBModel", "module_path": "qlib.contrib.model.gbdt"}
TREES["kwargs"] = {"num_boost_round": 5, "min_data_in_leaf": 5, "num_threads": 1, "verbosity": -1}


TOPK = {"class": "TopkDropoutStrategy", "module_path": "qlib.contrib.strategy"}
TOPK["kwargs"] = {"signal": "<PRED>", "topk": 4, "n_drop": 1}
# ``net`` is held as an enhanced index, whose risk model gets its new days as it decides
CONSTRAINTS = {"TrackingError": {"limit": 0.15}, "ActiveWeight": {"limit": 0.2}, "Turnover": {"one_sided": 0.3}}
LONG_STYLES = ("liquidity", "residual_volatility", "month_reversal", "non_linear_size")
COSTS = {"open_cost": 0.0005, "close_cost": 0.0015, "min_cost": 5}
BOARDS = {"exchange": {"class": "BoardExchange", "module_path": "qlib_ext.portfolio.exchange", "kwargs": COSTS}}
OF_QLIB = COSTS | {"deal_price": "vwap", "limit_threshold": 0.095}
EXCHANGES = {"trees": OF_QLIB, "rolled": OF_QLIB}  # else BOARDS
ACCOUNT = 1_000_000


def enhancement(provider: Path) -> dict[str, Any]:
    """A strategy of index enhancement, by the week."""
    risk = {"folder": str(provider.with_name("risk")), "provider": str(provider), "without": [*LONG_STYLES]}
    constraints = [{"class": name, "kwargs": kwargs} for name, kwargs in CONSTRAINTS.items()]
    strategy = {"class": "IndexEnhancement", "module_path": "qlib_ext.portfolio.strategy"}
    strategy["kwargs"] = {"signal": "<PRED>", "benchmark": {"index": INDEX, "members": "csi300"}}
    strategy["kwargs"] |= {"constraints": constraints, "seasoned_days": 5, "risk": {"kwargs": risk}}
    return strategy


def backtest(name: str, provider: Path) -> dict[str, Any]:
    """The record of an experiment's backtest, from the first score to the last."""
    days = {"start_time": None, "end_time": None, "account": ACCOUNT, "benchmark": INDEX}
    strategy = enhancement(provider) if name == "net" else TOPK
    config = {"strategy": strategy, "backtest": days | {"exchange_kwargs": EXCHANGES.get(name, BOARDS)}}
    return {"class": "PortAnaRecord", "module_path": "qlib.workflow.record_temp", "kwargs": {"config": config}}


def task(market: Market, name: str, days: int) -> dict[str, Any]:
    """The task of an experiment whose test reaches the last of so many days."""
    day = [f"{each:%Y-%m-%d}" for each in market.calendar]
    last = day[days - 1]
    own = {"class": "Returns", "module_path": "tests.rolling.cases"}
    common = {"instruments": "csi300", "end_time": last}
    bars = common | {"infer_processors": PROCESSORS, "learn_processors": [{"class": "DropnaLabel"}]}
    bars |= {"fit_start_time": day[6], "fit_end_time": day[70], "traded_only": True}
    once = {"train": [day[6], day[70]], "valid": [day[71], day[90]], "test": [day[91], last]}
    label = [["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"]]
    reads = {"class": "RecordedFactors", "module_path": "handlers.recorded"}

    def rolling(model: dict, train: str, valid: str, step: str, **kwargs: Any) -> dict:
        lengths = {"train": train, "valid": valid, "step": step, "backend": "serial", "model": model, **kwargs}
        return {"class": "RollingModel", "module_path": "qlib_ext.rolling", "kwargs": lengths}

    model, handler, segments = {
        "net": (GRU | {"kwargs": GRU["kwargs"] | {"seeds": [0]}}, own | {"kwargs": bars}, once),
        "trees": (TREES, own | {"kwargs": bars}, once),
        # windows of 24 days from day 91 on: the second ends with day 138, two days after TRAINED
        "rolled": (
            rolling(GRU, "40D", "15D", "24D", seeds=[0, 1]),
            own | {"kwargs": bars},
            {"test": [day[91], last]},
        ),
        "second": (
            rolling(TREES, "15D", "8D", "7D"),
            reads | {"kwargs": common | {"experiments": ["rolled"], "label": label, "learn_processors": []}},
            {"test": [day[122], last]},
        ),
        "fused": (
            {
                "class": "Fusion",
                "module_path": "qlib_ext.models.weighting",
                "kwargs": {"weights": {"net": 1, "rolled": 3}},
            },
            reads | {"kwargs": common | {"experiments": ["net", "rolled"], "kind": "score", "label": label}},
            {"train": [day[91], day[100]], "test": [day[103], last]},
        ),
    }[name]
    dataset = WINDOW if name != "fused" else {"class": "DatasetH", "module_path": "qlib.data.dataset"}
    record = [{"class": "SignalRecord", "module_path": "qlib.workflow.record_temp"}]
    record[0]["kwargs"] = {"model": "<MODEL>", "dataset": "<DATASET>"}
    return {
        "model": model,
        "dataset": dataset | {"kwargs": {"handler": handler, "segments": segments}},
        "record": record,
    }


def qrun(market: Market, name: str, provider: Path, runs: Path, days: int = TRAINED) -> None:
    """What ``qrun`` does with a workflow."""
    manager = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder"}
    manager["kwargs"] = {"uri": f"sqlite:///{runs}/mlflow.db", "default_exp_name": name}
    init = {"provider_uri": str(provider), "region": "cn", "kernels": 1, "logging_level": 40, "exp_manager": manager}
    qlib.init(**init)
    own = copy.deepcopy(task(market, name, days))  # Qlib writes into what it is given
    recorder = task_train(own, experiment_name=name)
    # a test makes the backtests that it reads, and no other
    own["record"].append(copy.deepcopy(backtest(name, provider)))
    recorder.save_objects(config={"experiment_name": name, "qlib_init": init, "task": own})

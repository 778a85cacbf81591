"""The models of the contract; a new one is added to MODELS and to nothing else."""

from __future__ import annotations

from functools import cache
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from qlib_ext.data.layout import Series
from qlib_ext.data.window import Window
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.base import NeuralModel
from qlib_ext.models.gats import GATs
from qlib_ext.models.graph_gru import GraphGRU
from qlib_ext.models.gru import GRU
from qlib_ext.models.multitask_gru import MultiTaskGRU
from qlib_ext.models.network_gat import NetworkGAT
from qlib_ext.models.resnet_gru import ResNetGRU
from qlib_ext.models.rsr import RSR
from qlib_ext.testing import IMAGES
from qlib_ext.testing.contract import Case


def four_times(x: Tensor) -> Tensor:
    """A window four times, one after the other."""
    return x.repeat(1, 4, 1)


def with_last_day(x: Tensor) -> Tensor:
    """A window and its last day again, all values in a row."""
    return torch.cat([x.flatten(1), x[:, -1]], 1)[:, :, None]


@cache
def risk_folder() -> str:
    """A risk model that has nothing but returns of two styles, an industry and the market, from a month before."""
    days = pd.bdate_range("2019-11-25", "2020-04-30")
    names = ("f.market", "f.size", "f.value", "f.industry_1")
    returns = 0.005 * np.random.default_rng(0).standard_normal((len(days), len(names)))
    return risk_model_of(pd.DataFrame(returns, days, names), mkdtemp(prefix="qlib_ext_risk_"))


def risk_model_of(returns: pd.DataFrame, folder: str) -> str:
    """A folder as ``qlib-ext risk`` leaves one, with these returns of factors."""
    import polars as pl

    from qlib_ext.risk.files import RiskFiles
    from qlib_ext.risk.model import SOURCE

    files, days = RiskFiles(folder), pl.from_pandas(returns.rename_axis("datetime").reset_index())
    files.write_about(dict.fromkeys(SOURCE, ""))
    files.write({}, pl.DataFrame(), days.with_columns(pl.col("datetime").cast(pl.Date)))
    return folder


SMALL = {"hidden_size": 8, "num_layers": 1}
FACTORS = {"num_factors": 4, "orthogonality": 0.1}
TASKS = {"min_stocks": 2}
ALIKE = {name: Series(5, (4,)) for name in "abcd"}
SERIES = Window(5, shape=four_times, series=ALIKE)
INDICATORS = Window(5, shape=with_last_day, series={"window": Series(5, (4,)), "indicators": Series(1, (4,))})
HEADS = {"num_heads": 2, "head_size": 4}
TWO_INPUTS = Window(5, shape=four_times, series=ALIKE | {"d": Series(10, (2,))})
NOISE = 1e-4  # standard deviations of the scores: a hundred times what one rounding of the features does
MODELS: dict[str, tuple[type[NeuralModel], dict[str, Any], Window | None]] = {
    "GRU": (GRU, FACTORS, None),
    "LSTM": (GRU, FACTORS | {"base_model": "LSTM"}, None),
    "GRU ic": (GRU, FACTORS | {"loss": "ic", "metric": "ic", "days_per_batch": 3}, None),
    "GRU sigmoid": (GRU, FACTORS | {"activation": "sigmoid", "loss": "ic", "metric": "ic", "days_per_batch": 3}, None),
    "GRU rank_ic": (GRU, FACTORS | {"loss": "rank_ic", "metric": "rank_ic"}, None),
    "ASTGNN": (ASTGNN, FACTORS | {"embedding_size": 3}, None),
    "ASTGNN 2 layers": (
        ASTGNN,
        FACTORS | {"num_graph_layers": 2, "days_per_batch": 4, "num_layers": 2, "dropout": 0.2},
        None,
    ),
    "GraphGRU": (GraphGRU, FACTORS | {"embedding_size": 3}, None),
    "GraphGRU 2 layers": (
        GraphGRU,
        FACTORS | {"num_layers": 2, "dropout": 0.2, "neighbours": 4, "order": 3, "days_per_batch": 3, "loss": "rank"},
        None,
    ),
    "RSR": (RSR, {}, None),
    "RSR explicit": (
        RSR,
        {"relation": "explicit", "include_self": True, "base_model": "GRU", "loss": "mse", "days_per_batch": 3},
        None,
    ),
    "RSR weighted": (RSR, {"relation": "weighted", "by_degree": False, "num_layers": 2, "dropout": 0.2}, None),
    "GATs": (GATs, {}, None),
    "GATs 2 layers": (GATs, {"num_layers_gat": 2, "num_heads": 2, "base_model": "LSTM", "days_per_batch": 3}, None),
    "ASTGNN instrument": (ASTGNN, FACTORS | {"node_embedding": "instrument", "ema_decay": 0.9}, None),
    "ResNetGRU": (ResNetGRU, FACTORS | {"channels": [6]}, IMAGES),
    "ResNetGRU graph": (
        ResNetGRU,
        FACTORS | {"channels": [5, 6], "kernel_size": 2, "graph": True, "embedding_size": 3, "days_per_batch": 3},
        IMAGES,
    ),
    "NetworkGAT": (NetworkGAT, FACTORS | HEADS | {"weights": "state", "days_per_batch": 3}, INDICATORS),
    "MultiTaskGRU": (MultiTaskGRU, TASKS, SERIES),
    "MultiTaskGRU apart": (
        MultiTaskGRU,
        TASKS | {"share_gru": False, "metric": "ic", "days_per_batch": 3, "ema_decay": 0.95},
        SERIES,
    ),
    "MultiTaskGRU of two inputs": (MultiTaskGRU, TASKS, TWO_INPUTS),
}


def case_of(name: str, gpu: int = -1) -> Case:
    """The case of one of MODELS, on the CPU or a GPU."""
    kind, options, window = MODELS[name]
    if options.get("weights") == "state":
        options = options | {"risk": risk_folder()}
    transductive = options.get("node_embedding") == "instrument"
    return Case(kind(**SMALL | options), window, transductive, gpu, related=kind in (RSR, NetworkGAT))


def devices_apart(case: Case) -> tuple[float, float]:
    """How far scores of a net trained on the GPU lie from those of the CPU, and how far those of the CPU move where the
    features are off by one rounding: both in standard deviations of the scores, at most.

    Trained with plain gradient steps: those of Adam have the size of lr whatever the gradient's, so they turn roundings
    of a gradient near 0 into other nets, on one device as well.
    """
    rounded = case.rows.copy()
    rounded["feature"] *= np.float32(1 + 2**-23)
    cpu, moved, gpu = (
        case.fitted(rows, GPU=number, optimizer="sgd").predict(case.dataset())
        for rows, number in ((case.rows, -1), (rounded, -1), (case.rows, 0))
    )
    return tuple(float((score - cpu).abs().max() / cpu.std()) for score in (gpu, moved))

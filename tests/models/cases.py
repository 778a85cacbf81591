"""The models of the contract; a new one is added to MODELS and to nothing else."""

from __future__ import annotations

from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.gats import GATs
from qlib_ext.models.graph_gru import GraphGRU
from qlib_ext.models.gru import GRU
from qlib_ext.models.multitask_gru import MultiTaskGRU
from qlib_ext.models.resnet_gru import ResNetGRU
from tests.frames import dataset_of

SMALL = {"hidden_size": 8, "num_layers": 1, "n_epochs": 3, "lr": 0.01, "GPU": -1, "seed": 0}
FACTORS = {"num_factors": 4, "orthogonality": 0.1}
TASKS = {"lengths": {"a": 5, "b": 5, "c": 5, "d": 5}, "min_stocks": 2}  # four times the window
TWO_INPUTS = {"lengths": {"a": 5, "b": 5, "c": 5, "d": 10}, "fields": {"a": 4, "b": 4, "c": 4, "d": 2}}
MODELS = {
    "GRU": (GRU, FACTORS),
    "LSTM": (GRU, FACTORS | {"base_model": "LSTM"}),
    "GRU ic": (GRU, FACTORS | {"loss": "ic", "metric": "ic", "days_per_batch": 3}),
    "GRU sigmoid": (GRU, FACTORS | {"activation": "sigmoid", "loss": "ic", "metric": "ic", "days_per_batch": 3}),
    "GRU rank_ic": (GRU, FACTORS | {"loss": "rank_ic", "metric": "rank_ic"}),
    "ASTGNN": (ASTGNN, FACTORS | {"embedding_size": 3}),
    "ASTGNN 2 layers": (
        ASTGNN,
        FACTORS | {"num_graph_layers": 2, "days_per_batch": 4, "num_layers": 2, "dropout": 0.2},
    ),
    "GraphGRU": (GraphGRU, FACTORS | {"embedding_size": 3}),
    "GraphGRU 2 layers": (
        GraphGRU,
        FACTORS | {"num_layers": 2, "dropout": 0.2, "neighbours": 4, "order": 3, "days_per_batch": 3, "loss": "rank"},
    ),
    "GATs": (GATs, {}),
    "GATs 2 layers": (GATs, {"num_layers_gat": 2, "num_heads": 2, "base_model": "LSTM", "days_per_batch": 3}),
    "ASTGNN instrument": (ASTGNN, FACTORS | {"node_embedding": "instrument", "ema_decay": 0.9}),
    "ResNetGRU": (ResNetGRU, FACTORS | {"channels": [6]}),
    "ResNetGRU graph": (
        ResNetGRU,
        FACTORS | {"channels": [5, 6], "kernel_size": 2, "graph": True, "embedding_size": 3, "days_per_batch": 3},
    ),
    "MultiTaskGRU": (MultiTaskGRU, TASKS),
    "MultiTaskGRU apart": (
        MultiTaskGRU,
        TASKS | {"share_gru": False, "metric": "ic", "days_per_batch": 3, "ema_decay": 0.95},
    ),
    "MultiTaskGRU of two inputs": (MultiTaskGRU, TASKS | TWO_INPUTS),
}


def fitted(model, rows, **kwargs):
    model.fit(dataset_of(rows, **kwargs))
    return model

"""GraphGRU: the adaptive graph inside the GRU's gates, so that stocks hear of each other at every step."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from torch import nn
from torch.nn.functional import normalize

from qlib_ext.data.batch import Batch
from qlib_ext.data.layout import Layout
from qlib_ext.errors import ConfigError
from qlib_ext.layers.adaptive_graph import adaptive_adjacency
from qlib_ext.layers.encoder import RecurrentEncoder
from qlib_ext.layers.graph_gru import GraphRecurrentEncoder
from qlib_ext.layers.scores import Scores
from qlib_ext.layers.weak_factors import WeakFactorHead
from qlib_ext.models.astgnn import check_neighbours
from qlib_ext.models.gru import GRU, GRUOptions
from qlib_ext.models.options import at_least_one


@dataclass(kw_only=True)
class GraphGRUOptions(GRUOptions):
    """Options of the graph beside those of the GRU; base_model is GRU.

    embedding_size  length of the vectors M that decide who resembles whom
    order           K, terms of ``sum_{k<K} T_k(A) x W_k`` in each gate; 1 is a GRU without a graph
    neighbours      a stock hears of so many, those most like it; None: of all
    temperature     A = softmax(ReLU(M M^T) / temperature); M has length 1, so at 1 all stocks count about alike, and
                    .inf is the mean of the day's stocks
    """

    embedding_size: int = 16
    order: int = 2
    neighbours: int | None = None
    temperature: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "embedding_size", "order")
        check_neighbours(self.neighbours, self.temperature)
        if self.base_model != "GRU":
            raise ConfigError(
                f"The graph of GraphGRU stands in a GRU's gates: base_model is GRU, not {self.base_model}."
            )


class GraphGRUNet(nn.Module):
    """A first pass over each window alone -> who resembles whom -> GRUs that hear of these -> K weak factors.

    ``M = W RNN(x)_L / |W RNN(x)_L|``, A the adjacency of M; the same A at all steps of a window, and in all layers.
    """

    def __init__(self, d_feat: int, options: GraphGRUOptions) -> None:
        super().__init__()
        hidden = options.hidden_size
        self.options = options
        self.first_pass = RecurrentEncoder(d_feat, options.embedding_size, num_layers=1)
        self.embedding = nn.Linear(options.embedding_size, options.embedding_size, bias=False)
        self.layers = nn.ModuleList(
            GraphRecurrentEncoder(hidden if layer else d_feat, hidden, options.order)
            for layer in range(options.num_layers)
        )
        self.dropout = nn.Dropout(options.dropout)
        self.head = WeakFactorHead(hidden, options.num_factors, options.activation)

    def forward(self, batch: Batch) -> Scores:
        m = normalize(self.embedding(self.first_pass(batch.x)), dim=-1)  # [samples, embedding]
        options = self.options
        adjacency = adaptive_adjacency(
            batch.to_days(m), batch.mask if batch.padded else None, options.temperature, options.neighbours
        )
        states = batch.to_days(batch.x).movedim(2, 0)  # [L, days, stocks, fields]
        for number, layer in enumerate(self.layers):
            states = self.dropout(states) if number else states
            states = layer(states, adjacency)  # [L, days, stocks, hidden]
        return self.head(batch.from_days(states[-1]), m)


class GraphGRU(GRU):
    """The GRU's loss and head over ``G [x_t, h] = sum_{k<K} T_k(A) [x_t, h] W_k + b`` in the place of its gates.

    A = softmax(ReLU(M M^T) / temperature) over the day's stocks, M what a small GRU makes of each window: a stock needs
    no vector of its own, so one that was never seen is scored as all others.

    Source: Orient Securities, factor selection series 110 (2024-02-19), end of section 1.2; Bai et al., NeurIPS 2020.
    """

    options_class = GraphGRUOptions
    options: GraphGRUOptions

    def build(self, layout: Layout, instruments: pd.Index) -> nn.Module:
        """A GraphGRUNet."""
        return GraphGRUNet(layout.fields, self.options)

"""GRU: the reports' baseline, each stock on its own."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from torch import Tensor, nn

from qlib_ext.data.batch import Batch
from qlib_ext.data.layout import Layout
from qlib_ext.layers.scores import Scores
from qlib_ext.layers.weak_factors import ACTIVATIONS, WeakFactorHead
from qlib_ext.losses import orthogonality
from qlib_ext.models.base import NeuralModel
from qlib_ext.models.options import EncoderOptions, at_least_one, at_least_zero, one_of


@dataclass(kw_only=True)
class GRUOptions(EncoderOptions):
    """Options of the net beside those of encoder and training.

    num_factors          K, the number of weak factors whose mean is the score
    orthogonality        lambda, the weight of the penalty on the weak factors' correlation; 0 turns it off
    activation           of the weak factors: none or sigmoid
    """

    num_factors: int = 32
    orthogonality: float = 1.0
    activation: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("activation", self.activation, tuple(ACTIVATIONS))
        at_least_one(self, "num_factors")
        at_least_zero(self, "orthogonality")


class WeakFactorNet(nn.Module):
    """Encoder -> a graph over the day's stocks, or none -> batch norm -> K weak factors -> their mean.

    encoder: x [samples, ...] -> state [samples, hidden]; graph: (state, batch) -> z [samples, hidden] and what each
    stock is known by [samples, ...], without a graph both the state; head: both -> Scores.
    """

    def __init__(self, encoder: nn.Module, graph: nn.Module | None, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.graph = graph
        self.head = head

    def forward(self, batch: Batch) -> Scores:
        state = self.encoder(batch.x)  # [samples, hidden]
        if self.graph is None:
            return self.head(state, state)
        z, known = self.graph(state, batch)  # [samples, hidden], [samples, ...]
        return self.head(z, known)


class GRU(NeuralModel):
    """``L = mean (BN(c) - y)^2 + lambda ||Z^T Z||_F / (N K^2)``, c the mean of K weak factors Z.

    With ``num_factors: 1, orthogonality: 0, activation: sigmoid, loss: ic`` it is ``c = sigmoid(w BN(h) + b)``, trained
    on ``-corr(c, y)``, which the batch norm of c does not change.

    Source: Orient Securities, factor selection series 96 (2023-08-24) and 110 (2024-02-19); with one sigmoid, Huatai
    Securities, artificial intelligence series 72 (2023-12-08), exhibits 43 and 44.
    """

    options_class = GRUOptions
    options: GRUOptions

    def build(self, layout: Layout, instruments: pd.Index) -> nn.Module:
        """A WeakFactorNet of this model's encoder and graph."""
        options = self.options
        encoder, graph = self.encoder(layout), self.graph(instruments)
        head = WeakFactorHead(options.hidden_size, options.num_factors, options.activation)
        return WeakFactorNet(encoder, graph, head)

    def encoder(self, layout: Layout) -> nn.Module:
        """What turns a stock's window into a state."""
        return self.options.encoder(layout.fields)

    def graph(self, instruments: pd.Index) -> nn.Module | None:
        """What lets the states of a day's stocks hear of each other: here nothing."""
        return None

    def loss(self, scores: Scores, batch: Batch) -> Tensor:
        """The loss of the options plus the orthogonality penalty."""
        loss = super().loss(scores, batch)
        if self.options.orthogonality and scores.weak_factors is not None:
            loss = loss + self.options.orthogonality * orthogonality(scores.weak_factors)
        return loss

"""GRU: the reports' baseline, each stock on its own."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from torch import Tensor, nn

from qlib_ext.data.batch import Batch
from qlib_ext.layers.encoder import RecurrentEncoder
from qlib_ext.layers.scores import Scores
from qlib_ext.layers.weak_factors import WeakFactorHead
from qlib_ext.losses import orthogonality
from qlib_ext.models.base import NeuralModel
from qlib_ext.models.options import TrainingOptions


@dataclass(kw_only=True)
class GRUOptions(TrainingOptions):
    """Options of the net beside those of training.

    hidden_size, num_layers, dropout, base_model (GRU or LSTM): the encoder, as in Qlib's Model Zoo
    num_factors          K, the number of weak factors whose mean is the score
    orthogonality        lambda, the weight of the penalty on the weak factors' correlation; 0 turns it off
    """

    hidden_size: int = 64
    num_layers: int = 2
    dropout: float = 0.0
    base_model: str = "GRU"
    num_factors: int = 32
    orthogonality: float = 1.0


class GRUNet(nn.Module):
    """Encoder -> batch norm -> K weak factors -> their mean."""

    def __init__(self, d_feat: int, options: GRUOptions) -> None:
        super().__init__()
        self.encoder = RecurrentEncoder(
            d_feat, options.hidden_size, options.num_layers, options.dropout, options.base_model
        )
        self.head = WeakFactorHead(options.hidden_size, options.num_factors)

    def forward(self, batch: Batch) -> Scores:
        state = self.encoder(batch.x)  # [samples, hidden]
        return self.head(state, state)


class GRU(NeuralModel):
    """``L = mean (BN(c) - y)^2 + lambda ||Z^T Z||_F / (N K^2)``, c the mean of K weak factors Z.

    Source: Orient Securities, factor selection series 96 (2023-08-24) and 110 (2024-02-19).
    """

    options_class = GRUOptions
    options: GRUOptions

    def build(self, d_feat: int, instruments: pd.Index) -> nn.Module:
        """A GRUNet."""
        return GRUNet(d_feat, self.options)

    def loss(self, scores: Scores, batch: Batch) -> Tensor:
        """The loss of the options plus the orthogonality penalty."""
        loss = super().loss(scores, batch)
        if self.options.orthogonality and scores.weak_factors is not None:
            loss = loss + self.options.orthogonality * orthogonality(scores.weak_factors)
        return loss

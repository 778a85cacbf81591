"""GATs: the Model Zoo's graph attention net, on true cross-sections and with any number of layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from qlib_ext.data.batch import Batch
from qlib_ext.data.layout import Layout
from qlib_ext.errors import CheckpointError, ConfigError
from qlib_ext.layers.encoder import RecurrentEncoder
from qlib_ext.layers.graph_attention import GraphAttention
from qlib_ext.layers.scores import Scores
from qlib_ext.models.base import NeuralModel
from qlib_ext.models.options import EncoderOptions, at_least_one


@dataclass(kw_only=True)
class GATsOptions(EncoderOptions):
    """Options of the net beside those of encoder and training.

    model_path       state_dict of a trained Zoo GRU or LSTM (keys ``rnn.*``) that the encoder starts from
    with_pretrain    false leaves model_path unread
    num_layers_gat   K, layers of attention: how far a neighbour's neighbours are heard
    num_heads        M, attentions averaged in each layer
    """

    model_path: str | None = None
    with_pretrain: bool = True
    num_layers_gat: int = 1
    num_heads: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_layers_gat < 1:
            raise ConfigError(f"num_layers_gat is at least 1, not {self.num_layers_gat}; without attention take GRU.")
        at_least_one(self, "num_heads")


class GATsNet(nn.Module):
    """Encoder -> K times attention plus the encoder's state -> linear, leaky ReLU, linear.

    ``h^0 = RNN(x)_L``, ``h^k = Attention_k(h^(k-1)) + h^0``, ``y = w^T LeakyReLU(W h^K + b) + c``. The initial
    residual h^0 keeps the stocks apart that many layers would make alike.
    """

    def __init__(self, d_feat: int, options: GATsOptions) -> None:
        super().__init__()
        hidden = options.hidden_size
        self.encoder = options.encoder(d_feat)
        self.attention = nn.ModuleList(GraphAttention(hidden, options.num_heads) for _ in range(options.num_layers_gat))
        self.fc = nn.Linear(hidden, hidden)
        self.fc_out = nn.Linear(hidden, 1)

    def forward(self, batch: Batch) -> Scores:
        state = self.encoder(batch.x)  # [samples, hidden]
        first = h = batch.to_days(state)  # [days, stocks, hidden]
        for layer in self.attention:
            h = layer(h, batch.mask) + first
        h = nn.functional.leaky_relu(self.fc(batch.from_days(h)))  # [samples, hidden]
        score = self.fc_out(h)[:, 0]  # [samples]
        return Scores(score=score, normalised=score, weak_factors=None, state=state)


class GATs(NeuralModel):
    """Qlib's ``pytorch_gats_ts.GATs`` with K attention layers of M heads each.

    Source: Huatai Securities, report on graph networks in Qlib (GATs_ts), exhibits 15, 19 and 22.
    """

    options_class = GATsOptions
    options: GATsOptions

    def build(self, layout: Layout, instruments: pd.Index) -> nn.Module:
        """A GATsNet; its encoder starts from ``model_path`` where one is given."""
        net = GATsNet(layout.fields, self.options)
        if self.options.model_path and self.options.with_pretrain:
            load_encoder(net.encoder, self.options.model_path)
        return net


def load_encoder(encoder: RecurrentEncoder, path: str | Path) -> None:
    """Copy the ``rnn.*`` weights of a Model Zoo GRU or LSTM into an encoder; raises CheckpointError."""
    try:
        saved: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        weights = {name: value for name, value in saved.items() if name.startswith("rnn.")}
    except Exception as error:  # damaged bytes make the unpickler raise whatever they happen to spell
        raise CheckpointError(f"model_path {path} cannot be read as saved weights: {error}") from error
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"model_path {path} holds another encoder than the options describe: {error}") from error

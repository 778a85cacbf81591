"""ASTGNN: the GRU with an adaptive graph across the day's stocks between encoder and head."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from qlib_ext.data.batch import Batch
from qlib_ext.data.panel import Panel
from qlib_ext.errors import ConfigError
from qlib_ext.layers.adaptive_graph import AdaptiveGraphConvolution, adaptive_adjacency
from qlib_ext.layers.scores import Scores
from qlib_ext.losses import graph_proximity
from qlib_ext.models.gru import GRU, GRUOptions
from qlib_ext.models.options import at_least_one, at_least_zero, one_of

NODE_EMBEDDINGS = ("state", "instrument")
UNKNOWN_SHARE = 0.05  # training samples shown as an unknown instrument, so that its vector is learnt


@dataclass(kw_only=True)
class ASTGNNOptions(GRUOptions):
    """Options of the graph beside those of the GRU.

    num_graph_layers     layers of ``(I + A) H W``, at least one; ReLU between them
    embedding_size       length of the vectors M that decide who resembles whom
    node_embedding       state: M = H W_e, for any stock (inductive); instrument: a learnt vector for each
                         instrument of the training data and one for all others (transductive)
    share_weight         true: one W for a stock's own state and for its neighbours'; false: a second one for theirs,
                         without which their gains and its own count alike
    neighbours           a stock hears of so many, those most like it; None: of all
    temperature          A = softmax(ReLU(M M^T) / temperature): the lower, the fewer count; .inf is the mean of all
    proximity            weight of the graph-proximity loss, which draws together the states of related stocks, or
                         their vectors where instruments have those; needs a handler with ``group``, or with
                         ``relations``, dated and of any kind, which it takes where there is no group
    """

    num_graph_layers: int = 1
    embedding_size: int = 16
    node_embedding: str = "state"
    share_weight: bool = True
    neighbours: int | None = None
    temperature: float = 1.0
    proximity: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_graph_layers < 1:
            raise ConfigError(f"num_graph_layers is at least 1, not {self.num_graph_layers}; without a graph take GRU.")
        one_of("node_embedding", self.node_embedding, NODE_EMBEDDINGS)
        at_least_one(self, "embedding_size")
        at_least_zero(self, "proximity")
        check_neighbours(self.neighbours, self.temperature)


def check_neighbours(neighbours: int | None, temperature: float) -> None:
    """Raise ConfigError for a graph of no neighbours, or a temperature that is none."""
    if neighbours is not None and (not isinstance(neighbours, int) or neighbours < 1):
        raise ConfigError(f"neighbours is a whole number of at least 1, or None for all; not {neighbours!r}.")
    if not temperature > 0:
        raise ConfigError(f"temperature is above 0, not {temperature}.")


class InstrumentEmbedding(nn.Module):
    """A vector per instrument: ``[samples]`` positions in the panel -> ``[samples, embedding]``; 0 is the unknown."""

    def __init__(self, instruments: pd.Index, embedding_size: int) -> None:
        super().__init__()
        self.instruments = instruments
        self.vectors = nn.Embedding(len(instruments) + 1, embedding_size)
        # of length 1: by torch's own N(0, 1), of length 4, a stock's neighbour is at first nobody but itself
        nn.init.normal_(self.vectors.weight, std=embedding_size**-0.5)
        self.register_buffer("position", torch.arange(1, len(instruments) + 1), persistent=False)

    def bind(self, instruments: pd.Index) -> None:
        """Read panels of these instruments from now on."""
        position = torch.from_numpy(self.instruments.get_indexer(instruments) + 1)
        self.position = position.to(self.vectors.weight.device)

    def forward(self, instrument: Tensor) -> Tensor:
        position = self.position[instrument]  # [samples]
        if self.training:
            position = position * (torch.rand(position.shape, device=position.device) >= UNKNOWN_SHARE)
        return self.vectors(position)  # [samples, embedding]


class AdaptiveGraph(nn.Module):
    """``Z = (I + softmax(ReLU(M M^T))) H W`` over the stocks of each day, once or more, ReLU between.

    state H [samples, hidden], and the batch they are of -> Z [samples, hidden], and what a stock is known by: its
    state, or its vector M [samples, embedding] where the graph has one for each instrument.
    """

    def __init__(self, options: ASTGNNOptions, instruments: pd.Index) -> None:
        super().__init__()
        hidden = options.hidden_size
        self.temperature, self.neighbours = options.temperature, options.neighbours
        self.embedding: nn.Module
        if options.node_embedding == "state":
            self.embedding = nn.Linear(hidden, options.embedding_size, bias=False)
        else:
            self.embedding = InstrumentEmbedding(instruments, options.embedding_size)
        self.layers = nn.ModuleList(
            AdaptiveGraphConvolution(hidden, hidden, options.share_weight) for _ in range(options.num_graph_layers)
        )

    def forward(self, state: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        by_instrument = isinstance(self.embedding, InstrumentEmbedding)
        m = self.embedding(batch.instrument if by_instrument else state)  # [samples, embedding]
        mask = batch.mask if batch.padded else None
        adjacency = adaptive_adjacency(batch.to_days(m), mask, self.temperature, self.neighbours)
        z = batch.to_days(state)  # [days, stocks, hidden]
        for number, layer in enumerate(self.layers):
            z = layer(torch.relu(z) if number else z, adjacency)
        return batch.from_days(z), m if by_instrument else state


class ASTGNN(GRU):
    """The GRU's loss and head over ``Z = (I + softmax(ReLU(M M^T))) H W``, H the encoder's last states of a day.

    Source: Orient Securities, factor selection series 110 (2024-02-19), section 1.2.
    """

    options_class = ASTGNNOptions
    options: ASTGNNOptions

    def graph(self, instruments: pd.Index) -> nn.Module | None:
        """An AdaptiveGraph; the transductive one has a vector for each of these instruments."""
        return AdaptiveGraph(self.options, instruments)

    def bind(self, net: nn.Module, panel: Panel) -> None:
        """Match the panel's instruments with those that have a vector."""
        for module in net.modules():
            if isinstance(module, InstrumentEmbedding):
                module.bind(panel.instruments)

    def loss(self, scores: Scores, batch: Batch) -> Tensor:
        """The GRU's loss, plus the graph-proximity loss where it has a weight."""
        loss = super().loss(scores, batch)
        if not self.options.proximity:
            return loss
        related = batch.related()
        if related is None:
            raise ConfigError(
                'proximity needs to know who is related: give the handler group: "$industry", or relations.'
            )
        return loss + self.options.proximity * graph_proximity(batch.to_days(scores.state), *related)

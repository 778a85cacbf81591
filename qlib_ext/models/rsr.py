"""RSR: Relational Stock Ranking, a recurrent net whose stocks hear of those that they are related to."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from torch import nn

from qlib_ext.data.batch import Batch
from qlib_ext.data.layout import Layout
from qlib_ext.data.panel import Panel
from qlib_ext.errors import ConfigError
from qlib_ext.layers.relation_embedding import STRENGTHS, RelationalEmbedding
from qlib_ext.layers.scores import Scores
from qlib_ext.models.base import NeuralModel
from qlib_ext.models.options import EncoderOptions, one_of


@dataclass(kw_only=True)
class RSROptions(EncoderOptions):
    """Options of the net beside those of encoder and training, by default an LSTM and the loss rank.

    relation      strength of a relation: uniform, weighted, explicit or implicit, see ``RelationalEmbedding``
    by_degree     divide what a stock says by the number of those who hear it; None: where nothing else makes it a mean
    include_self  a stock hears itself, too, as one of its neighbours
    """

    base_model: str = "LSTM"
    relation: str = "implicit"
    by_degree: bool | None = None
    include_self: bool = False
    loss: str = "rank"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("relation", self.relation, tuple(STRENGTHS))


class RSRNet(nn.Module):
    """``score = w . [e; e-bar] + b``, e the encoder's last state and e-bar what the relations add to it.

    relations: names of those that have a weight, the groups and kinds known when the net was built; others have none.
    """

    def __init__(self, d_feat: int, relations: tuple[str, ...], options: RSROptions) -> None:
        super().__init__()
        hidden = options.hidden_size
        self.relations = pd.Index(relations, dtype=object)
        self.include_self = options.include_self
        self.encoder = options.encoder(d_feat)
        self.embedding = RelationalEmbedding(hidden, len(relations), options.relation, options.by_degree)
        self.fc = nn.Linear(2 * hidden, 1)
        self.register_buffer("position", torch.arange(len(relations)), persistent=False)

    def bind(self, relations: tuple[str, ...]) -> None:
        """Read graphs whose relations have these names from now on."""
        position = torch.from_numpy(self.relations.get_indexer(pd.Index(relations, dtype=object)))
        self.position = position.to(self.fc.weight.device)

    def forward(self, batch: Batch) -> Scores:
        assert batch.relations is not None  # ``RSR.bind`` has refused a panel without
        graph = batch.relations.numbered(self.position)
        graph = graph.with_self() if self.include_self else graph
        e = self.encoder(batch.x)  # [samples, hidden]
        score = self.fc(torch.cat([e, self.embedding(e, graph)], 1))[:, 0]  # [samples]
        return Scores(score=score, normalised=score, weak_factors=None, state=e)


class RSR(NeuralModel):
    """``L = mean (s - y)^2 + rank_weight * mean over pairs of max(0, -(s_i - s_j)(y_i - y_j))``, s as in RSRNet.

    Its handler says which relations: ``relations: [$industry, suppliers]``. Raises ConfigError for a handler without.

    Source: Feng et al., Temporal Relational Ranking for Stock Prediction, ACM TOIS 37(2), 2019; Huatai Securities,
    report on graph networks in Qlib, equations 14 to 16.
    """

    options_class = RSROptions
    options: RSROptions

    def build(self, layout: Layout, instruments: pd.Index) -> nn.Module:
        """An RSRNet with a weight for each relation of the training's panel."""
        return RSRNet(layout.fields, layout.relations, self.options)

    def bind(self, net: nn.Module, panel: Panel) -> None:
        """Match the panel's relations with those that have a weight."""
        if panel.relations is None:
            raise ConfigError(
                'RSR hears of related stocks: give the handler relations, such as relations: ["$industry"], or kinds '
                "that `qlib-ext relations` keeps."
            )
        net.bind(panel.relations.names)  # type: ignore[operator]

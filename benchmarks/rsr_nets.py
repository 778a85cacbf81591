"""The nets of Feng et al. (2019), as formulas say and as the published program computes them.

All take the state of an LSTM, e [stocks, units], and say what the relations add, e-bar [stocks, units].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from benchmarks.rsr_market import FEATURES
from qlib_ext.layers.relation_embedding import SLOPE, RelationalEmbedding, sum_related
from qlib_ext.layers.relation_graph import RelationGraph

MODELS = ("Rank_LSTM", "GCN", "RSR_E", "RSR_I")


class Net(nn.Module):
    """``score = FC [e; e-bar]``, e the LSTM's last state, e-bar what the relations add; Rank_LSTM without the latter.

    x [stocks, S, fields] or, for a net without an LSTM of its own, e [stocks, units] -> [stocks].
    """

    def __init__(self, model: str, units: int, graph: RelationGraph, published: bool) -> None:
        super().__init__()
        frozen = published and model != "Rank_LSTM"  # the program trains relations on states that stand still
        self.lstm = None if frozen else nn.LSTM(len(FEATURES), units, batch_first=True)
        self.graph = graph
        self.relations = relations_of(model, units, len(graph.group_relation), published)
        self.fc = nn.Linear(units if self.relations is None else 2 * units, 1)
        self.published = published
        if published:
            for name, parameter in self.named_parameters():
                if parameter.dim() == 2:
                    nn.init.xavier_uniform_(parameter)
                else:
                    nn.init.zeros_(parameter)
                if name == "lstm.bias_ih_l0":
                    nn.init.ones_(parameter[units : 2 * units])  # the forget gate of TensorFlow's cell

    def state(self, x: Tensor) -> Tensor:
        return x if self.lstm is None else self.lstm(x)[0][:, -1]

    def forward(self, x: Tensor) -> Tensor:
        e = self.state(x)
        if self.relations is not None:
            e = torch.cat([e, self.relations(e, self.graph)], 1)
        score = self.fc(e)[:, 0]
        return leaky_relu(score, SLOPE) if self.published else score


def relations_of(model: str, units: int, relations: int, published: bool) -> nn.Module | None:
    if model == "Rank_LSTM":
        return None
    if model == "GCN":
        return GroupConvolution(units)
    strength = "explicit" if model == "RSR_E" else "implicit"
    if published:
        return PublishedPropagation(units, relations, strength)
    return RelationalEmbedding(units, relations, strength)


class GroupConvolution(nn.Module):
    """``LeakyReLU(D^-1/2 A D^-1/2 e W)``, A with the stock itself: within cliques the mean of the clique."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.weight = nn.Linear(units, units, bias=False)

    def forward(self, e: Tensor, graph: RelationGraph) -> Tensor:
        ones = e.new_ones(len(graph.group_relation))
        others = sum_related(None, e, ones, e.new_zeros(0), graph)
        return leaky_relu(self.weight((others + e) / (graph.degree + 1)[:, None]), SLOPE)


class PublishedPropagation(nn.Module):
    """``e-bar_i = sum_j softmax_i(g_ji) e_j``: the published program takes the softmax over those who receive.

    explicit: ``g_ji = (e_i . e_j) phi(w . a_ji + b)``; implicit: ``phi(u . e_i) + phi(v . e_j) + phi(w . a_ji + b)``,
    in which the second term cancels. A stock is its own neighbour, by its industry's and one more relation; one that
    has no industry is that alone, so that its e-bar is e.
    """

    def __init__(self, units: int, relations: int, strength: str) -> None:
        super().__init__()
        self.strength = strength
        self.of_relation = nn.Linear(relations + 1, 1)
        if strength == "implicit":
            self.of_receiver, self.of_sender = nn.Linear(units, 1), nn.Linear(units, 1)

    def forward(self, e: Tensor, graph: RelationGraph) -> Tensor:
        w, b = self.of_relation.weight[0], self.of_relation.bias
        out = e
        for rows, samples in graph.layouts:
            there = samples >= 0  # [rows, size]
            members = e[samples] * there[..., None]  # [rows, size, units]
            own = torch.eye(samples.shape[1], device=e.device)
            a = w[graph.group_relation[rows], None, None] + b + w[-1] * own  # [rows, size, size]
            if self.strength == "explicit":
                g = members @ members.transpose(1, 2) * leaky_relu(a, SLOPE)  # [rows, receivers, senders]
            else:
                u, v = (leaky_relu(f(members)[..., 0], SLOPE) for f in (self.of_receiver, self.of_sender))
                g = u[:, :, None] + v[:, None, :] + leaky_relu(a, SLOPE)
            g = torch.softmax(g.masked_fill(~there[:, :, None], -torch.inf), 1)
            out = out.index_copy(0, samples[there], (g @ members)[there])
        return out

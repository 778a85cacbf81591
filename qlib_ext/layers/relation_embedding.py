"""Relational embedding: what a stock hears of those that are related to it.

Source: Feng et al., Temporal Relational Ranking for Stock Prediction, ACM TOIS 37(2), 2019; Huatai Securities, report
on graph networks in Qlib, equations 14 to 16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from qlib_ext.errors import ConfigError
from qlib_ext.layers.edge_sums import edge_sums
from qlib_ext.layers.graph_attention import attention_sums
from qlib_ext.layers.relation_graph import RelationGraph

STRENGTHS = ("uniform", "weighted", "explicit", "implicit")
SLOPE = 0.2  # of the leaky ReLU phi, that of the paper's program


class RelationalEmbedding(nn.Module):
    """``e-bar_i = sum_j g(a_ji, e_i, e_j) e_j`` over the neighbours j of i, by one of four strengths g.

    uniform   ``1``
    weighted  ``phi(w . a_ji + b)``
    explicit  ``(e_i . e_j) phi(w . a_ji + b)``
    implicit  ``softmax_j phi(u . e_i + v . e_j + w . a_ji + b)``

    phi is a leaky ReLU. With ``by_degree`` each term is divided by d_j, of how many others j is a neighbour; None
    stands for true except for implicit, whose softmax is a mean already. A stock without neighbours gets 0. At first w
    is 0, and b 1 in weighted and explicit, so that relations differ by what was learnt alone. Memory grows with samples
    and edges; the pairs of a group are never listed.

    e [samples, hidden], graph of these samples -> e-bar [samples, hidden].
    """

    def __init__(
        self, hidden_size: int, num_relations: int, strength: str = "implicit", by_degree: bool | None = None
    ) -> None:
        super().__init__()
        if strength not in STRENGTHS:
            raise ConfigError(f"The strength of a relation is one of {', '.join(STRENGTHS)}, not {strength!r}.")
        self.strength = strength
        self.by_degree = strength != "implicit" if by_degree is None else by_degree
        if strength != "uniform":
            self.relation = nn.Parameter(torch.zeros(num_relations))
            self.bias = nn.Parameter(torch.full((), 0.0 if strength == "implicit" else 1.0))
        if strength == "implicit":
            self.of_self = nn.Linear(hidden_size, 1, bias=False)
            self.of_neighbour = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, e: Tensor, graph: RelationGraph) -> Tensor:
        with torch.autocast(e.device.type, enabled=False):
            return self._forward(e.float(), graph).to(e.dtype)

    def _forward(self, e: Tensor, graph: RelationGraph) -> Tensor:
        values = e / graph.degree.clamp_min(1)[:, None] if self.by_degree else e  # [samples, hidden]
        if self.strength == "implicit":
            s, t = self.of_self(e)[:, 0] + self.bias, self.of_neighbour(e)[:, 0]  # [samples] each
            return attend_related(s, t, values, *graph.pair_sums(self.relation), graph)
        if self.strength == "uniform":
            group, edge = e.new_ones(len(graph.group_relation)), e.new_ones(len(graph.target))
        else:
            group, edge = (leaky_relu(r + self.bias, SLOPE) for r in graph.pair_sums(self.relation))
        return sum_related(e if self.strength == "explicit" else None, values, group, edge, graph)


def sum_related(e: Tensor | None, values: Tensor, group: Tensor, edge: Tensor, graph: RelationGraph) -> Tensor:
    """``sum_j (e_i . e_j) c_ji x_j`` over the neighbours j of each i; without e the product is 1.

    e and values x [samples, hidden]; the coefficient c of the groups' pairs, group [groups], and of the edges, edge
    [edges] -> [samples, hidden]. Within a group the sum is ``(sum_j x_j e_j^T) e_i``, linear in its size.
    """
    e = values.new_ones(len(values), 1) if e is None else e
    parts = torch.zeros_like(values)
    for rows, samples in graph.layouts:
        there = (samples >= 0)[..., None]
        of_e, of_values = e[samples] * there, values[samples] * there  # [rows, size, hidden]
        total = of_e @ (of_e.transpose(1, 2) @ of_values)  # [rows, size, hidden]
        total = total - of_e.square().sum(-1, keepdim=True) * of_values  # a sample is no neighbour of itself
        parts = parts.index_add(0, samples[there[..., 0]], (group[rows, None, None] * total)[there[..., 0]])
    twice = graph.inside.nonzero()[:, 0]
    edge = edge.index_add(0, twice, -group[graph.group[graph.target[twice]]])  # what the groups have added already
    product = (e[graph.target] * e[graph.source]).sum(-1)  # [edges]
    return parts + edge_sums((edge * product)[:, None], values[:, None], graph.target, graph.source)[:, 0]


def attend_related(
    s: Tensor, t: Tensor, values: Tensor, group: Tensor, edge: Tensor, graph: RelationGraph, slope: float = SLOPE
) -> Tensor:
    """``sum_j softmax_j(LeakyReLU(s_i + t_j + r_ji)) x_j`` over all neighbours j of each i, in one softmax.

    s, t [samples], values x [samples, hidden]; r of the groups' pairs, group [groups], and of the edges, edge [edges]
    -> [samples, hidden]. Groups in O(N log N) as in ``attend``, edges by scatter; both numerators and denominators are
    brought to one scale and added. An edge within a group adds what its weight is beyond the group's.
    """
    ones = torch.ones_like(values[:, :1])
    x = torch.cat([values, ones], dim=1)  # [samples, hidden + 1]
    total, scale = torch.zeros_like(x), torch.full_like(s, -torch.inf).detach()  # of each sample
    for rows, samples in graph.layouts:
        there = samples >= 0
        sums, largest = _others(s[samples] + group[rows, None], t[samples], values[samples], there, slope)
        total = total.index_copy(0, samples[there], sums[there])
        scale = scale.index_copy(0, samples[there], largest[there])
    logit = s[graph.target] + t[graph.source]
    full = leaky_relu(logit + edge, slope)  # [edges]
    highest = torch.scatter_reduce(scale, 0, graph.target, full.detach(), "amax")  # [samples]
    highest = highest.masked_fill(torch.isinf(highest), 0.0)  # of samples without neighbours
    total = total * (scale - highest).exp()[:, None]
    weight = (full - highest[graph.target]).exp()  # [edges]
    twice = graph.inside.nonzero()[:, 0]
    within = leaky_relu(logit[twice] + group[graph.group[graph.target[twice]]], slope)
    weight = weight.index_add(0, twice, -(within - highest[graph.target[twice]]).exp())
    total = total + edge_sums(weight[:, None], x[:, None], graph.target, graph.source)[:, 0]
    denominator = total[:, -1:]
    alone = (denominator <= 0).detach()
    return (total[:, :-1] / denominator.masked_fill(alone, 1.0)).masked_fill(alone, 0.0)


def _others(s: Tensor, t: Tensor, h: Tensor, mask: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    """``attention_sums`` over the others of a row, without the stock itself.

    Its own term is taken off. That loses digits only where it outweighs all others together, as it may for the stock of
    the row's largest t alone: no other's term is larger than that stock's. Its sum is made anew, term by term.
    """
    sums, largest = attention_sums(s, t, h, mask, slope)
    x = torch.cat([h, torch.ones_like(h[..., :1])], dim=-1)  # [rows, size, hidden + 1]
    own = (leaky_relu(s + t, slope) - largest).masked_fill(~mask, -torch.inf).exp()  # [rows, size]
    sums = sums - own[..., None] * x

    first = t.masked_fill(~mask, -torch.inf).argmax(1, keepdim=True)  # [rows, 1]
    is_first = torch.arange(t.shape[1], device=t.device) == first  # [rows, size]
    logit = leaky_relu(s.gather(1, first) + t, slope).masked_fill(~mask | is_first, -torch.inf)  # [rows, size]
    peak = logit.amax(1, keepdim=True).detach()  # [rows, 1]
    anew = (logit - peak).exp()[:, None] @ x  # [rows, 1, hidden + 1]
    return torch.where(is_first[..., None], anew, sums), torch.where(is_first, peak, largest)

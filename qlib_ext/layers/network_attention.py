"""Graph attention among the related stocks of one network, and the weights that the market's state gives to several.

Source: Velickovic et al., Graph Attention Networks, ICLR 2018, equations 1 to 5; Orient Securities, market
microstructure series 32 (2026-01-28), three networks weighted by the state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from qlib_ext.errors import ConfigError
from qlib_ext.layers.edge_sums import edge_sums
from qlib_ext.layers.graph_attention import attention_sums
from qlib_ext.layers.relation_embedding import SLOPE
from qlib_ext.layers.relation_graph import RelationGraph


class NetworkAttention(nn.Module):
    """``z_ki = ||_m sum_j softmax_j(LeakyReLU(a_km . W_km h_i + b_km . W_km h_j)) W_km h_j`` of each network k.

    The heads m stand side by side; j runs over the neighbours of i on the network and i itself, so that a stock without
    neighbours hears itself. Groups are exact, in O(N log N); memory grows with samples and edges.

    h [samples, hidden], the graph of these samples on each network -> z [samples, networks, heads * size] float32.
    """

    def __init__(self, hidden_size: int, networks: int, heads: int = 4, size: int = 16) -> None:
        super().__init__()
        if min(networks, heads, size) < 1:
            raise ConfigError(f"An attention has a network, a head and a size, not {networks}, {heads} and {size}.")
        self.heads = heads
        self.transformation = nn.Linear(hidden_size, networks * heads * size, bias=False)
        self.of_self = nn.Parameter(torch.randn(networks * heads, 1, size) * size**-0.5)
        self.of_neighbour = nn.Parameter(torch.randn(networks * heads, 1, size) * size**-0.5)

    def forward(self, h: Tensor, graphs: Sequence[RelationGraph]) -> Tensor:
        with torch.autocast(h.device.type, enabled=False):
            networks, (attentions, _, size) = len(graphs), self.of_self.shape
            w = self.transformation(h.float()).view(-1, attentions, size)  # [samples, networks heads, size]
            s, t = ((w * of[:, 0]).sum(2) for of in (self.of_self, self.of_neighbour))  # [samples, networks heads] each
            of_network = zip(*(x.tensor_split(networks, 1) for x in (s, t, w)), graphs, strict=True)
            return torch.stack([attend_neighbours(*parts).flatten(1) for parts in of_network], 1)


def attend_neighbours(s: Tensor, t: Tensor, w: Tensor, graph: RelationGraph, slope: float = SLOPE) -> Tensor:
    """``sum_j softmax_j(LeakyReLU(s_i + t_j)) w_j`` over the neighbours j of each i, and i itself, for several heads.

    Groups as in ``attend``, where i is one of its own; other pairs, and i where it has no group, as edges. A head's
    numerators and denominators of both are brought to one scale and added.

    s, t [samples, heads], w [samples, heads, size] -> [samples, heads, size].
    """
    above, below = torch.zeros_like(w), torch.zeros_like(s)  # numerators and denominators, of the groups
    scale = torch.full_like(s, -torch.inf).detach()  # [samples, heads]
    for _, samples in graph.layouts:
        there = samples >= 0  # [rows, size of the group]
        own_s, own_t, own_w = (
            y[samples].movedim(2, 0).flatten(0, 1) for y in (s, t, w)
        )  # [heads rows, of a group, ...]
        sums, largest = attention_sums(own_s, own_t, own_w, there.repeat(s.shape[1], 1), slope)
        sums, largest = (y.unflatten(0, (-1, len(samples))).movedim(0, 2)[there] for y in (sums, largest))
        above = above.index_copy(0, samples[there], sums[..., :-1])
        below = below.index_copy(0, samples[there], sums[..., -1])
        scale = scale.index_copy(0, samples[there], largest)
    others = (~graph.inside & (graph.target != graph.source)).nonzero()[:, 0]
    alone = torch.isinf(scale[:, 0]).nonzero()[:, 0]
    target, source = (torch.cat([pairs[others], alone]) for pairs in (graph.target, graph.source))
    logit = leaky_relu(s.index_select(0, target) + t.index_select(0, source), slope)  # [edges, heads]
    highest = torch.scatter_reduce(scale, 0, target[:, None].expand_as(logit), logit.detach(), "amax")
    weight = (logit - highest.index_select(0, target)).exp()  # [edges, heads]
    shrunk = (scale - highest).exp()  # [samples, heads]
    above = above * shrunk[..., None] + edge_sums(weight, w, target, source)  # [samples, heads, size]
    return above / (below * shrunk).index_add(0, target, weight)[..., None]


class StateWeights(nn.Module):
    """``w = softmax(V ReLU(U s + b) + c)``, s the returns of factors over the past days: a weight for each network.

    V and c begin with 0, so that all networks count the same at first.

    state [days, past days, factors], in per cent -> w [days, networks], each day's sum is 1.
    """

    def __init__(self, past_days: int, factors: int, networks: int, hidden_size: int = 16) -> None:
        super().__init__()
        self.hidden = nn.Linear(past_days * factors, hidden_size)
        self.out = nn.Linear(hidden_size, networks)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, state: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(state.flatten(1)))).float().softmax(1)


def entropy_lacking(weights: Tensor) -> Tensor:
    """``log K + mean over days of sum_k w_k log w_k``: 0 where all K networks count the same.

    weights [days, K] -> a number.
    """
    # a weight that underflows to 0 has no logarithm, and its gradient would not be finite
    logarithm = weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
    return math.log(weights.shape[1]) + (weights * logarithm).sum(1).mean()

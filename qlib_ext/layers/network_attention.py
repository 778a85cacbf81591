"""Graph attention among the related stocks of one network, and the weights that the market's state gives to several.

Source: Velickovic et al., Graph Attention Networks, ICLR 2018, equations 1 to 5; Orient Securities, market
microstructure series 32 (2026-01-28), three networks weighted by the state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qlib_ext.errors import ConfigError
from qlib_ext.layers.relation_embedding import attend_related
from qlib_ext.layers.relation_graph import RelationGraph, joined


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
            attentions, _, size = self.of_self.shape
            w = (
                self.transformation(h.float()).view(-1, attentions, size).transpose(0, 1)
            )  # [networks heads, samples, size]
            s, t = (w * self.of_self).sum(2), (w * self.of_neighbour).sum(2)  # [networks heads, samples] each
            # all attentions in one graph: many small ones cost more than a large one
            graph = joined([own for each in graphs for own in [each.with_self()] * self.heads])
            group, edge = w.new_zeros(len(graph.group_relation)), w.new_zeros(len(graph.target))
            z = attend_related(s.flatten(), t.flatten(), w.flatten(0, 1), group, edge, graph)
            z = z.view(len(graphs), self.heads, -1, size)  # [networks, heads, samples, size]
            return z.permute(2, 0, 1, 3).flatten(2)  # [samples, networks, heads * size]


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

"""A GRU whose gates hear of the other stocks at every step.

Source: Bai et al., Adaptive Graph Convolutional Recurrent Network for Traffic Forecasting, NeurIPS 2020, section 3.3;
Orient Securities, factor selection series 110 (2024-02-19), end of section 1.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qlib_ext.layers.adaptive_graph import Adjacency


def chebyshev(h: Tensor, adjacency: Adjacency, order: int) -> Tensor:
    """``[T_0(A) h, ..., T_(K-1)(A) h]`` side by side, ``T_0 = I, T_1 = A, T_k = 2 A T_(k-1) - T_(k-2)``.

    h [days, stocks, hidden], A [days, stocks, stocks] -> [days, stocks, K * hidden], K the order.
    """
    terms = [h]
    for k in range(1, order):
        further = adjacency @ terms[-1]
        terms.append(further if k == 1 else 2 * further - terms[-2])
    return torch.cat(terms, -1)


class GraphRecurrentEncoder(nn.Module):
    """``z = sigma(G_z [x_t, h]), r = sigma(G_r [x_t, h]), c = tanh(G_h [x_t, r * h]), h' = z * h + (1 - z) * c``.

    ``G [x, h] = sum_{k<K} T_k(A) [x, h] W_k + b``, so that with K = 1 no stock hears of another. What A does to x is
    computed for all steps at once; only its products with h and r * h recur.

    x [T, days, stocks, fields], A [days, stocks, stocks] -> h of all steps [T, days, stocks, hidden]. Rows of masked
    stocks carry no meaning, and reach no others where their column of A is zero.
    """

    def __init__(self, fields: int, hidden_size: int, order: int = 2) -> None:
        super().__init__()
        self.order = order
        self.of_x = nn.Linear(order * fields, 3 * hidden_size)
        self.of_h = nn.Linear(order * hidden_size, 2 * hidden_size, bias=False)
        self.of_candidate = nn.Linear(order * hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, adjacency: Adjacency) -> Tensor:
        steps, _, _, fields = x.shape
        diffused = chebyshev(x.movedim(0, 2).flatten(2), adjacency, self.order)  # [days, stocks, K * T * fields]
        diffused = diffused.unflatten(2, (self.order, steps, fields)).movedim(3, 0)  # [T, days, stocks, K, fields]
        of_x = self.of_x(diffused.flatten(3))  # [T, days, stocks, 3 * hidden]
        hidden = self.of_candidate.out_features
        h = x.new_zeros(*x.shape[1:3], hidden)
        states = []
        for step in of_x:
            gates, candidate = step.split([2 * hidden, hidden], dim=-1)
            z, r = torch.sigmoid(gates + self.of_h(chebyshev(h, adjacency, self.order))).chunk(2, -1)
            c = torch.tanh(candidate + self.of_candidate(chebyshev(r * h, adjacency, self.order)))
            h = z * h + (1 - z) * c
            states.append(h)
        return torch.stack(states)

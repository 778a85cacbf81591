"""Adaptive graph convolution: who resembles whom is learnt, not given.

Source: Orient Securities, factor selection series 110 (2024-02-19), section 1.2; after Bai et al.,
Adaptive Graph Convolutional Recurrent Network for Traffic Forecasting, NeurIPS 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def adaptive_adjacency(m: Tensor, mask: Tensor) -> Tensor:
    """``A = softmax(ReLU(M M^T))``, the softmax of each row over the day's stocks.

    m [days, stocks, embedding], mask [days, stocks] -> A [days, stocks, stocks]. Columns of stocks that a
    day does not have are zero; each row over the others sums to one.
    """
    similarity = torch.relu(m @ m.transpose(-1, -2))  # [days, stocks, stocks]
    if not mask.all():
        similarity = similarity.masked_fill(~mask[:, None, :], -torch.inf)
    return torch.softmax(similarity, dim=-1)  # [days, stocks, stocks]


class AdaptiveGraphConvolution(nn.Module):
    """``Z = (I + A) H W``; with ``share_weight`` off ``Z = H W + A H V``.

    h [days, stocks, in], adjacency A [days, stocks, stocks] -> Z [days, stocks, out]. With W alone, what befell the
    neighbours counts for a stock as if it had befallen the stock itself: one that falls back after its own gains cannot
    follow theirs. Equivariant under permutations of the stocks; rows of masked stocks carry no meaning.

    Source: W alone is the report's; a weight for I and one for A, the program of Bai et al.
    """

    def __init__(self, in_features: int, out_features: int, share_weight: bool = True) -> None:
        super().__init__()
        self.weight = nn.Linear(in_features, out_features, bias=False)
        self.neighbours = None if share_weight else nn.Linear(in_features, out_features, bias=False)

    def forward(self, h: Tensor, adjacency: Tensor) -> Tensor:
        own = self.weight(h)  # [days, stocks, out]
        others = own if self.neighbours is None else self.neighbours(h)  # [days, stocks, out]
        return own + adjacency @ others  # [days, stocks, out]

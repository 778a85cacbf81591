"""Adaptive graph convolution: who resembles whom is learnt, not given.

Source: Orient Securities, factor selection series 110 (2024-02-19), section 1.2; after Bai et al.,
Adaptive Graph Convolutional Recurrent Network for Traffic Forecasting, NeurIPS 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Nearest:
    """An adjacency of k entries a row: index and weight [days, stocks, k]. ``A @ h`` as with a matrix."""

    index: Tensor
    weight: Tensor

    def __matmul__(self, h: Tensor) -> Tensor:
        """``(A h)_i = sum_k w_ik h_(index_ik)``, h [days, stocks, hidden]; no copy of h for each entry is made."""
        days, stocks, k = self.index.shape
        first = torch.arange(days, device=h.device)[:, None, None] * stocks
        index, weight = (self.index + first).view(-1, k), self.weight.reshape(-1, k).to(h.dtype)
        table = h.reshape(days * stocks, -1)
        return nn.functional.embedding_bag(index, table, per_sample_weights=weight, mode="sum").view_as(h)


Adjacency = Tensor | Nearest  # [days, stocks, stocks]


def adaptive_adjacency(
    m: Tensor, mask: Tensor | None = None, temperature: float = 1.0, neighbours: int | None = None
) -> Adjacency:
    """``A = softmax(ReLU(M M^T) / temperature)``, the softmax of each row over the day's stocks.

    m [days, stocks, embedding], mask [days, stocks] -> A [days, stocks, stocks]. Columns of stocks that a
    day does not have are zero; each row over the others sums to one. With ``neighbours`` the softmax is over the row's
    most similar ones alone. An infinite temperature makes A the mean of the day's stocks. Without a mask every day has
    all stocks.
    """
    if neighbours is None or neighbours >= m.shape[1]:
        similarity = torch.relu(m @ m.transpose(-1, -2))  # [days, stocks, stocks]
        index = None
    else:
        with torch.no_grad():
            similarity = m @ m.transpose(-1, -2)
            if mask is not None:
                similarity = similarity.masked_fill(~mask[:, None, :], -torch.inf)
            index = similarity.topk(neighbours, dim=-1).indices  # [days, stocks, k]
        day = torch.arange(len(m), device=m.device)[:, None, None]
        similarity = torch.relu((m[:, :, None] * m[day, index]).sum(-1))  # [days, stocks, k]
    similarity = similarity / temperature
    if mask is not None:
        there = mask[:, None, :] if index is None else mask.gather(1, index.flatten(1)).view_as(index)
        similarity = similarity.masked_fill(~there, -torch.inf)
    weight = torch.softmax(similarity, dim=-1)
    return weight if index is None else Nearest(index, weight)


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

    def forward(self, h: Tensor, adjacency: Adjacency) -> Tensor:
        own = self.weight(h)  # [days, stocks, out]
        others = own if self.neighbours is None else self.neighbours(h)  # [days, stocks, out]
        return own + adjacency @ others  # [days, stocks, out]

"""The head of the report's multi-task net: the states of several series -> a prediction from each, and their mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qlib_ext.layers.scores import Scores


class MultiTaskHead(nn.Module):
    """``y_k = BN(w_k . BN_k(h_k))``, ``c = 1/K sum_k y_k``.

    h_k [samples, hidden], a state for each of K series -> Scores: the score c, the weak factors y [samples, K].
    The outer batch norm, without parameters, is ours: a loss of correlations leaves the scale of each prediction to
    chance, and without it the mean would not weigh them alike.
    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibits 50 and 51.
    """

    def __init__(self, hidden_size: int, num_series: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden_size) for _ in range(num_series))
        self.linears = nn.ModuleList(nn.Linear(hidden_size, 1) for _ in range(num_series))
        self.scale = nn.BatchNorm1d(num_series, affine=False)

    def forward(self, h: Sequence[Tensor]) -> Scores:
        parts = zip(self.linears, self.norms, h, strict=True)
        y = self.scale(torch.cat([linear(norm(state)) for linear, norm, state in parts], dim=1))  # [samples, K]
        c = y.mean(dim=1)  # [samples]
        state = torch.cat(list(h), dim=1)  # [samples, K hidden]
        return Scores(score=c, normalised=c, weak_factors=y, state=state)

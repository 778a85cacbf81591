"""The information coefficient of tensors ``[days, stocks]``, with a mask of the stocks that each day has.

The numpy form, NaN where nothing is, stands in `qlib_ext.cross_section.ic`.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-12  # keeps the gradient of a correlation finite where a day's scores are all equal


def information_coefficient(prediction: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    """Pearson correlation of each day's cross-section: ``[days, stocks]`` -> ``[days]``; 0 where one is constant."""
    count = mask.sum(1, keepdim=True)  # [days, 1]
    p, y = (centred(values, mask, count) for values in (prediction, label))
    norm = (p.square().sum(1) * y.square().sum(1)).clamp_min(EPSILON).sqrt()  # [days]
    return (p * y).sum(1) / norm


def centred(values: Tensor, mask: Tensor, count: Tensor) -> Tensor:
    values = values.float().masked_fill(~mask, 0.0)
    return (values - values.sum(1, keepdim=True) / count).masked_fill(~mask, 0.0)  # [days, stocks]


def cross_sectional_rank(values: Tensor, mask: Tensor) -> Tensor:
    """Rank of each stock within its day, from 1, ties averaged: ``[days, stocks]`` -> ``[days, stocks]``."""
    filled = values.masked_fill(~mask, torch.inf).contiguous()
    ascending = filled.sort(dim=1).values
    below = torch.searchsorted(ascending, filled, right=False)
    up_to = torch.searchsorted(ascending, filled, right=True)
    return (below + up_to + 1) / 2  # [days, stocks]


def rank_information_coefficient(prediction: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    """Spearman correlation of each day's cross-section: ``[days, stocks]`` -> ``[days]``."""
    return information_coefficient(cross_sectional_rank(prediction, mask), cross_sectional_rank(label, mask), mask)

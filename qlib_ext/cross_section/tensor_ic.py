"""The information coefficient of tensors ``[days, stocks]``, with a mask of the stocks that each day has.

The numpy form, NaN where a day has no correlation, stands in ``qlib_ext.cross_section.ic``.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = 126  # exponent whose power of two float32 holds, as it holds that of its negative


def information_coefficient(prediction: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    """Pearson correlation of each day's cross-section: ``[days, stocks]`` -> ``[days]``; 0 where one is constant.

    ``IC_t = sum_i (p_i - mean p)(y_i - mean y) / sqrt(sum_i (p_i - mean p)^2 sum_i (y_i - mean y)^2)`` over the stocks
    of the mask, which are to have both. The scale of neither matters, and the gradient is finite everywhere.

    Source: Huatai, AI series 42 (2021-02-21), exhibit 23; equal to Qlib's ``calc_ic``.
    """
    p, y = (deviation(values, mask) for values in (prediction, label))  # [days, stocks]
    variances = p.square().sum(1) * y.square().sum(1)  # [days]
    return (p * y).sum(1) / variances.masked_fill(variances == 0, 1.0).sqrt()


def deviation(values: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """``x - mean x`` along a dimension, times a power of two of its own: 0 outside the mask and where x is constant.

    The factor brings the largest deviation between 1/2 and 1, so that squares of values of any scale fit float32;
    correlations and z-scores do not depend on it, nor does a power of two round anything.
    """
    count = mask.sum(dim, keepdim=True)  # [days, 1]
    values = values.float().masked_fill(~mask, 0.0)
    centred = (values - values.sum(dim, keepdim=True) / count).masked_fill(~mask, 0.0)
    low, high = (values.detach().masked_fill(~mask, end) for end in (torch.inf, -torch.inf))
    varies = low.amin(dim, keepdim=True) < high.amax(dim, keepdim=True)  # [days, 1]
    largest = centred.detach().abs().amax(dim, keepdim=True)  # [days, 1]
    exponent = torch.where(varies, torch.frexp(largest).exponent.clamp(-LARGEST, LARGEST), 0)
    scaled = centred * torch.ldexp(torch.ones_like(largest), -exponent)
    # rounding leaves a constant's deviations beside 0; they keep a gradient, so that a net can leave that point
    return torch.where(varies, scaled, scaled - scaled.detach())


def cross_sectional_rank(values: Tensor, mask: Tensor) -> Tensor:
    """Rank of each stock within its day, from 1, ties averaged: ``[days, stocks]`` -> ``[days, stocks]``."""
    filled = values.masked_fill(~mask, torch.inf).contiguous()
    ascending = filled.sort(dim=1).values
    below = torch.searchsorted(ascending, filled, right=False)
    up_to = torch.searchsorted(ascending, filled, right=True)
    return (below + up_to + 1) / 2  # [days, stocks]


def rank_information_coefficient(prediction: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    """Spearman correlation of each day's cross-section, the Rank IC: ``[days, stocks]`` -> ``[days]``.

    ``Rank IC_t = IC(rank p_t, rank y_t)``, ties averaged; 0 as in the IC.

    Source: Orient Securities, factor selection series 110 (2024-02-19), section 2.1; equal to Qlib's ``calc_ic``.
    """
    return information_coefficient(cross_sectional_rank(prediction, mask), cross_sectional_rank(label, mask), mask)

"""Standardising what is read of the stocks of a day against each other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from qlib_ext.cross_section.robust import REACH, SCALED_MAD


def standardise(x: Tensor, mask: Tensor) -> Tensor:
    """``z = (c - mean c) / std c``, ``c = clip(x, m - r, m + r)``, per day and per place of x over the day's stocks.

    ``m = median x``, ``r = 3 * 1.4826 median |x - m|``; a median of an even number of values is the mean of the two in
    the middle, std is that of a sample. Values that are missing, NaN or infinite, take no part and become 0, and so
    does every value of a place where r = 0: one stock, or half of the stocks alike.

    x [samples, ...] day after day, mask [days, stocks] which stocks each day has -> [samples, ...] float32, finite.
    Source: Orient Securities, factor selection series 96 (2023-08-24), section 1.1.
    """
    values = x.flatten(1)  # [samples, places]
    padded = mask.numel() > len(x)
    if padded:
        samples = places_of(mask, len(x)).unbind(1)
        values = x.new_full((*mask.shape, values.shape[1]), torch.nan).index_put_(samples, values)
    values = values.view(*mask.shape, -1).transpose(1, 2)  # [days, places, stocks]
    values = values.clone(memory_format=torch.contiguous_format)
    values.masked_fill_(values.isinf(), torch.nan)
    values -= median(values)
    reach = REACH * SCALED_MAD * median(values.abs())  # [days, places, 1]
    # in units of the reach, so that no square is too large or too small for float32; x / NaN where there is no reach
    values /= reach.masked_fill(reach == 0, torch.nan)
    values.clamp_(-1, 1)
    known = (~values.isnan()).sum(-1, keepdim=True)
    values -= values.nanmean(-1, keepdim=True)
    values /= (values.square().nansum(-1, keepdim=True) / (known - 1)).sqrt()
    values = values.nan_to_num_(0.0).transpose(1, 2)  # [days, stocks, places]
    return (values[samples] if padded else values).reshape(x.shape)


def places_of(mask: Tensor, count: int) -> Tensor:
    """Where a mask is True, as ``mask.nonzero()``, in order: ``[count, dimensions]``.

    The caller knows ``count`` on the host; to ask a GPU for it, as an index that is a mask does, is to wait for it.
    """
    return torch.nonzero_static(mask, size=count)


def median(values: Tensor) -> Tensor:
    """The median of what is not NaN along the last dimension: ``[..., n] -> [..., 1]``."""
    known = (~values.isnan()).sum(-1, keepdim=True)  # [..., 1]
    ordered = ascending(values)
    lower, upper = (ordered.gather(-1, at) for at in (((known - 1) // 2).clamp_(min=0), known // 2))
    return (lower + upper) / 2


def ascending(values: Tensor) -> Tensor:
    """The values in order along the last dimension, NaN last."""
    if values.is_cpu:
        return torch.from_numpy(np.sort(values.numpy()))  # torch sorts without SIMD, many times slower
    return values.sort(-1).values

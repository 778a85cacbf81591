"""Where each value stands among those of the day's stocks."""

from __future__ import annotations

import torch
from torch import Tensor

from qlib_ext.cross_section.standardise import places_of
from qlib_ext.cross_section.tensor_ic import cross_sectional_rank


def percentiles(x: Tensor, mask: Tensor) -> Tensor:
    """``(r - 1/2) / n - 1/2``, r the rank among the n stocks of the day that have a value, ties averaged; -1/2 to 1/2.

    Values that are missing, NaN or infinite, take no part and become 0, the middle.

    x [samples, ...] day after day, mask [days, stocks] which stocks each day has -> [samples, ...] float32.
    """
    flat = x.flatten(1)  # [samples, places]
    row, column = places_of(mask, len(x)).unbind(1)
    values = flat.new_full((*mask.shape, flat.shape[1]), torch.nan).index_put_((row, column), flat)
    values = values.transpose(1, 2).flatten(0, 1)  # [days * places, stocks]
    known = values.isfinite()
    ranks = cross_sectional_rank(values, known)
    shares = (ranks - 0.5) / known.sum(1, keepdim=True) - 0.5
    shares = shares.masked_fill(~known, 0.0).unflatten(0, (len(mask), -1))  # [days, places, stocks]
    return shares.transpose(1, 2)[row, column].reshape(x.shape).float()

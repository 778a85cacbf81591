"""Weighted sums over the edges of a graph, without a list of all their terms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 2048  # edges whose terms stay in the cache of a CPU: written out whole they cost twice the time


def edge_sums(weight: Tensor, x: Tensor, target: Tensor, source: Tensor) -> Tensor:
    """``y_i = sum_e w_e x_source(e)`` over the edges e whose target is i, for several heads; 0 where there are none.

    weight [edges, heads], x [samples, heads, size], target and source [edges] -> [samples, heads, size]. Of the terms
    [edges, heads, size] a CPU holds some thousand edges at a time, in the backward pass, too.
    """
    sums: Tensor = _EdgeSums.apply(weight, x, target, source)
    return sums


class _EdgeSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor, target: Tensor, source: Tensor) -> Tensor:
        ctx.save_for_backward(weight, x, target, source)
        sums = torch.zeros_like(x)
        for part in _chunks(target):
            terms = weight[part, :, None] * x.index_select(0, source[part])  # [edges of the part, heads, size]
            sums.index_add_(0, target[part], terms)
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        weight, x, target, source = ctx.saved_tensors
        of_weight, of_x = torch.empty_like(weight), torch.zeros_like(x)
        for part in _chunks(target):
            own = gradient.index_select(0, target[part])  # [edges of the part, heads, size]
            of_weight[part] = (own * x.index_select(0, source[part])).sum(2)
            of_x.index_add_(0, source[part], own * weight[part, :, None])
        return of_weight, of_x, None, None


def _chunks(edges: Tensor) -> Iterator[slice]:
    """Parts of the edges; all of them at once where the cache of a CPU does not matter."""
    size = CHUNK if edges.is_cpu else max(len(edges), 1)
    for low in range(0, len(edges), size):
        yield slice(low, low + size)

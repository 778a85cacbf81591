"""Sums over edges are those of a walk over them, and so are their gradients, however the edges are cut."""

from __future__ import annotations

import pytest
import torch

from qlib_ext.layers import edge_sums as module
from qlib_ext.layers.edge_sums import edge_sums


@pytest.mark.parametrize("edges", [0, 1, 7, 30])
@pytest.mark.parametrize("chunk", [1, 7, 2048])
def test_sums_are_those_of_a_walk_over_the_edges(monkeypatch, edges, chunk):
    monkeypatch.setattr(module, "CHUNK", chunk)
    torch.manual_seed(edges)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(edges, 2, dtype=torch.float64, requires_grad=True)
    target, source = torch.randint(4, (2, edges))  # the last sample has no edge
    walk = 0 * x
    for e in range(edges):
        row = torch.zeros(5, dtype=torch.float64)
        row[target[e]] = 1
        walk = walk + row[:, None, None] * weight[e][:, None] * x[source[e]]
    sums = edge_sums(weight, x, target, source)
    torch.testing.assert_close(sums, walk)
    upstream = torch.randn(5, 2, 3, dtype=torch.float64)
    own = torch.autograd.grad(sums, (weight, x), upstream)
    theirs = torch.autograd.grad(walk, (weight, x), upstream, allow_unused=True)
    for mine, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(mine, torch.zeros_like(mine) if other is None else other)

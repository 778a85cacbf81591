from __future__ import annotations

import numpy as np
import pytest
import torch

from qlib_ext.layers.adaptive_graph import adaptive_adjacency
from qlib_ext.layers.graph_gru import GraphRecurrentEncoder


def cross_sections(days=2, stocks=7, steps=4):
    torch.manual_seed(0)
    mask = torch.arange(stocks) < torch.tensor([stocks, *range(3, 2 + days)])[:, None]
    return torch.randn(steps, days, stocks, 3), torch.randn(days, stocks, 2), mask


def reference(layer, x, a):
    """The equations, one day and step at a time, in numpy."""
    w_x, b = layer.of_x.weight.detach().numpy(), layer.of_x.bias.detach().numpy()
    w_h, w_c = (linear.weight.detach().numpy() for linear in (layer.of_h, layer.of_candidate))
    supports = [np.eye(len(a)), a, 2 * a @ a - np.eye(len(a))][: layer.order]
    wide = lambda y: np.hstack([t @ y for t in supports])  # noqa: E731
    sigmoid = lambda y: 1 / (1 + np.exp(-y))  # noqa: E731
    h = np.zeros((len(a), w_c.shape[0]))
    for x_t in x:
        of_x = wide(x_t) @ w_x.T + b
        of_h = wide(h) @ w_h.T
        size = h.shape[1]
        z, r = (sigmoid(of_x[:, p] + of_h[:, p]) for p in (slice(size), slice(size, 2 * size)))
        c = np.tanh(of_x[:, 2 * size :] + wide(r * h) @ w_c.T)
        h = z * h + (1 - z) * c
    return h


@pytest.mark.parametrize("order", [1, 2, 3])
def test_equals_the_equations_on_every_day(order):
    x, m, mask = cross_sections()
    layer = GraphRecurrentEncoder(3, 5, order)
    h = layer(x, adaptive_adjacency(m, mask, 0.2))[-1].detach().numpy()
    for day, there in enumerate(mask.numpy()):
        a = adaptive_adjacency(m[day : day + 1, there], mask[day : day + 1, there], 0.2)[0].numpy()
        np.testing.assert_allclose(h[day, there], reference(layer, x[:, day, there].numpy(), a), atol=1e-5)


def test_of_order_one_no_stock_hears_of_another():
    x, m, mask = cross_sections()
    layer = GraphRecurrentEncoder(3, 5, order=1)
    other = x.clone()
    other[:, :, 1:] = 9.0
    a = adaptive_adjacency(m, mask)
    torch.testing.assert_close(layer(other, a)[:, :, 0], layer(x, a)[:, :, 0])


def test_is_equivariant_under_permutations_and_indifferent_to_masked_stocks():
    x, m, mask = cross_sections()
    layer, order = GraphRecurrentEncoder(3, 5), torch.randperm(7)
    h = layer(x, adaptive_adjacency(m, mask, neighbours=3))
    permuted = layer(x[:, :, order], adaptive_adjacency(m[:, order], mask[:, order], neighbours=3))
    there = mask[:, order]
    torch.testing.assert_close(permuted[:, there], h[:, :, order][:, there])
    garbage = [y.masked_fill(~mask[..., None], 50.0) for y in (x, m)]
    for neighbours in (None, 3):
        changed = layer(garbage[0], adaptive_adjacency(garbage[1], mask, neighbours=neighbours))
        expected = layer(x, adaptive_adjacency(m, mask, neighbours=neighbours))
        torch.testing.assert_close(changed[:, mask], expected[:, mask])

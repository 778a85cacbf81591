from __future__ import annotations

import numpy as np
import pytest
import torch

from qlib_ext.layers.adaptive_graph import AdaptiveGraphConvolution, adaptive_adjacency


def reference(h: np.ndarray, m: np.ndarray, w: np.ndarray, v: np.ndarray) -> np.ndarray:
    """H W + softmax(ReLU(M M^T)) H V for the stocks of one day."""
    similarity = np.maximum(m @ m.T, 0)
    weight = np.exp(similarity - similarity.max(1, keepdims=True))
    adjacency = weight / weight.sum(1, keepdims=True)
    return h @ w + adjacency @ h @ v


def cross_sections():
    torch.manual_seed(0)
    mask = torch.arange(8) < torch.tensor([8, 5, 1])[:, None]
    return torch.randn(3, 8, 4), torch.randn(3, 8, 2), mask


@pytest.mark.parametrize("share_weight", [True, False])
def test_layer_equals_the_formula_on_every_day(share_weight):
    h, m, mask = cross_sections()
    layer = AdaptiveGraphConvolution(4, 6, share_weight)
    z = layer(h, adaptive_adjacency(m, mask)).detach().numpy()
    weights = [weight.detach().numpy().T for weight in layer.parameters()]
    assert len(weights) == 2 - share_weight
    for day, there in enumerate(mask.numpy()):
        expected = reference(h[day].numpy()[there], m[day].numpy()[there], weights[0], weights[-1])
        np.testing.assert_allclose(z[day, there], expected, atol=1e-5)


def test_layer_is_equivariant_under_permutations():
    h, m, mask = cross_sections()
    layer, order = AdaptiveGraphConvolution(4, 4), torch.randperm(8)
    z = layer(h, adaptive_adjacency(m, mask))
    permuted = layer(h[:, order], adaptive_adjacency(m[:, order], mask[:, order]))
    there = mask[:, order]
    torch.testing.assert_close(permuted[there], z[:, order][there])


def test_layer_is_indifferent_to_padding():
    h, m, mask = cross_sections()
    layer = AdaptiveGraphConvolution(4, 4)
    z = layer(h, adaptive_adjacency(m, mask))
    garbage = layer(
        h.masked_fill(~mask[..., None], 1e3), adaptive_adjacency(m.masked_fill(~mask[..., None], 1e3), mask)
    )
    torch.testing.assert_close(garbage[mask], z[mask])


def test_rows_of_the_adjacency_sum_to_one_over_the_stocks_that_are_there():
    _, m, mask = cross_sections()
    adjacency = adaptive_adjacency(m, mask)
    torch.testing.assert_close(adjacency.sum(2), torch.ones(3, 8))
    assert (adjacency.transpose(1, 2)[~mask] == 0).all()


@pytest.mark.parametrize("neighbours", [1, 3, 7])
def test_nearest_neighbours_are_the_largest_of_each_row_with_their_gradients(neighbours):
    _, m, mask = cross_sections()
    h, weight = torch.randn(3, 8, 4), torch.randn(3, 8, 4)
    gradients = []
    for dense in (True, False):
        vectors, values = m.clone().requires_grad_(), h.clone().requires_grad_()
        if dense:
            raw = (vectors @ vectors.transpose(1, 2)).masked_fill(~mask[:, None], -torch.inf)
            least = raw.detach().sort(dim=2, descending=True).values[:, :, neighbours - 1, None]
            kept = torch.relu(raw / 0.5).masked_fill((raw < least) | ~mask[:, None], -torch.inf)
            z = torch.softmax(kept, -1) @ values
        else:
            z = adaptive_adjacency(vectors, mask, 0.5, neighbours) @ values
        (z * weight)[mask].sum().backward()
        gradients.append((z.detach()[mask], vectors.grad, values.grad))
    torch.testing.assert_close(*gradients)


def test_as_many_neighbours_as_stocks_are_all_of_them():
    h, m, mask = cross_sections()
    torch.testing.assert_close(adaptive_adjacency(m, mask, neighbours=8) @ h, adaptive_adjacency(m, mask) @ h)


def test_an_infinite_temperature_is_the_mean_of_the_market():
    h, m, mask = cross_sections()
    mean = (h * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    heard = adaptive_adjacency(m, mask, temperature=torch.inf) @ h
    torch.testing.assert_close(heard, mean[:, None].expand_as(heard))

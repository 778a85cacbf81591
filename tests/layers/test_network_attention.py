"""Attention on networks equals a walk over the pairs; the state's weights begin equal."""

from __future__ import annotations

import math

import pytest
import torch

from qlib_ext.errors import ConfigError
from qlib_ext.layers.network_attention import NetworkAttention, StateWeights, entropy_lacking
from qlib_ext.layers.relation_graph import RelationGraph

SAMPLES = 9
GROUP = [0, 0, 1, 1, 1, -1, 2, 0, -1]  # relations 0, 1 and 3
EDGES = [(5, 0, 2), (0, 1, 2), (6, 8, 2), (6, 8, 4), (2, 0, 4)]  # target, source, relation


def graph():
    pairs = sorted({pair[:2] for pair in EDGES})
    target, source = torch.tensor(pairs).T
    return RelationGraph(
        group=torch.tensor(GROUP),
        group_relation=torch.tensor([0, 1, 3]),
        target=target,
        source=source,
        edge=torch.tensor([pairs.index(pair[:2]) for pair in EDGES]),
        relation=torch.tensor([pair[2] for pair in EDGES]),
        weight=torch.ones(len(EDGES)),
    )


def neighbours(i, relations):
    of_group = [0, 1, 3]
    found = {i}
    for j in range(SAMPLES):
        if GROUP[i] == GROUP[j] >= 0 and of_group[GROUP[i]] in relations:
            found.add(j)
    return found | {source for target, source, relation in EDGES if target == i and relation in relations}


@pytest.mark.parametrize("networks", [[{0, 1, 3}], [{0, 1, 3}, {2}, {4}], [{0, 2}, {1, 4}]])
def test_equals_a_walk_over_the_pairs(networks):
    torch.manual_seed(0)
    layer, h = NetworkAttention(5, len(networks), heads=2, size=3), torch.randn(SAMPLES, 5)
    found = layer(h, [graph().only(torch.tensor([r in kept for r in range(5)])) for kept in networks])
    assert found.shape == (SAMPLES, len(networks), 6)
    w = layer.transformation(h).view(SAMPLES, len(networks), 2, 3)
    a, b = (p.view(len(networks), 2, 3) for p in (layer.of_self, layer.of_neighbour))
    for k, relations in enumerate(networks):
        for m in range(2):
            for i in range(SAMPLES):
                near = sorted(neighbours(i, relations))
                logit = [a[k, m] @ w[i, k, m] + b[k, m] @ w[j, k, m] for j in near]
                logit = torch.stack([x if x > 0 else 0.2 * x for x in logit])
                expected = sum(p * w[j, k, m] for p, j in zip(logit.softmax(0), near, strict=True))
                torch.testing.assert_close(found[i, k, 3 * m : 3 * m + 3], expected)


def test_gradients_reach_all_that_is_learnt():
    layer, h = NetworkAttention(5, 2, heads=2, size=3), torch.randn(SAMPLES, 5, requires_grad=True)
    layer(h, [graph(), graph()]).square().sum().backward()
    for parameter in (h, *layer.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_the_states_weights_begin_equal_and_are_learnt():
    torch.manual_seed(0)
    layer, state = StateWeights(20, 3, 2), torch.randn(50, 20, 3)
    assert torch.allclose(layer(state), torch.full((50, 2), 0.5))
    wanted = (state[:, -5:, 0].sum(1) > 0).float()  # what the first factor did in the last week
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        (layer(state)[:, 0] - wanted).square().mean().backward()
        optimizer.step()
    found = layer(state)
    torch.testing.assert_close(found.sum(1), torch.ones(50))
    assert ((found[:, 0] > 0.5) == wanted.bool()).float().mean() > 0.9


def test_the_penalty_is_what_entropy_lacks():
    assert entropy_lacking(torch.full((4, 3), 1 / 3)).item() == pytest.approx(0, abs=1e-6)
    assert entropy_lacking(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).item() == pytest.approx(math.log(2))


def test_a_weight_of_zero_has_a_finite_gradient():
    logits = torch.tensor([[300.0, 0.0, -1.0]], requires_grad=True)
    entropy_lacking(logits.softmax(1)).backward()
    assert torch.isfinite(logits.grad).all()


def test_no_head_is_refused():
    with pytest.raises(ConfigError, match="not 1, 0 and 16"):
        NetworkAttention(4, 1, heads=0)

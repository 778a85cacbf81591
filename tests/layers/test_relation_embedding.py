"""Relational embedding equals a matrix of all pairs and their relation vectors, in float64, with its gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import leaky_relu

from qlib_ext.errors import ConfigError
from qlib_ext.layers.relation_embedding import SLOPE, STRENGTHS, RelationalEmbedding, attend_related
from tests.layers.graphs import dense, random_graph

RELATIONS = 6


def reference(layer, e, graph):
    """The formulas, written out."""
    related, a = dense(graph, RELATIONS)
    values = e
    if layer.by_degree:
        values = e / related.sum(0).clamp(min=1)[:, None]
    if layer.strength == "uniform":
        g = related.double()
    else:
        r = a @ layer.relation.double() + layer.bias.double()
        if layer.strength == "implicit":
            s, t = e @ layer.of_self.weight[0].double(), e @ layer.of_neighbour.weight[0].double()
            logit = leaky_relu(s[:, None] + t[None] + r, SLOPE).masked_fill(~related, -torch.inf)
            g = torch.softmax(logit, 1).masked_fill(~related, 0.0)
        else:
            g = leaky_relu(r, SLOPE) * related
            g = g * (e @ e.T) if layer.strength == "explicit" else g
    return torch.where(related, g, 0.0) @ values


def case(strength, stocks, groups, edges, seed, **options):
    torch.manual_seed(seed)
    layer = RelationalEmbedding(4, RELATIONS, strength, **options)
    if strength != "uniform":
        torch.nn.init.normal_(layer.relation)
    return layer, torch.randn(stocks, 4), random_graph(stocks, groups, edges, RELATIONS, seed)


@pytest.mark.parametrize("by_degree", [False, True])
@pytest.mark.parametrize("strength", STRENGTHS)
@settings(max_examples=30, deadline=None)
@given(
    stocks=st.integers(1, 24),
    groups=st.integers(1, 5),
    edges=st.integers(0, 60),
    own=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_dense_reference_with_its_gradients(strength, by_degree, stocks, groups, edges, own, seed):
    layer, e, graph = case(strength, stocks, groups, edges, seed, by_degree=by_degree)
    graph = graph.with_self() if own else graph
    outputs, gradients = [], []
    weight = torch.randn(stocks, 4)
    for inputs, forward in ((e.clone(), layer), (e.double(), lambda x, g: reference(layer, x, g))):
        inputs.requires_grad_()
        layer.zero_grad()
        output = forward(inputs, graph)
        (output * weight).sum().backward()
        outputs.append(output.detach().double())
        known = [inputs.grad, *(p.grad for p in layer.parameters())]
        gradients.append([torch.zeros(1) if g is None else g.double() for g in known])
    torch.testing.assert_close(*outputs, atol=2e-5, rtol=1e-4)
    for ours, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, expected, atol=2e-4, rtol=1e-3, check_dtype=False)


@pytest.mark.parametrize("scale", [0.0, 10.0, 80.0])
def test_extreme_logits(scale):
    _, e, graph = case("implicit", 20, 3, 0, seed=1)
    s, t = scale * torch.randn(20), scale * torch.randn(20)
    group = torch.randn(3)
    related, _ = dense(graph, RELATIONS)
    r = torch.zeros(20, 20, dtype=torch.float64) + group[graph.group][:, None]
    logit = leaky_relu(s.double()[:, None] + t[None] + r, SLOPE).masked_fill(~related, -torch.inf)
    expected = torch.softmax(logit, 1).masked_fill(~related, 0.0) @ e.double()
    ours = attend_related(s, t, e, group, torch.zeros(0), graph)
    torch.testing.assert_close(ours.double(), expected, atol=1e-4, rtol=1e-4)


def test_an_edge_within_a_group_adds_its_relation_to_the_groups():
    layer, e, graph = case("implicit", 12, 1, 40, seed=2)
    graph.group[:] = 0
    assert graph.inside.all()
    torch.testing.assert_close(layer(e, graph).double(), reference(layer, e.double(), graph), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_stock_without_neighbours_hears_nothing(strength):
    layer, e, graph = case(strength, 8, 2, 0, seed=3)
    graph.group[:2] = -1
    e.requires_grad_()
    out = layer(e, graph)
    assert (out[:2] == 0).all()
    out.sum().backward()
    assert torch.isfinite(e.grad).all()


@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_order_of_the_stocks_does_not_matter(strength):
    layer, e, graph = case(strength, 15, 3, 30, seed=4)
    order = torch.randperm(15)
    place = order.argsort()
    moved = random_graph(15, 3, 30, RELATIONS, 4)
    moved.group[:] = graph.group[order]
    moved.target[:], moved.source[:] = place[graph.target], place[graph.source]
    torch.testing.assert_close(layer(e[order], moved), layer(e, graph)[order], atol=1e-5, rtol=1e-5)


def test_padded_rows_stay_below_twice_the_samples():
    graph = random_graph(500, 40, 0)
    graph.group[:300] = 0
    places = sum(samples.numel() for _, samples in graph.layouts)
    assert places < 2 * (graph.group >= 0).sum()
    rows = torch.cat([samples[samples >= 0] for _, samples in graph.layouts])
    assert len(rows) == len(rows.unique())


def test_degree_counts_each_neighbour_once():
    graph = random_graph(30, 4, 200, seed=5)
    related, _ = dense(graph, RELATIONS)
    torch.testing.assert_close(graph.degree, related.sum(0).float())


def test_under_bfloat16_the_sums_stay_float32():
    layer, e, graph = case("implicit", 20, 3, 30, seed=6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = layer(e, graph)
    torch.testing.assert_close(half, layer(e, graph))


def test_an_unknown_strength_is_refused():
    with pytest.raises(ConfigError, match="is one of uniform, weighted, explicit, implicit, not 'strong'"):
        RelationalEmbedding(4, 2, "strong")

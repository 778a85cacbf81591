from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qlib.contrib.model.pytorch_gats_ts import GATModel

from qlib_ext.errors import ConfigError
from qlib_ext.layers.graph_attention import GraphAttention, attend

SLOPE = 0.01


def dense(s, t, h, mask):
    """The obvious way, in float64: a matrix of all pairs."""
    e = torch.nn.functional.leaky_relu(s.double()[:, :, None] + t.double()[:, None, :], SLOPE)
    return torch.softmax(e.masked_fill(~mask[:, None, :], -torch.inf), -1) @ h.double()


def case(days=2, stocks=9, scale=1.0, seed=0):
    torch.manual_seed(seed)
    mask = torch.arange(stocks) < torch.tensor([stocks, *torch.randint(1, stocks + 1, (days - 1,)).tolist()])[:, None]
    return scale * torch.randn(days, stocks), scale * torch.randn(days, stocks), torch.randn(days, stocks, 4), mask


@settings(max_examples=60, deadline=None)
@given(stocks=st.integers(1, 40), scale=st.sampled_from([0.0, 0.1, 1.0, 10.0, 80.0]), seed=st.integers(0, 100))
def test_attention_equals_the_dense_reference_with_its_gradients(stocks, scale, seed):
    s, t, h, mask = case(stocks=stocks, scale=scale, seed=seed)
    inputs = [x.clone().requires_grad_() for x in (s, t, h)]
    expected_inputs = [x.clone().double().requires_grad_() for x in (s, t, h)]
    weight = torch.randn(2, stocks, 4) * mask[..., None]
    ours, expected = attend(*inputs, mask), dense(*expected_inputs, mask)
    torch.testing.assert_close(ours[mask].double(), expected[mask], atol=1e-5, rtol=1e-5)
    (ours * weight)[mask].sum().backward()
    (expected * weight)[mask].sum().backward()
    for x, y in zip(inputs, expected_inputs, strict=True):
        torch.testing.assert_close(x.grad.double()[mask], y.grad[mask], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("value", [-80.0, 80.0])
def test_extreme_scores(value):
    s, t, h, mask = case(stocks=6)
    s[:, ::2], t[:, 1::2] = value, -value
    torch.testing.assert_close(attend(s, t, h, mask)[mask].double(), dense(s, t, h, mask)[mask], atol=1e-5, rtol=1e-5)


def test_ties_and_equal_scores():
    s, t, h, mask = case(stocks=12)
    for scores in (torch.round(t), torch.zeros_like(t), -s):
        torch.testing.assert_close(
            attend(s, scores, h, mask)[mask].double(), dense(s, scores, h, mask)[mask], atol=1e-5, rtol=1e-5
        )


def test_one_stock_attends_to_itself():
    s, t, h, mask = case(days=1, stocks=1)
    torch.testing.assert_close(attend(s, t, h, mask), h)


def test_what_is_masked_changes_nothing():
    s, t, h, mask = case(stocks=8)
    garbage = [x.masked_fill(~mask if x.dim() == 2 else ~mask[..., None], 1e6) for x in (s, t, h)]
    torch.testing.assert_close(attend(*garbage, mask)[mask], attend(s, t, h, mask)[mask])


def test_sums_are_float32_under_bfloat16():
    s, t, h, mask = case(stocks=30)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = attend(s, t, h, mask)
    torch.testing.assert_close(half, attend(s, t, h, mask))


def test_layer_equals_the_zoos_with_its_own_weights():
    theirs, layer = GATModel(d_feat=5, hidden_size=6), GraphAttention(6)
    layer.transformation[0].load_state_dict(theirs.transformation.state_dict())
    with torch.no_grad():
        layer.a[0].copy_(theirs.a)
    hidden = torch.randn(20, 6)
    expected = theirs.cal_attention(hidden, hidden).mm(hidden)
    ours = layer(hidden[None], torch.ones(1, 20, dtype=torch.bool))[0]
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_heads_are_averaged():
    layer, mask = GraphAttention(4, num_heads=3), torch.ones(2, 7, dtype=torch.bool)
    h = torch.randn(2, 7, 4)
    single = []
    for number in range(3):
        one = GraphAttention(4)
        one.transformation[0], one.a[0] = layer.transformation[number], layer.a[number]
        single.append(one(h, mask))
    torch.testing.assert_close(layer(h, mask), sum(single) / 3)


def test_layer_is_equivariant_under_permutations():
    layer, order = GraphAttention(4), torch.randperm(9)
    h, mask = case()[2:]
    there = mask[:, order]
    torch.testing.assert_close(layer(h[:, order], there)[there], layer(h, mask)[:, order][there])


def test_no_heads_are_refused():
    with pytest.raises(ConfigError, match="num_heads"):
        GraphAttention(4, num_heads=0)


def test_numpy_reference_of_the_formula():
    layer, h = GraphAttention(3), torch.randn(1, 5, 3)
    w = layer.transformation[0](h)[0].detach().numpy()
    a = layer.a[0].detach().numpy()[:, 0]
    expected = []
    for i in range(5):
        e = np.array([a[:3] @ w[j] + a[3:] @ w[i] for j in range(5)])
        e = np.exp(np.where(e > 0, e, SLOPE * e))
        expected.append((e / e.sum()) @ h[0].numpy())
    ours = layer(h, torch.ones(1, 5, dtype=torch.bool))[0].detach().numpy()
    np.testing.assert_allclose(ours, np.array(expected), atol=1e-5)

from __future__ import annotations

import torch

from qlib_ext.layers.multitask import MultiTaskHead


def test_every_prediction_is_linear_in_the_normalised_state_of_its_own_series():
    head, h = MultiTaskHead(5, 3), [torch.randn(20, 5) for _ in range(3)]
    scores = head(h)
    for k, state in enumerate(h):
        normal = (state - state.mean(0)) / torch.sqrt(state.var(0, correction=0) + 1e-5)
        y = normal @ head.linears[k].weight[0] + head.linears[k].bias
        standard = (y - y.mean()) / torch.sqrt(y.var(correction=0) + 1e-5)
        torch.testing.assert_close(scores.weak_factors[:, k], standard, atol=1e-4, rtol=1e-4)
        assert torch.equal(scores.state[:, 5 * k : 5 * k + 5], state)
    torch.testing.assert_close(scores.score, scores.weak_factors.mean(1))
    assert scores.normalised is scores.score


def test_the_mean_weighs_predictions_of_any_scale_alike():
    torch.manual_seed(0)
    head, h = MultiTaskHead(5, 2), [torch.randn(200, 5) for _ in range(2)]
    before = head(h).score
    with torch.no_grad():
        head.linears[0].weight *= 100
    torch.testing.assert_close(head(h).score, before, atol=1e-3, rtol=1e-3)

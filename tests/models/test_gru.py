"""The GRU whose one factor is a sigmoid: what it computes, and that another activation is refused."""

from __future__ import annotations

import pytest
import torch

from qlib_ext.errors import ConfigError
from qlib_ext.layers.weak_factors import WeakFactorHead
from qlib_ext.models.gru import GRU
from qlib_ext.testing.rows import dataset_of, random_rows


def test_one_sigmoid_of_the_normalised_state_is_the_score():
    head, h = WeakFactorHead(30, 1, "sigmoid"), torch.randn(50, 30)
    normal = (h - h.mean(0)) / torch.sqrt(h.var(0, correction=0) + 1e-5)
    expected = 1 / (1 + torch.exp(-(normal @ head.factors.weight[0] + head.factors.bias)))
    torch.testing.assert_close(head(h, h).score, expected)
    torch.testing.assert_close(head(h, h).weak_factors[:, 0], expected)


def test_scores_are_sigmoids_where_the_option_says_so():
    rows = random_rows()
    options = {"hidden_size": 8, "num_layers": 1, "num_factors": 1, "orthogonality": 0.0, "loss": "ic"}
    plain, sigmoid = (
        GRU(**options, activation=name, n_epochs=2, lr=0.01, GPU=-1, seed=0) for name in ("none", "sigmoid")
    )
    scores = []
    for model in (plain, sigmoid):
        model.fit(dataset_of(rows))
        scores.append(model.predict(dataset_of(rows)))
    assert scores[0].min() < 0
    assert scores[1].between(0, 1).all()


def test_another_activation_is_refused():
    with pytest.raises(ConfigError, match="activation is one of none, sigmoid, not 'relu'"):
        GRU(activation="relu")

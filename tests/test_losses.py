from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qlib_ext import losses
from qlib_ext.cross_section import tensor_ic
from qlib_ext.data.batch import Batch
from qlib_ext.layers.scores import Scores
from qlib_ext.layers.weak_factors import WeakFactorHead
from qlib_ext.models.gru import GRU


@pytest.fixture
def sections():
    """Three days of up to nine stocks, with ties in the label."""
    random = np.random.default_rng(0)
    prediction, label = random.standard_normal((3, 9)), random.integers(0, 4, (3, 9)).astype(float)
    mask = np.arange(9) < np.array([9, 6, 4])[:, None]
    return tuple(torch.from_numpy(a) for a in (prediction, label, mask))


def by_day(function, prediction, label, mask) -> np.ndarray:
    return np.array(
        [function(p[m], y[m]) for p, y, m in zip(*(a.numpy() for a in (prediction, label, mask)), strict=True)]
    )


def test_mean_squared_error(sections):
    p, y, m = (a.numpy() for a in sections)
    prediction, label, mask = sections
    assert losses.mean_squared_error(prediction[mask], label[mask]).item() == pytest.approx(((p - y)[m] ** 2).mean())


def test_negative_ic_is_the_mean_of_pearsons(sections):
    expected = by_day(lambda p, y: stats.pearsonr(p, y)[0], *sections)
    assert losses.negative_ic(*sections).item() == pytest.approx(-expected.mean(), abs=1e-6)


def test_soft_rank_becomes_the_rank(sections):
    prediction, _, mask = sections
    soft, hard = losses.soft_rank(prediction, mask, 1e-4), tensor_ic.cross_sectional_rank(prediction, mask)
    np.testing.assert_allclose(soft[mask], hard[mask], atol=1e-5)


def test_soft_rank_reference(sections):
    prediction, _, mask = sections
    soft = losses.soft_rank(prediction, mask, 0.5)
    for rank, p, m in zip(soft, prediction.numpy(), mask.numpy(), strict=True):
        s = (p[m] - p[m].mean()) / p[m].std()
        expected = [0.5 + sum(1 / (1 + np.exp(-(a - b) / 0.5)) for b in s) for a in s]
        np.testing.assert_allclose(rank[m], expected, atol=1e-5)


def test_rank_loss_has_a_gradient_and_falls_along_it(sections):
    prediction, label, mask = sections
    score = prediction.clone().requires_grad_()
    losses.negative_rank_ic(score, label, mask).backward()
    moved = prediction - 0.05 * score.grad
    assert losses.negative_rank_ic(moved, label, mask) < losses.negative_rank_ic(prediction, label, mask)
    assert (score.grad[~mask] == 0).all()


def pair_by_pair(prediction, label, mask):
    """The pairwise rank loss as its formula is read."""
    days = []
    for p, y, m in zip(prediction, label, mask, strict=True):
        p, y = p[m], y[m]
        wrong = torch.relu(-(p[:, None] - p[None]) * (y[:, None] - y[None]))
        days.append(wrong.sum() / max(len(p) * (len(p) - 1), 1))
    return torch.stack(days).mean()


@settings(max_examples=60, deadline=None)
@given(
    stocks=st.integers(2, 40),
    levels=st.sampled_from([2, 5, 1000]),
    shift=st.sampled_from([0.0, 100.0]),
    seed=st.integers(0, 1000),
    at_once=st.sampled_from([2, 8, 64]),
)
def test_pairwise_rank_equals_all_pairs_with_its_gradient(stocks, levels, shift, seed, at_once):
    random = np.random.default_rng(seed)
    prediction, label = (torch.from_numpy(random.integers(0, levels, (3, stocks)) / levels) for _ in range(2))
    mask = torch.from_numpy(random.random((3, stocks)) < 0.8)
    mask[:, 0] = True
    gradients = []
    for loss in (losses.pairwise_rank, pair_by_pair):
        score = (prediction + shift).requires_grad_()
        with patch.dict(losses.PAIRS_AT_ONCE, cpu=at_once):
            value = loss(score, label + shift, mask)
        value.backward()
        gradients.append((value.detach(), score.grad))
    torch.testing.assert_close(*gradients, atol=1e-10, rtol=1e-8)


def test_the_loss_rank_of_a_model_adds_a_share_of_the_pairs(sections):
    p, y, mask = sections
    score, nowhere = p[mask], torch.zeros(int(mask.sum()))
    batch = Batch(nowhere, y[mask][:, None], nowhere, nowhere, None, mask)
    loss = GRU(loss="rank", rank_weight=3.0).loss(Scores(nowhere, score, None, nowhere), batch)
    torch.testing.assert_close(loss, losses.mean_squared_error(score, y[mask]) + 3 * pair_by_pair(p, y, mask))


@pytest.mark.parametrize("loss", list(losses.CROSS_SECTIONAL_LOSSES.values()))
def test_padding_changes_no_loss(loss, sections):
    prediction, label, mask = sections
    padded = [
        torch.cat([a, fill], 1)
        for a, fill in ((prediction, torch.full((3, 5), 7.0)), (label, torch.full((3, 5), -3.0)))
    ]
    wider = torch.cat([mask, torch.zeros(3, 5, dtype=torch.bool)], 1)
    torch.testing.assert_close(loss(*padded, wider), loss(prediction, label, mask))


SCALES = [1e-30, 1e-6, 1.0, 1e20]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("loss", [losses.negative_ic, losses.negative_rank_ic])
def test_correlation_losses_are_of_no_scale(loss, scale, sections):
    prediction, label, mask = sections
    score = (prediction * scale).requires_grad_()
    found = loss(score, label * scale, mask)
    found.backward()
    torch.testing.assert_close(found, loss(prediction, label, mask))
    expected = prediction.clone().requires_grad_()
    loss(expected, label, mask).backward()
    torch.testing.assert_close(score.grad * scale, expected.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_orthogonality_is_of_no_scale(scale):
    z = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(losses.orthogonality(z * scale), losses.orthogonality(z))


@pytest.mark.parametrize("value", [0.0, 1e-30, 0.1, 1e20])
@pytest.mark.parametrize("loss", [losses.negative_ic, losses.negative_rank_ic])
def test_a_constant_day_has_no_correlation_and_a_gradient_that_leads_away(loss, value):
    score = torch.full((1, 5), value, requires_grad=True)
    label, mask = torch.arange(5.0)[None], torch.ones(1, 5, dtype=torch.bool)
    found = loss(score, label, mask)
    found.backward()
    assert found.item() == 0
    assert torch.isfinite(score.grad).all()
    assert score.grad[0, 0] > 0 > score.grad[0, -1]


def test_a_constant_weak_factor_is_orthogonal_to_the_others():
    z = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    z[:, 2] = 0.1
    z.requires_grad_()
    found = losses.orthogonality(z)
    found.backward()
    torch.testing.assert_close(found * 9, losses.orthogonality(z[:, :2]) * 4)
    assert torch.isfinite(z.grad).all()


def test_orthogonality_is_the_norm_of_numpys_correlation_matrix():
    z = torch.randn(50, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64)
    standard = (z - z.mean(0)) / z.std(0, correction=0)
    report = np.linalg.norm(standard.T @ standard) / (50 * 6**2)
    np.testing.assert_allclose(losses.orthogonality(z), report, rtol=1e-5)
    np.testing.assert_allclose(losses.orthogonality(z), np.linalg.norm(np.corrcoef(z.T)) / 6**2, rtol=1e-5)


@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_multi_task_loss_reference(sections, tasks):
    _, label, mask = sections
    y = np.random.default_rng(3).standard_normal((tasks, 3, 9))
    defined = np.array([[True, True, True], [True, False, True], [False, False, True]])[:tasks]
    total = []
    for day, m in enumerate(mask.numpy()):
        of_task = [stats.pearsonr(y[k, day, m], label[day, m])[0] for k in range(tasks) if defined[k, day]]
        pairs = [(i, j) for i in range(tasks) for j in range(i) if defined[i, day] and defined[j, day]]
        total.append(-sum(of_task) + 0.3 * sum(stats.pearsonr(y[i, day, m], y[j, day, m])[0] for i, j in pairs))
    ours = losses.multi_task_loss(torch.from_numpy(y), label, mask, torch.from_numpy(defined), 0.3)
    assert ours.item() == pytest.approx(np.mean(total), abs=1e-6)


def test_an_undefined_correlation_has_no_gradient(sections):
    _, label, mask = sections
    y = torch.randn(2, 3, 9, requires_grad=True)
    defined = torch.tensor([[True, True, False], [True, False, False]])
    losses.multi_task_loss(y, label, mask, defined, 0.5).backward()
    assert torch.equal(y.grad.abs().amax(2) > 0, defined)
    assert (y.grad[:, ~mask] == 0).all()


def test_graph_proximity_reference():
    random = np.random.default_rng(1)
    state = random.standard_normal((2, 7, 3))
    related = random.random((2, 7, 7)) < 0.4  # not the same both ways, as edges
    known = random.random((2, 7)) < 0.7
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    total = []
    for o, r, k in zip(state, related, known, strict=True):
        stocks = np.flatnonzero(k)
        for i in stocks:
            near = [-np.log(sigmoid(o[i] @ o[j])) for j in stocks if j != i and r[i, j]]
            far = [-np.log(sigmoid(-o[i] @ o[j])) for j in stocks if j != i and not r[i, j]]
            total.append((np.mean(near) if near else 0) + (np.mean(far) if far else 0))
    ours = losses.graph_proximity(*(torch.from_numpy(a) for a in (state, related, known)))
    assert ours.item() == pytest.approx(np.mean(total), rel=1e-5)


def test_head_is_the_mean_of_linear_factors_of_the_normalised_state():
    head, h = WeakFactorHead(5, 3), torch.randn(20, 5)
    scores = head(h, h)
    normal = (h - h.mean(0)) / torch.sqrt(h.var(0, correction=0) + 1e-5)
    z = normal @ head.factors.weight.T + head.factors.bias
    torch.testing.assert_close(scores.weak_factors, z, atol=1e-5, rtol=1e-5)
    c = z.mean(1)
    torch.testing.assert_close(scores.score, c, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        scores.normalised, (c - c.mean()) / torch.sqrt(c.var(correction=0) + 1e-5), atol=1e-4, rtol=1e-4
    )

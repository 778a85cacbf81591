"""The pool's residuals are those of a regression day by day, and each rule refuses what it is for."""

from __future__ import annotations

import numpy as np
import pytest

from qlib_ext.search.choice import forward
from qlib_ext.search.evaluation import Measured, unit_ranks
from qlib_ext.search.pool import Pool, Rules
from qlib_ext.search.tree import Node

DAYS, TRAIN, STOCKS = 160, 120, 80


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def measured(values, labels, coverage=1.0):
    ranks = unit_ranks(values)
    ic = (ranks * labels).sum(1, dtype=np.float64)
    return Measured(ic, coverage, 0.2, ranks[:TRAIN])


@pytest.fixture
def world(rng):
    """Labels made of two factors and noise, the factors, and a pool without any."""
    a, b, noise = rng.standard_normal((3, DAYS, STOCKS))
    labels = unit_ranks(a + b + 2 * noise)
    return labels, a, b, Pool(labels[:TRAIN], Rules(), (2, 1))


def by_regression(values, others, labels):
    """The correlation of the labels with the residuals of a regression on the others, day by day."""
    result = []
    for day, own in enumerate(values):
        x = np.stack([other[day] for other in others], axis=1).astype(float)
        left = own - x @ np.linalg.lstsq(x, own, rcond=None)[0]
        result.append(left @ labels[day] / np.linalg.norm(left))
    return np.array(result)


def test_a_residual_is_that_of_a_regression(world, rng):
    labels, a, b, pool = world
    for number, values in enumerate((a, b)):
        assert pool.offer(Node(f"${number}"), measured(values, labels), TRAIN, 100) == ""
    ranks = unit_ranks(a + 0.5 * b + rng.standard_normal(a.shape))[:TRAIN]
    expected = by_regression(ranks, [unit_ranks(values)[:TRAIN] for values in (a, b)], labels[:TRAIN])
    np.testing.assert_allclose(pool.residual_ic(ranks), expected, atol=2e-5)
    left = by_regression(labels[:TRAIN], [unit_ranks(values)[:TRAIN] for values in (a, b)], pool.residual)
    np.testing.assert_allclose(left, np.linalg.norm(pool.residual, axis=1), atol=2e-5)


def test_what_is_there_already_leaves_nothing(world):
    labels, a, b, pool = world
    for values in (a, b):
        pool.offer(Node("$x"), measured(values, labels), TRAIN, 100)
    assert np.isnan(pool.residual_ic(unit_ranks(a)[:TRAIN])).all()


def test_each_rule_refuses(world, rng):
    labels, a, b, pool = world
    own, noise = Node("$x"), rng.standard_normal(a.shape)
    turned = a.copy()
    turned[: TRAIN // 2] *= -1
    late = a.copy()
    late[TRAIN:] *= -1
    assert pool.offer(own, measured(a, labels, coverage=0.7), TRAIN, 100) == "coverage"
    assert pool.offer(own, measured(turned, labels), TRAIN, 100) == "signs"
    assert pool.offer(own, measured(noise, labels), TRAIN, 100) in ("t", "signs")
    assert pool.offer(own, measured(late, labels), TRAIN, 100) == "validation"
    strict = Pool(labels[:TRAIN], Rules(margin=100.0), (2, 1))
    assert strict.offer(own, measured(a, labels), TRAIN, 100) == "t"
    assert pool.offer(own, measured(a, labels), TRAIN, 100) == ""
    assert pool.offer(own, measured(a + 0.3 * noise, labels), TRAIN, 100) == "correlation"
    assert pool.offer(own, measured(a + 1.2 * noise, labels), TRAIN, 100) == "residual"
    assert pool.offer(own, measured(-b, labels), TRAIN, 100) == ""
    assert [factor.icir > 0 for factor in pool.factors] == [True, False]


def test_a_better_one_takes_the_place_of_a_close_one(world):
    labels, a, b, pool = world
    pool.offer(Node("$alone"), measured(a, labels), TRAIN, 100)
    both = a + 0.9 * b
    assert abs(pool.correlations(unit_ranks(both)[:TRAIN])[0]) > 0.7
    assert pool.offer(Node("$both"), measured(both, labels), TRAIN, 100) == ""
    assert [factor.node.text for factor in pool.factors] == ["$both"]
    fresh = Pool(labels[:TRAIN], Rules(), (2, 1))
    fresh.offer(Node("$both"), measured(both, labels), TRAIN, 100)
    np.testing.assert_array_equal(pool.residual, fresh.residual)


def test_a_full_pool_takes_no_more(world):
    labels, a, b, _ = world
    pool = Pool(labels[:TRAIN], Rules(pool=1), (2, 1))
    assert pool.offer(Node("$a"), measured(a, labels), TRAIN, 100) == ""
    assert pool.offer(Node("$b"), measured(b, labels), TRAIN, 100) == "full"


def test_the_forward_choice_takes_what_adds_most(rng):
    a, b, c, noise = rng.standard_normal((4, DAYS, STOCKS))
    labels = unit_ranks(a + 0.6 * b + noise)
    ranks = [unit_ranks(values) for values in (-b, a + 0.1 * noise, a + 0.5 * c, c)]
    order = forward(ranks, labels, [-1.0, 1.0, 1.0, 1.0], 3)
    assert [place for place, _ in order[:2]] == [1, 0]
    alone = (ranks[1] * labels).sum(1)
    assert order[0][1] == pytest.approx(alone.mean() / alone.std(ddof=1), rel=1e-4)
    second = by_regression(ranks[0], [ranks[1]], labels)
    assert order[1][1] == pytest.approx(-second.mean() / second.std(ddof=1), rel=1e-3)
    assert forward([ranks[1]], labels, [-1.0], 3) == [], "what points the wrong way adds nothing"

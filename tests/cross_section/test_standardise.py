from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.cross_section import robust
from qlib_ext.cross_section.standardise import median, standardise
from tests.slow import standardised_places

EIGHTHS = st.integers(-400, 400).map(lambda n: n / 8)  # exact in float32, with many that are equal
MISSING = st.sampled_from([np.nan, np.inf, -np.inf])


def one_day(values) -> np.ndarray:
    x = torch.tensor(values, dtype=torch.float32)
    return standardise(x, torch.ones(1, len(x), dtype=torch.bool)).numpy()


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(1, 3), st.sampled_from([0.0, 0.2, 0.9]))
def test_a_day_equals_the_slow_reference(data, stocks, places, share):
    values = np.array(data.draw(st.lists(EIGHTHS, min_size=stocks * places, max_size=stocks * places)))
    holes = np.array(data.draw(st.lists(MISSING, min_size=stocks * places, max_size=stocks * places)))
    missing = np.random.default_rng(stocks).random(stocks * places) < share
    values = np.where(missing, holes, values).reshape(stocks, places)
    np.testing.assert_allclose(one_day(values), standardised_places(values), rtol=1e-4, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-30, 1.0, 1e30]), even=st.booleans())
def test_scale_and_sign_of_the_values_do_not_matter(seed, scale, even):
    values = np.random.default_rng(seed).standard_cauchy((20 + even, 3))
    expected = one_day(values)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(one_day(values * scale), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(one_day(-values), -expected, rtol=1e-3, atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), counts=st.lists(st.integers(1, 8), min_size=1, max_size=5))
def test_a_day_is_standardised_alike_alone_and_among_others(seed, counts):
    random = np.random.default_rng(seed)
    x = random.standard_normal((sum(counts), 2, 3)).astype(np.float32)
    x[random.random(x.shape) < 0.2] = np.nan
    mask = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    together = standardise(torch.from_numpy(x), mask).numpy()
    assert together.shape == x.shape
    for last, count in zip(np.cumsum(counts), counts, strict=True):
        own = slice(last - count, last)
        np.testing.assert_allclose(together[own], one_day(x[own]), atol=1e-5)


def test_the_input_is_left_alone_whatever_its_layout():
    x = torch.randn(4, 6, 3).transpose(0, 1)  # [6, 4, 3], as windows are laid out
    before = x.clone()
    shaped = standardise(x, torch.ones(1, 6, dtype=torch.bool))
    assert torch.equal(x, before)
    np.testing.assert_array_equal(shaped.numpy(), one_day(before.numpy()))


def test_an_outlier_is_drawn_in_to_three_scaled_mads():
    values = [[-2.0], [-1.0], [0.0], [1.0], [1000.0]]
    clipped = np.array([-2, -1, 0, 1, 3 * 1.4826])
    np.testing.assert_allclose(one_day(values)[:, 0], (clipped - clipped.mean()) / clipped.std(ddof=1), rtol=1e-5)


@pytest.mark.parametrize("value", [0.1, 1e30, 123456.7])
def test_a_place_without_spread_is_zero(value):
    assert (one_day([[value]] * 7) == 0).all()
    assert (one_day([[value]]) == 0).all()
    assert (one_day([[value]] * 4 + [[2 * value]]) == 0).all(), "half of the stocks are alike"


@pytest.mark.parametrize("n", range(1, 8))
def test_the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle(n):
    values = np.random.default_rng(n).standard_normal((5, n)).astype(np.float32)
    for found in (median(torch.from_numpy(values)).numpy(), robust.median(values)):
        np.testing.assert_allclose(found, np.median(values, axis=-1, keepdims=True), rtol=1e-6)


def test_the_median_passes_over_what_is_missing():
    values = np.array([[np.nan, 3.0, 1.0, np.nan], [np.nan] * 4, [2.0, np.nan, 4.0, 9.0]])
    np.testing.assert_array_equal(robust.median(values)[:, 0], [2.0, np.nan, 4.0])

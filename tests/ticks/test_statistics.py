"""skew, kurt and corr are scipy's, and undefined for series that are constant but for noise."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qlib_ext.ticks.statistics import corr, kurt, skew

X, Y = pl.col("x"), pl.col("y")
FORMULAS = {
    "skew": (skew(X), lambda x, y: stats.skew(x, bias=False), 3),
    "kurt": (kurt(X), lambda x, y: stats.kurtosis(x, bias=False), 4),
    "corr": (corr(X, Y), lambda x, y: stats.pearsonr(x, y)[0], 2),
}
# offset and spread of the series that the factors ask for: returns, volumes; prices with a tick of 0.01 for corr alone
SERIES = [(0.0, 1e-4), (0.0, 1e4), (1e4, 100.0)]
PRICES = [(10.0, 0.01), (1800.0, 0.01)]


def of(formula, x, y=None):
    frame = pl.DataFrame({"group": [0] * len(x), "x": x, "y": x if y is None else y})
    return frame.group_by("group").agg(value=formula)["value"][0]


@pytest.mark.parametrize("name", FORMULAS)
@given(
    data=st.data(),
    size=st.integers(0, 40),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None, max_examples=30)
def test_equal_scipy_from_the_fewest_points_on(name, data, size, seed):
    offset, scale = data.draw(st.sampled_from(SERIES + PRICES * (name == "corr")))
    formula, scipys, fewest = FORMULAS[name]
    dice = np.random.default_rng(seed)
    x, y = offset + scale * dice.lognormal(size=fewest + size), dice.normal(size=fewest + size)
    assert of(formula, x, y) == pytest.approx(scipys(x, y), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_too_few_points_are_undefined(name):
    formula, _, fewest = FORMULAS[name]
    assert of(formula, np.arange(fewest - 1.0)) is None


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("level", [0.0, 0.1, 1800.0, 1e9])
def test_noise_is_no_variance(name, level):
    formula, _, _ = FORMULAS[name]
    x = level + 1e-16 * max(level, 1.0) * np.arange(20)
    assert of(formula, x, np.arange(20.0)) is None
    assert of(formula, x + 0.01 * (np.arange(20) % 3), np.arange(20.0)) is not None
    assert of(corr(Y, X), x, np.arange(20.0)) is None

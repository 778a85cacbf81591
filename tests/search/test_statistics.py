"""Each statistic equals an independent one."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from qlib_ext.search.statistics import bar_of, icir, parts_of_sign, shuffled_within_days, t_of_ic


@pytest.fixture
def ic():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(400)
    series = 0.02 + 0.1 * np.convolve(noise, np.ones(10) / 10, "same")
    series[rng.random(400) < 0.1] = np.nan
    return series


@pytest.mark.parametrize("lag", [0, 4, 20])
def test_the_t_is_that_of_statsmodels(ic, lag):
    known = ic[~np.isnan(ic)]
    fit = sm.OLS(known, np.ones(len(known))).fit(cov_type="HAC", cov_kwds={"maxlags": lag})
    assert t_of_ic(ic, lag) == pytest.approx(fit.tvalues[0], rel=1e-10)


def test_overlap_lowers_the_t(ic):
    assert abs(t_of_ic(ic, 20)) < 0.6 * abs(t_of_ic(ic, 0))


def test_too_few_or_constant_days_have_no_t_and_no_icir():
    for values in (np.full(5, np.nan), np.full(30, 0.1), np.array([0.1])):
        assert np.isnan(t_of_ic(values, 2))
        assert np.isnan(icir(values))
    assert icir(np.array([0.1, np.nan, 0.3])) == pytest.approx(0.2 / np.std([0.1, 0.3], ddof=1))


def test_the_bar_is_above_the_best_of_as_many_chances():
    best = np.abs(np.random.default_rng(0).standard_normal((200, 1000))).max(axis=1)
    assert np.mean(best > bar_of(1000, 0.0)) < 0.5
    assert np.mean(best > bar_of(1000, 0.5)) < 0.06
    assert bar_of(1, 0.5) == 0.5


def test_parts_of_a_sign():
    assert parts_of_sign(np.repeat([1.0, 1.0, -0.5, 1.0], 10)) == 3
    assert parts_of_sign(-np.repeat([1.0, 1.0, 1.0, 1.0], 10)) == 4
    assert parts_of_sign(np.full(8, np.nan)) == 0


def test_shuffled_labels_stay_on_their_day():
    labels = np.random.default_rng(0).standard_normal((30, 20))
    labels[labels > 1] = np.nan
    shuffled = shuffled_within_days(labels, 3)
    np.testing.assert_array_equal(np.isnan(shuffled), np.isnan(labels))
    np.testing.assert_array_equal(np.sort(shuffled, axis=1), np.sort(labels, axis=1))
    assert not np.array_equal(shuffled, labels, equal_nan=True)
    np.testing.assert_array_equal(shuffled, shuffled_within_days(labels, 3))

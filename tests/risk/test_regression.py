"""The regression of a day: equal to statsmodels, exact, and honest about factors that cannot be told apart."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.errors import DataError
from qlib_ext.risk.regression import design, fit

NAMES = ["market", "industry_1", "industry_2", "industry_3", "size", "value"]


def drawn(seed=0, stocks=60):
    random = np.random.default_rng(seed)
    industry = np.concatenate([np.repeat([1, 2, 3], 5), random.integers(1, 4, stocks - 15)])
    x = design(industry, [1, 2, 3], random.standard_normal((stocks, 2)))
    return 0.02 * random.standard_normal(stocks), x, np.exp(20 + random.standard_normal(stocks))


def test_it_equals_statsmodels():
    returns, x, cap = drawn()
    share = cap @ x[:, 1:4]
    # one industry written as the others', in the plainest way: r = m + sum_k f_k (d_k - c_k / c_3 d_3) + styles
    plain = np.column_stack(
        [x[:, 0], x[:, 1] - share[0] / share[2] * x[:, 3], x[:, 2] - share[1] / share[2] * x[:, 3], x[:, 4:]]
    )
    reference = sm.WLS(returns, plain, weights=np.sqrt(cap)).fit()
    got = fit(returns, x, cap, 3, NAMES)
    kept = [0, 1, 2, 4, 5]
    np.testing.assert_allclose(got.returns[kept], reference.params, rtol=1e-9)
    np.testing.assert_allclose(got.t_statistics[kept], reference.tvalues, rtol=1e-9)
    np.testing.assert_allclose(got.residuals, reference.resid, atol=1e-14)
    assert abs(got.r_squared - reference.rsquared) < 1e-12
    third = np.array([0, -share[0] / share[2], -share[1] / share[2], 0, 0])
    test = reference.t_test(third)
    np.testing.assert_allclose(
        [got.returns[3], got.t_statistics[3]], [test.effect.item(), test.tvalue.item()], rtol=1e-9
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 200))
def test_factors_and_residuals_are_the_returns(seed, stocks):
    returns, x, cap = drawn(seed, stocks)
    got = fit(returns, x, cap, 3, NAMES)
    np.testing.assert_allclose(x @ got.returns + got.residuals, returns, rtol=0, atol=1e-12)
    industries = (cap @ x[:, 1:4]) / cap.sum()
    assert abs(industries @ got.returns[1:4]) < 1e-12
    np.testing.assert_allclose(x[:, 4:].T @ (np.sqrt(cap) * got.residuals) / np.sqrt(cap).sum(), 0, atol=1e-12)


def test_one_industry_is_the_market():
    returns, x, cap = drawn()
    alone = np.column_stack([x[:, 0], x[:, 0], x[:, 4:]])
    got = fit(returns, alone, cap, 1, ["market", "industry_1", "size", "value"])
    assert got.returns[1] == 0
    np.testing.assert_allclose(got.returns[0], sm.WLS(returns, alone[:, 1:], weights=np.sqrt(cap)).fit().params[0])


def test_factors_that_are_alike_are_named():
    returns, x, cap = drawn()
    twice = np.column_stack([x, 2 * x[:, 4]])
    with pytest.raises(DataError, match=r"The factors (size, twice|twice, size) cannot be told apart"):
        fit(returns, twice, cap, 3, [*NAMES, "twice"])
    with pytest.raises(DataError, match="The factor nothing is 0 for all stocks"):
        fit(returns, np.column_stack([x, 0 * x[:, 4]]), cap, 3, [*NAMES, "nothing"])

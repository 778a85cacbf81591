"""Each split beside the slow reading of its formula, and that it adds up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlib_ext.portfolio.attribution import (
    Trading,
    brinson,
    linked,
    return_effects,
    risk_shares,
    stock_risk_shares,
)
from tests.portfolio.days import random_day

seeds = st.integers(0, 10**6)


def weights_of(random, n: int, whole: float = 1.0) -> np.ndarray:
    drawn = random.random(n) * (random.random(n) < 0.6)
    drawn[0] += 0.1
    return whole * drawn / drawn.sum()


@given(seed=seeds)
def test_the_effects_of_a_day_add_up(seed):
    random = np.random.default_rng(seed)
    n, k = 30, 6
    w, b, r = weights_of(random, n, 0.98), weights_of(random, n), 0.03 * random.standard_normal(n)
    x = pd.DataFrame(random.standard_normal((n, k)), columns=list("abcdef"))
    x.iloc[random.integers(0, n, 3)] = np.nan
    f = pd.Series(0.01 * random.standard_normal(k), x.columns)
    f.iloc[2] = np.nan
    timing, cost = 1e-3 * random.standard_normal(), 5e-4
    found = return_effects(Trading(w, timing, cost), b, r, x, f)
    assert found.sum() == pytest.approx(w @ r + timing - cost - b @ r, abs=1e-15)
    # one stock after the other
    expected = dict.fromkeys([*x.columns, "specific", "unattributed"], 0.0)
    for i in range(n):
        if x.iloc[i].isna().any():
            expected["unattributed"] += (w[i] - b[i]) * r[i]
            continue
        left = r[i]
        for name in x.columns.drop("c"):
            expected[name] += (w[i] - b[i]) * x[name][i] * f[name]
            left -= x[name][i] * f[name]
        expected["specific"] += (w[i] - b[i]) * left
    pd.testing.assert_series_equal(found, pd.Series(expected | {"timing": timing, "cost": -cost}), atol=1e-15)


@given(seed=seeds, days=st.integers(1, 60))
def test_linked_effects_add_up_to_the_whole_excess(seed, days):
    random = np.random.default_rng(seed)
    b = pd.Series(0.02 * random.standard_normal(days))
    effects = pd.DataFrame(0.004 * random.standard_normal((days, 4)), columns=list("wxyz"))
    effects.iloc[:: max(days // 3, 1)] = 0.0  # days on which both returns are the same
    r = b + effects.sum(axis=1)
    found = linked(effects, r, b)
    assert found.sum() == pytest.approx((1 + r).prod() - (1 + b).prod(), abs=1e-12)


def test_linking_is_carinos():
    effects = pd.DataFrame({"a": [0.01, -0.02], "b": [0.005, 0.01]})
    b = pd.Series([0.01, 0.03])
    r = b + effects.sum(axis=1)
    total_r, total_b = (1 + r).prod() - 1, (1 + b).prod() - 1
    k = (np.log(1 + total_r) - np.log(1 + total_b)) / (total_r - total_b)
    for name in effects:
        slow = sum(effects[name][t] * (np.log(1 + r[t]) - np.log(1 + b[t])) / (r[t] - b[t]) / k for t in range(len(b)))
        assert linked(effects, r, b)[name] == pytest.approx(slow, rel=1e-12)


@given(seed=seeds)
def test_brinson_adds_up_and_is_read_industry_by_industry(seed):
    random = np.random.default_rng(seed)
    n = 25
    w, b, r = weights_of(random, n, 0.97), weights_of(random, n), 0.03 * random.standard_normal(n)
    industry = random.integers(0, 6, n)
    w[industry == 4] = 0.0  # one that the portfolio leaves out, and one that the index does not have
    b[industry == 5] = 0.0
    b /= b.sum()
    found = brinson(w, b, r, industry)
    assert found.to_numpy().sum() == pytest.approx(w @ r - b @ r, abs=1e-15)
    whole = b @ r
    for code in np.unique(industry):
        own = industry == code
        w_g, b_g = w[own].sum(), b[own].sum()
        r_b = (b[own] @ r[own]) / b_g if b_g else whole
        r_p = (w[own] @ r[own]) / w_g if w_g else r_b
        expected = [(w_g - b_g) * (r_b - whole), b_g * (r_p - r_b), (w_g - b_g) * (r_p - r_b)]
        np.testing.assert_allclose(found.loc[code], expected, atol=1e-15)
    np.testing.assert_allclose(found.loc["cash"], [(1 - w.sum()) * -whole, 0, 0], atol=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_shares_of_the_risk_add_up_to_the_tracking_error(seed):
    day = random_day(seed)
    weights = day.held
    whole = day.tracking_error(weights)
    by_factor, by_stock = risk_shares(day, weights), stock_risk_shares(day, weights)
    assert by_factor.sum() == pytest.approx(whole, rel=1e-12)
    assert by_stock.sum() == pytest.approx(whole, rel=1e-12)
    # a share is what the tracking error loses, per part, as the part is made smaller
    d, step = weights - day.benchmark, 1e-6
    for place in (0, 7):
        moved = day.benchmark + d * np.where(np.arange(len(d)) == place, 1 + step, 1.0)
        assert by_stock.iloc[place] == pytest.approx((day.tracking_error(moved) - whole) / step, rel=1e-3, abs=1e-7)
    assert not risk_shares(day, day.benchmark).any()
    assert not stock_risk_shares(day, day.benchmark).any()

"""The filter of an index's weights: equal to a slow reference, near the truth, and blind for what comes later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.errors import DataError
from qlib_ext.risk.implied import implied_weights, price_returns, prior_of


def drawn(days=60, stocks=12, seed=0):
    random = np.random.default_rng(seed)
    returns = 0.02 * random.standard_normal((days, stocks)) + 0.01 * random.standard_normal((days, 1))
    members = np.zeros((days, stocks), dtype=bool)
    members[:30, :8] = True
    members[30:, 2:11] = True  # two leave, three join
    true = np.exp(random.standard_normal(stocks))
    index = np.full(days, np.nan)
    for day in range(1, days):
        weight = np.where(members[day], true, 0)
        index[day] = weight @ returns[day] / weight.sum()
        true = true * (1 + returns[day])
    return returns, index, members, np.exp(random.standard_normal((days, stocks)))


def reference(returns, index, members, prior):
    """The formulas as they stand, member by member, in dicts."""
    days, stocks = members.shape
    result = np.full((days, stocks), np.nan)
    w, p = {}, {}
    for t in range(1, days):
        now = [i for i in range(stocks) if members[t, i]]
        if not w:
            w = {i: prior[0, i] for i in now}
            p = {(i, j): 0.36 * w[i] ** 2 if i == j else 0.0 for i in now for j in now}
        elif set(now) != set(w):
            stay = [i for i in now if i in w]
            unit = sum(w[i] for i in stay) / sum(prior[t - 1, i] for i in stay)
            new = {i: w[i] if i in w else prior[t - 1, i] * unit for i in now}
            p = {
                (i, j): p[i, j] if i in stay and j in stay else (0.36 * new[i] ** 2 if i == j else 0.0)
                for i in now
                for j in now
            }
            w = new
        total = sum(w.values())
        w, p = {i: x / total for i, x in w.items()}, {k: x / total**2 for k, x in p.items()}
        basket = sum(w[i] * returns[t, i] for i in now)
        e = index[t] - basket
        z = {i: returns[t, i] - basket for i in now}
        s = max(0.025 * sum(w[i] * z[i] ** 2 for i in now) ** 0.5, 1e-4)
        if abs(e) <= 0.02:
            pz = {i: sum(p[i, j] * z[j] for j in now) for i in now}
            spread = sum(z[i] * pz[i] for i in now) + s**2
            p = {(i, j): p[i, j] - pz[i] * pz[j] / spread for i in now for j in now}
            w = {i: w[i] * np.exp(min(max(pz[i] * e / spread / w[i], -1), 1)) for i in now}
        growth = {i: (1 + returns[t, i]) / (1 + index[t]) for i in now}
        total = sum(w[i] * growth[i] for i in now)
        w = {i: w[i] * growth[i] / total for i in now}
        p = {(i, j): p[i, j] * growth[i] * growth[j] / total**2 for i in now for j in now}
        for i in now:
            p[i, i] += (0.01 * w[i]) ** 2
        result[t] = [w.get(i, 0.0) for i in range(stocks)]
    return result


def test_it_equals_the_reference():
    returns, index, members, prior = drawn()
    got = implied_weights(returns, index, members, prior)
    np.testing.assert_allclose(got.weights, reference(returns, index, members, prior), rtol=1e-9)
    assert not len(got.skipped)
    assert not len(got.missing)


def test_weights_are_positive_sum_to_one_and_are_the_members():
    returns, index, members, prior = drawn(seed=1)
    weights = implied_weights(returns, index, members, prior).weights[1:]
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_array_equal(weights > 0, members[1:])


def test_it_learns_what_the_index_holds():
    returns, index, members, _ = drawn(days=400, stocks=8, seed=2)
    members[:] = True
    true = np.exp(np.random.default_rng(3).standard_normal(8))
    truth = np.zeros((400, 8))
    for day in range(1, 400):
        index[day] = true @ returns[day] / true.sum()
        true = true * (1 + returns[day])
        truth[day] = true / true.sum()
    weights = implied_weights(returns, index, members, np.ones((400, 8))).weights
    off = 0.5 * np.abs(weights - truth).sum(1)
    assert off[1] > 0.2
    assert off[-1] < 0.03


@pytest.mark.parametrize("day", [40, 31])  # the members change on 30
def test_nothing_later_is_read(day):
    returns, index, members, prior = drawn()
    random = np.random.default_rng(9)
    other = [np.concatenate([x[:day], random.uniform(-0.1, 0.1, x[day:].shape)]) for x in (returns, index)]
    later_members = np.concatenate([members[:day], random.random(members[day:].shape) < 0.5])
    later_prior = np.concatenate([prior[:day], random.uniform(1, 9, prior[day:].shape)])
    whole = implied_weights(returns, index, members, prior).weights
    noisy = implied_weights(*other, later_members, later_prior).weights
    np.testing.assert_array_equal(noisy[:day], whole[:day])
    assert not np.array_equal(noisy[day:], whole[day:])


def test_days_that_teach_nothing_are_counted():
    returns, index, members, prior = drawn()
    index[20] += 0.05
    index[25] = np.nan
    got = implied_weights(returns, index, members, prior)
    assert got.skipped.tolist() == [20]
    assert got.missing.tolist() == [25]
    assert np.isnan(got.surprises[25])
    grown = got.weights[24] * (1 + returns[25])
    np.testing.assert_allclose(got.weights[25], grown / grown.sum())


def test_a_member_without_a_prior_takes_the_median():
    returns, index, members, prior = drawn()
    prior[0, 3] = np.nan
    filled = prior.copy()
    filled[0, 3] = np.median(np.delete(prior[0, :8], 3))
    got, want = (implied_weights(returns, index, members, p).weights for p in (prior, filled))
    np.testing.assert_array_equal(got, want)


def test_no_day_to_begin_with():
    returns, index, members, prior = drawn()
    with pytest.raises(DataError, match="half of its members a market value or an amount"):
        implied_weights(returns, index, members, np.full_like(prior, np.nan))
    with pytest.raises(DataError, match=r"see the index's \$close"):
        implied_weights(returns, np.full_like(index, np.nan), members, prior)


def test_all_members_replaced_at_once():
    returns, index, members, prior = drawn()
    members[30:] = False
    members[30:, 8:] = True
    weights = implied_weights(returns, index, members, prior).weights
    np.testing.assert_allclose(weights[30:, 8:].sum(1), 1)


def test_a_price_index_counts_no_cash():
    """A dividend of 2 % on day 1 and a split of 2 for 1 on day 2, the price as traded flat but for the split."""
    traded = np.array([[100.0], [98.0], [49.0]])
    factor = np.array([[1.0], [100 / 98], [2 * 100 / 98]])
    np.testing.assert_allclose(price_returns(traded * factor, factor)[:, 0], [0, -0.02, 0], atol=1e-12)


def test_the_prior():
    cap, amount = np.array([[16.0, np.nan]]), np.array([[81.0, 4.0]])
    np.testing.assert_allclose(prior_of(cap, amount), [[8 * 3, np.nan]])  # another unit would be no comparison
    np.testing.assert_allclose(prior_of(None, amount), [[9, 2]])


@pytest.mark.parametrize("seed", range(3))
def test_ill_starts_do_not_break_it(seed):
    """A prior that is off by orders of magnitude still ends in weights."""
    returns, index, members, prior = drawn(seed=seed)
    weights = implied_weights(returns, index, members, prior**8).weights[1:]
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(pd.DataFrame(weights).sum(axis=1), 1)

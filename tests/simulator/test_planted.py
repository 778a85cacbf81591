"""The planted effects, measured with nothing but the fields that a model sees."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.simulator.simulate import simulate


def rank_ic(score, label, where):
    """Daily Rank IC of two [days, stocks] arrays: its mean and the t-statistic of the mean."""
    both = where & ~np.isnan(score) & ~np.isnan(label)
    ranks = [pd.DataFrame(np.where(both, values, np.nan)).rank(axis=1) for values in (score, label)]
    daily = ranks[0].corrwith(ranks[1], axis=1).dropna()
    return daily.mean(), daily.mean() / daily.std() * np.sqrt(len(daily))


def explained(planted, past, where):
    """Share of what is planted, [days, stocks], that is linear in the stock's own past, [days, stocks, lags]."""
    use = where & ~np.isnan(planted) & ~np.isnan(past).any(axis=-1)
    x, y = past[use], planted[use]
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return 1 - residual.var() / y.var()


@pytest.fixture(scope="module")
def relative(market):
    change = pd.DataFrame(market.fields["change"])
    return change.sub(change.mean(axis=1), axis=0)


def mean_of_others(values, weight, industry):
    """Weighted mean over the other stocks of each stock's industry, day by day."""
    weight = np.where(np.isnan(values), 0.0, weight)
    product = weight * np.nan_to_num(values)
    total, heavy = np.zeros_like(product), np.zeros_like(product)
    for code in np.unique(industry[~np.isnan(industry)]):
        group = industry == code
        total += group * (product * group).sum(axis=1, keepdims=True)
        heavy += group * (weight * group).sum(axis=1, keepdims=True)
    return (total - product) / np.maximum(heavy - weight, 1e-12)


def lasting(values, keep):
    return pd.DataFrame(values).ewm(alpha=1 - keep, ignore_na=True).mean().to_numpy()


def test_the_reachable_rank_ic(market):
    parts, label, members = market.parts, market.label, market.members
    own = rank_ic(parts["reversal"] + parts["volatility"] + parts["momentum"], label, members)[0]
    across = rank_ic(parts["lead_lag"], label, members)[0]
    total = rank_ic(market.signal, label, members)[0]
    assert 0.08 <= own <= 0.105
    assert 0.06 <= across <= 0.09
    assert 0.11 <= total <= 0.15
    assert total > max(own, across) + 0.02


def test_reversal(market, relative):
    mean, t = rank_ic(-relative.rolling(5).sum().to_numpy(), market.label, market.members)
    assert mean > 0.04
    assert t > 8


def test_volatility(market, relative):
    mean, t = rank_ic(-relative.rolling(20, min_periods=15).std().to_numpy(), market.label, market.members)
    assert mean > 0.02
    assert t > 5


def test_momentum(market, relative):
    """It shows in a window of 120 days and hardly in one of 30."""
    momentum = relative.fillna(0.0).shift(20).rolling(100, min_periods=1).sum()
    mean, t = rank_ic(momentum.to_numpy(), market.label, market.members)
    assert mean > 0.02
    assert t > 5
    planted = market.parts["momentum"]
    past = np.stack([relative.shift(k).to_numpy() for k in range(30)], axis=-1)
    assert explained(planted, past, market.members) < 0.2


def test_lead_lag_shows_in_the_others(market, relative):
    size = np.nan_to_num(pd.DataFrame(market.fields["float_mv"]).shift(1).to_numpy())
    others = mean_of_others(relative.to_numpy(), np.sqrt(size), market.fields["industry"])
    mean, t = rank_ic(lasting(others, 0.8), market.label, market.members)
    assert mean > 0.04
    assert t > 8


def test_lead_lag_shows_in_the_leader(market, relative):
    size, industry = market.fields["float_mv"], market.fields["industry"]
    leader = np.full_like(size, np.nan)
    for t in range(1, len(size)):
        for code in np.unique(industry[t][market.listed[t]]):
            group = np.flatnonzero((industry[t] == code) & ~np.isnan(size[t - 1]))
            largest = group[np.argmax(size[t - 1, group])]
            leader[t, group[group != largest]] = relative.to_numpy()[t, largest]
    mean, t = rank_ic(lasting(leader, 0.8), market.label, market.members)
    assert mean > 0.02
    assert t > 5


def test_lead_lag_hides_from_the_own_past(market, relative):
    past = np.stack([relative.shift(k).to_numpy() for k in range(10)], axis=-1)
    assert explained(market.parts["lead_lag"], past, market.members) < 0.01


def test_effects_reach_both_days_of_the_label(market):
    change = pd.DataFrame(market.fields["change"])
    for name, part in market.parts.items():
        for ahead in (1, 2):
            _, t = rank_ic(part, change.shift(-ahead).to_numpy(), market.members)
            assert t > 3, (name, ahead)


def test_the_signal_has_the_size_of_the_label(market):
    """The label regressed on the signal: slope 1, within what the noise allows."""
    use = ~np.isnan(market.signal) & ~np.isnan(market.label)
    label = np.where(use, market.label, np.nan)
    label = label - np.nanmean(np.where(use.any(axis=1)[:, None], label, 0.0), axis=1, keepdims=True)
    slope = (market.signal[use] * label[use]).sum() / (market.signal[use] ** 2).sum()
    assert slope == pytest.approx(1, abs=0.15)


@pytest.fixture(scope="module")
def slow():
    """A market in which accruals tell of returns."""
    return simulate(100, 500, seed=2, accruals=0.0006)


def accruals_of(market):
    """As a reader of reports sees them: earnings that are no cash, over the assets."""
    fields = market.fields
    assets = fields["book"] / (1 - fields["debt_to_assets"] / 100)
    return (fields["earnings_ttm"] - fields["cash_flow_ttm"]) / assets


def test_accruals_tell_of_returns_where_they_are_planted(slow):
    mean, t = rank_ic(-accruals_of(slow), slow.label, slow.listed)
    assert mean > 0.03
    assert t > 5
    none = simulate(100, 500, seed=2, accruals=0.0)
    assert abs(rank_ic(-accruals_of(none), none.label, none.listed)[1]) < 3


def test_accruals_show_in_the_report_alone(slow):
    """Neither in a month of the own past nor in what the reports say of growth, profit, debt and value."""
    fields, planted = slow.fields, slow.parts["accruals"]
    change = pd.DataFrame(fields["change"])
    relative = change.sub(change.mean(axis=1), axis=0)
    past = np.stack([relative.shift(k).to_numpy() for k in range(30)], axis=-1)
    assert explained(planted, past, slow.listed) < 0.1
    others = [fields["earnings_ttm"] / fields["book"], fields["sales_ttm"] / fields["book"], fields["debt_to_assets"]]
    others += [fields[name] / fields["total_mv"] for name in ("book", "earnings_ttm", "sales_ttm")]
    day_by_day = [abs(rank_ic(other, planted, slow.listed)[0]) for other in others]
    assert max(day_by_day) < 0.15 < 0.99 < rank_ic(-accruals_of(slow), planted, slow.listed)[0]


def test_accruals_last_longer_than_a_window(slow):
    """Two thirds of what is planted is still there a quarter later."""
    planted = pd.DataFrame(slow.parts["accruals"])
    assert planted.corrwith(planted.shift(63), axis=1).mean() > 0.6


def test_a_market_without_them_is_as_it_was():
    plain, none, planted = (simulate(20, 60, seed=1, accruals=size) for size in (None, 0.0, 0.001))
    assert set(none.fields) - set(plain.fields) == {"sales_ttm", "cash_flow_ttm", "debt_to_assets", "dividend_yield"}
    for name, values in plain.fields.items():
        np.testing.assert_array_equal(values, none.fields[name])
    assert set(planted.parts) - set(none.parts) == {"accruals"}
    np.testing.assert_array_equal(plain.fields["close"][0], planted.fields["close"][0])
    assert not np.array_equal(plain.fields["close"], planted.fields["close"], equal_nan=True)

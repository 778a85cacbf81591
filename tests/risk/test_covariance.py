"""Variances, correlations, regime, eigenfactors and shrinkage, each beside a slow or known answer."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.risk.covariance import (
    CovarianceOptions,
    correlations,
    eigenfactor_adjusted,
    regime,
    shrunk,
    variances,
)

random = np.random.default_rng(0)
X = 0.01 * random.standard_normal((300, 4)) @ random.standard_normal((4, 4))
FRAME = pd.DataFrame(X, pd.bdate_range("2020-01-01", periods=300), list("abcd"))


def weights(days, half_life):
    return 0.5 ** (np.arange(days)[::-1] / half_life)


def slow_covariance(x, y, w):
    w = w / w.sum()
    return sum(w[t] * (x[t] - sum(w * x)) * (y[t] - sum(w * y)) for t in range(len(w)))


def test_variances_equal_the_definition():
    got = variances(FRAME, 84)
    for day in (62, 200, 299):
        w = weights(day + 1, 84)
        want = [slow_covariance(X[: day + 1, k], X[: day + 1, k], w) for k in range(4)]
        np.testing.assert_allclose(got.iloc[day], want, rtol=1e-9)
    assert got.iloc[:62].isna().all(axis=None)


def test_days_without_a_value_have_no_weight():
    holes = FRAME.copy()
    holes.iloc[100:150, 0] = np.nan
    known = ~np.isnan(holes["a"].to_numpy())
    w = weights(300, 84)[known]
    want = slow_covariance(holes["a"].to_numpy()[known], holes["a"].to_numpy()[known], w)
    np.testing.assert_allclose(variances(holes, 84)["a"].iloc[-1], want, rtol=1e-9)


def test_newey_west_finds_the_risk_of_a_longer_time():
    """Returns that repeat half of themselves: ten days' variance is almost three times ten times a day's."""
    shocks = np.random.default_rng(1).standard_normal((6000, 1))
    series = pd.DataFrame(pd.DataFrame(shocks).ewm(alpha=0.5, adjust=False).mean().to_numpy())
    ratio = (variances(series, 2000, lags=8) / variances(series, 2000)).iloc[-1, 0]
    ten = series.rolling(10).sum().iloc[::10].var().iloc[0] / (10 * series.var().iloc[0])
    assert abs(ratio - ten) < 0.35
    assert ratio > 2


def test_newey_west_of_variances_equals_the_definition():
    got = variances(FRAME, 84, lags=1)["b"].iloc[-1]
    b, w = X[:, 1], weights(300, 84)
    own = slow_covariance(b, b, w)
    pairs, w1 = b[1:] * b[:-1], w[1:]
    lagged = np.average(pairs, weights=w1) - np.average(b, weights=w) * np.average(b[:-1], weights=w1)
    np.testing.assert_allclose(got, own + lagged, rtol=1e-9)


def test_correlations_equal_pandas():
    want = FRAME.ewm(halflife=252).corr().iloc[-4:].to_numpy()
    np.testing.assert_allclose(correlations(X, 252), want, atol=1e-12)
    lagged = correlations(X, 252, lags=2)
    np.testing.assert_allclose(lagged, lagged.T, atol=1e-15)
    np.testing.assert_allclose(np.diag(lagged), 1)


def test_newey_west_of_correlations_equals_the_definition():
    w = weights(300, 252)
    means = np.average(X, axis=0, weights=w)
    total = sum(w[t] * np.outer(X[t] - means, X[t] - means) for t in range(300)) / w.sum()
    for lag, share in ((1, 2 / 3), (2, 1 / 3)):
        own, before, w_lag = X[lag:], X[:-lag], w[lag:]
        means, shifted_means = (np.average(x, axis=0, weights=w_lag) for x in (own, before))
        lagged = sum(w_lag[t] * np.outer(own[t] - means, before[t] - shifted_means) for t in range(300 - lag))
        total = total + share * (lagged + lagged.T) / w_lag.sum()
    want = total / np.sqrt(np.outer(np.diag(total), np.diag(total)))
    np.testing.assert_allclose(correlations(X, 252, lags=2), want, atol=1e-12)


def test_correlations_of_what_does_not_move():
    still = np.column_stack([X[:, :2], np.zeros(300)])
    np.testing.assert_allclose(correlations(still, 252)[2], [0, 0, 1])


def test_the_regime_follows_the_variance():
    doubled = FRAME.copy()
    doubled.iloc[200:] *= 2
    forecasts = variances(FRAME, 84)
    calm, wild = regime(FRAME, forecasts, 42), regime(doubled, forecasts, 42)
    assert abs(calm.iloc[-1] - 1) < 0.35
    assert 2.2 < wild.iloc[-1] / calm.iloc[-1] < 4
    pd.testing.assert_series_equal(wild.iloc[:200], calm.iloc[:200])
    bias = (FRAME**2 / forecasts.shift(1)).mean(axis=1)
    want = np.average(bias.dropna(), weights=weights(bias.count(), 42))
    np.testing.assert_allclose(calm.iloc[-1], want, rtol=1e-9)


def test_nothing_later_is_read():
    noise = FRAME.copy()
    noise.iloc[200:] = 99
    for function in (lambda x: variances(x, 84, 2), lambda x: regime(x, variances(x, 84), 42)):
        np.testing.assert_array_equal(function(noise)[:200], function(FRAME)[:200])


def test_eigenfactors_take_the_bias_out():
    """Of few days the small eigenvalues come out too small, and the portfolio that seems safest is not."""
    count, days = 20, 60
    draws = np.random.default_rng(2)
    root = np.diag(np.linspace(0.5, 2, count))
    before, after = [], []
    for trial in range(20):
        sample = np.cov(root @ draws.standard_normal((count, days)))
        adjusted = eigenfactor_adjusted(sample, days, 1.4, 50, trial)
        for found, list_ in ((sample, before), (adjusted, after)):
            w = np.linalg.solve(found, np.ones(count))
            list_.append((w @ root @ root.T @ w) / (w @ found @ w))
    assert np.mean(before) > 2
    assert abs(np.mean(after) - 1) < 0.5 * abs(np.mean(before) - 1)
    np.testing.assert_array_equal(
        eigenfactor_adjusted(sample, days, 1.4, 5, 0), eigenfactor_adjusted(sample, days, 1.4, 5, 0)
    )
    np.testing.assert_allclose(eigenfactor_adjusted(sample, days, 0.0, 5, 0), sample, atol=1e-12)


def test_shrinking_to_the_tenth_by_size():
    names = [f"S{i}" for i in range(40)]
    cap = pd.Series(np.exp(np.arange(40.0) / 10), names)
    volatility = pd.Series(0.01 + 0.02 * np.random.default_rng(3).random(40), names)
    volatility.iloc[[1, 39]] = np.nan
    untouched = shrunk(volatility, cap, 0.0)
    pd.testing.assert_series_equal(untouched.drop(["S1", "S39"]), volatility.dropna())
    first = ["S0", "S2", "S3"]
    mean = np.average(volatility[first], weights=cap[first])
    np.testing.assert_allclose(untouched["S1"], mean)
    got = shrunk(volatility, cap, 0.1)
    spread = np.sqrt(((volatility[first] - mean) ** 2).mean())
    pull = 0.1 * abs(volatility["S2"] - mean)
    share = pull / (spread + pull)
    np.testing.assert_allclose(got["S2"], share * mean + (1 - share) * volatility["S2"])


def test_the_defaults_are_what_was_measured():
    assert CovarianceOptions() == CovarianceOptions(84, 252, 42, 2, 0.0, 0.1)

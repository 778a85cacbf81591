"""How the factors and the stocks' own returns are expected to vary: pure functions of their history.

All variances are of a day. History is [days, factors] or [days, stocks] frames, oldest day first, of which no function
reads a day after the one it answers for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_least, check_types

Matrix = NDArray[np.float64]
LEAST_DAYS = 63  # of history before there is a forecast


@dataclass(frozen=True)
class CovarianceOptions:
    """Half-lives in days, and the options of the covariance.

    volatility, correlation   half-lives of the factors' and stocks' variances and of the factors' correlations
    regime                    half-life of the volatility regime; None: without
    newey_west                lags whose autocovariance is added, with Bartlett's weights; 0: none
    eigenfactors              the strength a of the eigenfactor adjustment, commonly 1.4; 0: without
    shrinkage                 of a stock's own volatility to the mean of its tenth by size; 0: without
    simulations, seed         of the eigenfactor adjustment
    """

    volatility: float = 84
    correlation: float = 252
    regime: float | None = 42
    newey_west: int = 2
    eigenfactors: float = 0.0
    shrinkage: float = 0.1
    simulations: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(type(self), vars(self))
        check_least({"simulations": 1, "seed": 0}, vars(self))
        for name in ("volatility", "correlation", "regime"):
            half_life = getattr(self, name)
            if half_life is not None and not half_life > 0:
                raise ConfigError(f"{name} is a half-life in days, above 0, not {half_life}.")
        for name in ("newey_west", "eigenfactors", "shrinkage"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is at least 0, not {getattr(self, name)}.")


def variances(values: pd.DataFrame, half_life: float, lags: int = 0) -> pd.DataFrame:
    """Exponentially weighted variances, those of day t made of the days to t: [days, n] -> [days, n].

    ``v_t = sum_k d^k (x_{t-k} - m_t)^2 / sum_k d^k``, ``d = 0.5^(1/half_life)``, m the weighted mean; days without a
    value have no weight. With lags ``v + 2 sum_l (1 - l / (L + 1)) c_l``, c_l the weighted covariance with the value l
    days before (Newey and West, 1987), at least a tenth of v. NaN with fewer than 63 values.
    """
    window = {"halflife": half_life, "ignore_na": False}
    variance = values.ewm(**window).var(bias=True)
    total = variance
    for lag in range(1, lags + 1):
        product = (values * values.shift(lag)).ewm(**window).mean()
        covariance = product - values.ewm(**window).mean() * values.shift(lag).ewm(**window).mean()
        total = total + 2 * (1 - lag / (lags + 1)) * covariance
    total = total.clip(lower=0.1 * variance)
    return total.where(values.notna().cumsum() >= LEAST_DAYS)


def regime(values: pd.DataFrame, forecasts: pd.DataFrame, half_life: float) -> pd.Series:
    """The volatility regime ``lambda_t^2``: how much larger variances have lately been than they were forecast.

    ``b_t^2 = mean_k x_{k,t}^2 / v_{k,t-1}``, and lambda^2 its exponentially weighted mean; 1 before the first.

    values [days, n]; forecasts [days, n], the variances v. Source: Barra's USE4, the volatility regime adjustment.
    """
    bias = (values**2 / forecasts.shift(1)).replace(np.inf, np.nan).mean(axis=1)
    return bias.ewm(halflife=half_life).mean().ffill().fillna(1.0)


def correlations(values: Matrix, half_life: float, lags: int = 0) -> Matrix:
    """The exponentially weighted correlations at the last day: [days, n] without NaN -> [n, n].

    With lags of the covariance ``C_0 + sum_l (1 - l / (L + 1)) (C_l + C_l')`` (Newey and West).
    """
    weight = 0.5 ** (np.arange(len(values))[::-1] / half_life)
    covariance = _covariance(values, values, weight)
    for lag in range(1, lags + 1):
        shifted = _covariance(values[lag:], values[:-lag], weight[lag:])
        covariance = covariance + (1 - lag / (lags + 1)) * (shifted + shifted.T)
    deviation = np.sqrt(np.diag(covariance))
    scale = np.where(deviation > 0, deviation, 1.0)
    found = covariance / np.outer(scale, scale)
    np.fill_diagonal(found, 1.0)
    return found


def _covariance(left: Matrix, right: Matrix, weight: Matrix) -> Matrix:
    weight = weight / weight.sum()
    left, right = left - weight @ left, right - weight @ right
    return (left * weight[:, None]).T @ right


def eigenfactor_adjusted(covariance: Matrix, days: int, strength: float, simulations: int, seed: int) -> Matrix:
    """The covariance with the variances of its eigenfactors set right: [n, n] -> [n, n].

    Of ``simulations`` samples of ``days`` days drawn with this covariance, eigenfactor k's true variance over the one
    that the sample shows is g_k^2 on average; the k-th eigenvalue is multiplied by ``(1 + a (g_k - 1))^2``.

    Source: Menchero, Wang and Orr, Improving risk forecasts for optimized portfolios, 2012; Barra's USE4, with a = 1.4.
    """
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.0)
    random = np.random.default_rng(seed)
    ratios = np.zeros(len(values))
    for _ in range(simulations):
        sample = np.sqrt(values)[:, None] * random.standard_normal((len(values), days))  # in the eigenvectors' basis
        shown, axes = np.linalg.eigh(np.cov(sample, bias=True))
        true = (axes**2 * values[:, None]).sum(0)
        ratios += np.divide(true, shown, out=np.ones(len(values)), where=shown > 0)
    bias = 1 + strength * (np.sqrt(ratios / simulations) - 1)
    return (vectors * (bias**2 * values)) @ vectors.T


def shrunk(volatility: pd.Series, cap: pd.Series, strength: float) -> pd.Series:
    """Stocks' own volatilities, drawn to the mean of their tenth by size; those that have none take that mean.

    ``s <- u m + (1 - u) s``, ``u = a |s - m| / (d + a |s - m|)``, m the cap-weighted mean of the tenth and d the
    deviation in it.
    A strength a of 0 leaves what is known as it is. Source: Barra's USE4, Bayesian shrinkage of the specific risk.
    """
    tenth = pd.Series(np.ceil(cap.rank(method="first") / len(cap) * 10).astype(int), cap.index)
    known = volatility.notna()
    if not known.any():
        return volatility
    weight = cap.where(known)
    mean = (volatility * weight).groupby(tenth).sum() / weight.groupby(tenth).sum()
    overall = (volatility * weight).sum() / weight.sum()
    mean = tenth.map(mean).fillna(overall)
    if strength == 0:
        return volatility.fillna(mean)
    spread = tenth.map(((volatility - mean) ** 2).groupby(tenth).mean() ** 0.5).fillna(0.0)
    pull = strength * (volatility - mean).abs()
    share = (pull / (spread + pull)).fillna(0.0)
    return (share * mean + (1 - share) * volatility).fillna(mean)

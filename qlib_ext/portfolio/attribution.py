"""Where an excess return came from and where its risk lies; every split adds up to what it splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.portfolio.day import Day

Array = NDArray[np.float64]
SPECIFIC, UNATTRIBUTED, TIMING, COST, BASKET = "specific", "unattributed", "timing", "cost", "basket"
CASH = "cash"


@dataclass(frozen=True)
class Trading:
    """What a day's account did, fractions of its value at the close before.

    weights  [stocks] at the close before, the rest of 1 is cash
    timing   sum over trades of ``shares (close - price)``, what they earned from their price to the close; cost
    """

    weights: Array
    timing: float
    cost: float


def return_effects(
    trading: Trading, benchmark: Array, returns: Array, exposures: pd.DataFrame, factor_returns: pd.Series
) -> pd.Series:
    """A day's ``a = sum_k y_k f_k + sum_i d_i e_i + timing - cost``, the excess over the members' basket, split.

    d = w - b, y = X'd, e = r - X f, of weights and exposures at the close before and the returns of the day.

    benchmark       [stocks] b at the close before, sum 1; returns [stocks] r, 0 for who does not trade
    exposures       [stocks, factors] X, NaN for stocks that the risk model does not cover: their d r is unattributed
    factor_returns  [factors] f, NaN for none

    Returns a value a factor, then specific, unattributed, timing and cost (below 0). Their sum is
    ``w'r + timing - cost - b'r`` to rounding.
    """
    active = trading.weights - benchmark
    x = exposures.to_numpy(dtype=float)
    covered = ~np.isnan(x).any(axis=1)
    f = np.nan_to_num(factor_returns.reindex(exposures.columns).to_numpy(dtype=float))
    y = x[covered].T @ active[covered]
    own = returns[covered] - x[covered] @ f
    rest = {
        SPECIFIC: active[covered] @ own,
        UNATTRIBUTED: active[~covered] @ returns[~covered],
        TIMING: trading.timing,
        COST: -trading.cost,
    }
    return pd.Series(np.append(y * f, [*rest.values()]), [*exposures.columns, *rest])


def linked(effects: pd.DataFrame, returns: pd.Series, benchmark: pd.Series) -> pd.Series:
    """Daily effects as effects of the whole time, whose sum is ``prod (1 + R) - prod (1 + B)``.

        sum_t (k_t / k) effect_t,   k_t = (ln(1 + R_t) - ln(1 + B_t)) / (R_t - B_t), and k of the compounded returns

    effects [days, effects] whose daily sum is ``R - B``; returns and benchmark [days]. Where R = B, k is 1 / (1 + R).

    Source: Carino (1999), Combining Attribution Effects over Time, Journal of Performance Measurement.
    """
    a, b = returns.to_numpy(dtype=float), benchmark.to_numpy(dtype=float)
    whole = _coefficient(np.prod(1 + a, keepdims=True) - 1, np.prod(1 + b, keepdims=True) - 1)
    weights = _coefficient(a, b) / whole
    return pd.Series(weights @ effects.to_numpy(dtype=float), effects.columns)


def _coefficient(a: Array, b: Array) -> Array:
    """``(ln(1 + a) - ln(1 + b)) / (a - b)``, by a form that keeps its digits where a is near b."""
    ratio = (a - b) / (1 + b)
    same = np.abs(ratio) < 1e-15
    return np.where(same, 1.0, np.log1p(ratio) / np.where(same, 1.0, ratio)) / (1 + b)


def brinson(weights: Array, benchmark: Array, returns: Array, industry: NDArray[np.int_]) -> pd.DataFrame:
    """A day's ``w'r - b'r`` by industry: [industries and cash, (allocation, selection, interaction)].

        allocation   (w_g - b_g) (r_g^b - r^b)
        selection    b_g (r_g^p - r_g^b)
        interaction  (w_g - b_g) (r_g^p - r_g^b)

    w_g and b_g are the weights of an industry, r_g^p and r_g^b its return in the portfolio and in the benchmark (the
    benchmark's whole return where it has none of it), r^b the benchmark's. Cash has the weight ``1 - sum w`` and earns
    nothing. The sum of all is ``w'r - b'r`` where b sums to 1.

    Source: Brinson and Fachler (1985), Measuring Non-US Equity Portfolio Performance.
    """
    codes, place = np.unique(np.append(industry, -1), return_inverse=True)
    place = place[:-1]
    w, b = (np.bincount(place, values, len(codes)) for values in (weights, benchmark))
    whole = benchmark @ returns
    own, index = (np.bincount(place, values * returns, len(codes)) for values in (weights, benchmark))
    in_index = np.divide(index, b, out=np.full(len(codes), whole), where=b > 0)
    in_portfolio = np.divide(own, w, out=in_index.copy(), where=w > 0)
    cash = codes == -1
    w[cash], in_index[cash], in_portfolio[cash] = 1 - weights.sum(), 0.0, 0.0
    return pd.DataFrame(
        {
            "allocation": (w - b) * (in_index - whole),
            "selection": b * (in_portfolio - in_index),
            "interaction": (w - b) * (in_portfolio - in_index),
        },
        index=[CASH if code == -1 else int(code) for code in codes],
    )


def risk_shares(day: Day, weights: Array) -> pd.Series:
    """Each factor's share and the specific share of the tracking error: they sum to it.

        y_k (F y)_k / TE,   sum_i d_i^2 s_i^2 / TE,   with d = w - b and y = X'd

    Source: Menchero and Davis (2011), Risk Contribution Is Exposure Times Volatility Times Correlation.
    """
    active = weights - day.benchmark
    y = day.active_exposures(weights)
    tracking_error = day.tracking_error(weights)
    if not tracking_error > 0:
        return pd.Series(0.0, [*day.factors, SPECIFIC])
    common = y * (day.risk.covariance @ y)
    own = (active**2) @ (day.risk.specific**2)
    return pd.Series(np.append(common, own) / tracking_error, [*day.factors, SPECIFIC])


def stock_risk_shares(day: Day, weights: Array) -> pd.Series:
    """Each stock's share ``d_i (V d)_i / TE`` of the tracking error: they sum to it."""
    active = weights - day.benchmark
    tracking_error = day.tracking_error(weights)
    if not tracking_error > 0:
        return pd.Series(0.0, list(day.stocks))
    return pd.Series(active * day.risk.times(active[:, None])[:, 0] / tracking_error, list(day.stocks))

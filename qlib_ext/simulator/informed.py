"""What informed traders know of the simulated market, and in which of the high-frequency factors it shows.

At the close of day t the planted parts of ``qlib_ext.simulator.simulate`` let expect, for the return of the ten days
that follow, part by part with what is kept of it from day to day (0.7 reversal, 1 volatility, 1 momentum, 0.8
lead_lag):

    e[t, i] = sum over parts of  s_part[t+1, i] * (1 + kept + ... + kept^9)

Informed traders see it through noise n, standard normal and new each day, and trade on

    flow[t, i] = 0.8 z(e[t, i]) + 0.6 n[t, i]

z standardises over the stocks that trade on the day. flow makes nothing happen: the returns that it tells of are in the
day bars already. It decides who is active during day t (``qlib_ext.simulator.fills``): where it is high, large orders
buy more often than they sell, and the active side is more often the buyer.

Which factors of ``qlib_ext.ticks`` tell of it: the mean daily Rank IC with the flow of the day, with the label
Ref($vwap, -2) / Ref($vwap, -1) - 1, with the ten days' Ref($vwap, -11) / Ref($vwap, -1) - 1, and that of the factor's
mean over 20 days (10 at least) with the ten days. Means of two markets of 100 stocks and 200 days (seeds 1 and 2), good
to about 0.01, the last column to 0.02:

    factor                      flow    label   10 days   20-day mean
    (e itself)                  0.78    0.11     0.17      0.13
    (flow itself)               1       0.09     0.13      0.12
    early_active_buy_perc       0.86    0.08     0.11      0.12
    concentration_diff          0.78    0.07     0.10      0.11
    early_bigorder_buy_perc     0.77    0.07     0.10      0.13
    bigorder_ret2               0.72    0.06     0.09      0.12
    early_active_bigorder_ret   0.50    0.05     0.07      0.11
    bigorder_ret                0.51    0.04     0.07      0.10
    down_single_amt_perc       -0.49   -0.04    -0.06     -0.10

Weaker: down_vol_perc, early_corr_volume_ret and corr_buyorder_volume_price (0.15 to 0.26 with the flow). These are the
signs of this market; in the report bigorder_ret, bigorder_ret2 and concentration_diff have a negative one and
down_single_amt_perc a positive one (exhibits 6 and 25).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qlib_ext.simulator.prices import KEPT, VWAP

HORIZON = 10  # days, the label of HighFreq27
_KNOWN = 0.8  # correlation of what informed traders believe and what is planted

Array = NDArray[np.float64]


def expected_return(parts: dict[str, Array]) -> Array:
    """Return what the planted parts add to the ten days' return after the close, a fraction, [days, stocks].

    parts    as in ``Market.parts``, NaN for a stock that does not trade on the day; the result is NaN there, too
    """
    total = np.zeros_like(next(iter(parts.values())))
    for name, part in parts.items():
        kept = KEPT[name]
        next_day = part / (1 - VWAP + VWAP * kept)
        total += next_day * (kept ** np.arange(HORIZON)).sum()
    return total


def informed_flow(parts: dict[str, Array], seed: int) -> Array:
    """Return the direction in which informed traders lean, positive for buying, [days, stocks].

    Row t knows nothing of later days. NaN for a stock that does not trade on the day.
    """
    expected = expected_return(parts)
    noise = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))).standard_normal(expected.shape)
    return _KNOWN * _score(expected) + np.sqrt(1 - _KNOWN**2) * noise


def _score(values: Array) -> Array:
    on = ~np.isnan(values)
    count = np.maximum(on.sum(axis=1, keepdims=True), 1)
    gap = values - np.where(on, values, 0.0).sum(axis=1, keepdims=True) / count
    spread = np.sqrt((np.where(on, gap, 0.0) ** 2).sum(axis=1, keepdims=True) / count)
    return gap / (spread + 1e-12)

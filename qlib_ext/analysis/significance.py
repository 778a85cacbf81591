"""Whether the difference of two experiments is more than noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FEWEST_DAYS = 20


def newey_west_t(values: NDArray[np.floating], lags: int) -> float:
    """The t statistic of the mean of n daily values whose errors are correlated over ``lags`` days, fewer than n.

    ``t = mean / sqrt(S / n)``, ``S = g_0 + 2 sum_{l=1}^{lags} (1 - l / (lags + 1)) g_l`` with the autocovariances
    ``g_l = 1/n sum_t e_t e_{t-l}`` of the distances e from the mean. NaN where nothing varies.

    Source: Newey and West, Econometrica 55 (1987), equation 5; equal to statsmodels' HAC with maxlags = lags.
    """
    n, mean = len(values), values.mean()
    e = values - mean
    g = np.array([e[lag:] @ e[: n - lag] / n for lag in range(lags + 1)])
    variance = g[0] + 2 * (1 - np.arange(1, lags + 1) / (lags + 1)) @ g[1:]
    return float(mean / np.sqrt(variance / n)) if np.ptp(values) > 0 and variance > 0 else np.nan


@dataclass(frozen=True)
class Difference:
    """The mean of daily differences, its t statistic, and of how many days."""

    mean: float
    t: float
    days: int


def paired_difference(a: pd.Series, b: pd.Series, overlap: int = 1) -> Difference | None:
    """``mean(a_t - b_t)`` over the days that both have, with the t statistic of Newey and West; None below 20 days.

    See ``newey_west_t``, with ``max(overlap - 1, floor(4 (n/100)^(2/9)))`` lags. overlap is over how many days the
    values of a day run, 10 for a Rank IC of ten days. t is NaN where nothing varies.

    Source of the number of lags: Newey and West (1994), as in EViews.
    """
    both = (a - b).dropna()
    n = len(both)
    if n < FEWEST_DAYS:
        return None
    lags = min(max(overlap - 1, int(4 * (n / 100) ** (2 / 9))), n - 1)
    return Difference(float(both.mean()), newey_west_t(both.to_numpy(dtype=float), lags), n)

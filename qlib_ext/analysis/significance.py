"""Whether the difference of two experiments is more than noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

FEWEST_DAYS = 20


@dataclass(frozen=True)
class Difference:
    """The mean of daily differences, its t statistic, and of how many days."""

    mean: float
    t: float
    days: int


def paired_difference(a: pd.Series, b: pd.Series, overlap: int = 1) -> Difference | None:
    """``mean(a_t - b_t)`` over the days that both have, with the t statistic of Newey and West; None below 20 days.

    ``t = mean / sqrt(S / n)``, ``S = g_0 + 2 sum_{l=1}^{L} (1 - l / (L + 1)) g_l`` with the autocovariances
    ``g_l = 1/n sum_t e_t e_{t-l}`` of the distances e from the mean, ``L = max(overlap - 1, floor(4 (n/100)^(2/9)))``.
    overlap is over how many days the values of a day run, 10 for a Rank IC of ten days. t is NaN where nothing varies.

    Source: Newey and West (1987), Econometrica 55; the number of lags: Newey and West (1994), as in EViews.
    """
    both = (a - b).dropna()
    n = len(both)
    if n < FEWEST_DAYS:
        return None
    lags = min(max(overlap - 1, int(4 * (n / 100) ** (2 / 9))), n - 1)
    e = both.to_numpy(dtype=float) - both.mean()
    variance = e @ e / n + 2 * sum((1 - lag / (lags + 1)) * (e[lag:] @ e[:-lag]) / n for lag in range(1, lags + 1))
    varies = np.ptp(both.to_numpy()) > 0 and variance > 0
    return Difference(float(both.mean()), float(both.mean() / np.sqrt(variance / n)) if varies else np.nan, n)

"""What tells a factor from the best of many chances: pure functions of daily ICs, NaN where a day has none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.floating]
PARTS = 4  # of the training days, whose signs are compared


def icir(ic: Series) -> float:
    """``mean / std`` of daily ICs, std of a sample; NaN where there are fewer than two or all are equal."""
    known = ic[~np.isnan(ic)]
    if len(known) < 2 or np.ptp(known) == 0:
        return np.nan
    return float(known.mean() / known.std(ddof=1))


def newey_west_t(ic: Series, lag: int) -> float:
    """The t-statistic of the mean of n daily ICs whose errors are correlated over ``lag`` days.

    ``t = mean / sqrt(S / n)``, ``S = g_0 + 2 sum_{k=1..lag} (1 - k / (lag + 1)) g_k``, ``g_k`` the mean over n of
    products k days apart. Days without an IC are left out. NaN where all are equal or too few.

    Source: Newey and West, Econometrica 55 (1987), equation 5; equal to statsmodels' HAC with maxlags = lag.
    """
    known = ic[~np.isnan(ic)]
    n = len(known)
    if n <= lag + 1 or np.ptp(known) == 0:
        return np.nan
    error = known - known.mean()
    products = np.array([error[k:] @ error[: n - k] / n for k in range(lag + 1)])
    weights = 1 - np.arange(1, lag + 1) / (lag + 1)
    variance = products[0] + 2 * weights @ products[1:]
    return float(known.mean() / np.sqrt(variance / n))


def bar_of(tried: int, margin: float) -> float:
    """The t that a factor is to exceed after so many tries, ``sqrt(2 ln n) + margin``.

    ``sqrt(2 ln n)`` bounds what the largest of n standard normal numbers is expected to be.
    """
    return float(np.sqrt(2 * np.log(max(tried, 1))) + margin)


def parts_of_sign(ic: Series, parts: int = PARTS) -> int:
    """In how many of the parts, equal in days and in order, the mean has the sign of the mean of all."""
    sign = np.sign(np.nanmean(ic)) if not np.isnan(ic).all() else 0.0
    means = [np.nanmean(part) if not np.isnan(part).all() else 0.0 for part in np.array_split(ic, parts)]
    return int(sum(sign != 0 and np.sign(mean) == sign for mean in means))


def shuffled_within_days(labels: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """The labels, [days, stocks], dealt anew among the stocks of each day that have one: the control of a search."""
    rng = np.random.default_rng([seed, 1])
    result = labels.copy()
    for day in result:
        known = np.flatnonzero(~np.isnan(day))
        day[known] = day[rng.permutation(known)]
    return result

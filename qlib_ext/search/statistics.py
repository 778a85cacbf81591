"""What tells a factor from the best of many chances: pure functions of daily ICs, NaN where a day has none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qlib_ext.analysis.significance import newey_west_t

Series = NDArray[np.floating]
PARTS = 4  # of the training days, whose signs are compared


def icir(ic: Series) -> float:
    """``mean / std`` of daily ICs, std of a sample; NaN where there are fewer than two or all are equal."""
    known = ic[~np.isnan(ic)]
    if len(known) < 2 or np.ptp(known) == 0:
        return np.nan
    return float(known.mean() / known.std(ddof=1))


def t_of_ic(ic: Series, lag: int) -> float:
    """The t statistic of the mean of the days that have an IC, see ``newey_west_t``; NaN for ``lag + 1`` or fewer."""
    known = ic[~np.isnan(ic)]
    return newey_west_t(known, lag) if len(known) > lag + 1 else np.nan


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

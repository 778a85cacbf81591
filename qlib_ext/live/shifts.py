"""How far the values of a day are from those of other days: the population stability index, and what lies far out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from qlib_ext.errors import DataError

Vector = NDArray[np.float64]

LIMIT = 0.25  # above which a distribution is called shifted; below 0.1 it is called the same
RARE = 0.002  # how many usual days are above the limit of the day's own column
FAR_OUT = 0.2  # of the stocks, that lie far out where the values are wrong
MOST_BINS, STOCKS_A_BIN = 10, 10


def stability_index(expected: Vector, actual: Vector, bins: int = MOST_BINS) -> float:
    """The population stability index of two samples of one value, each [n].

        PSI = sum over b of (a_b - e_b) ln(a_b / e_b)

    over bins between the quantiles of the expected values, and one of what is missing; e and a are the samples' shares
    in a bin, at least half an observation where the other sample has one.

    Raises DataError for a sample without a row. Source: N. Siddiqi, Credit Risk Scorecards (2006), chapter 9.
    """
    if not (len(expected) and len(actual)):
        raise DataError("The population stability index compares two samples; one of them is empty.")
    edges = _edges(expected, bins)
    return float(_index(_counts(expected, edges), _counts(actual, edges)))


def _edges(sample: Vector, bins: int) -> Vector:
    known = sample[np.isfinite(sample)]
    return np.unique(np.quantile(known, np.arange(1, bins) / bins)) if len(known) else np.empty(0)


def _counts(sample: Vector, edges: Vector) -> Vector:
    """How many of a sample are in each bin, [bins + 1], the last that of the missing values."""
    known = np.isfinite(sample)
    places = np.where(known, np.searchsorted(edges, sample, side="left"), len(edges) + 1)
    return np.bincount(places, minlength=len(edges) + 2).astype(float)


def _index(expected: Vector, actual: Vector) -> Vector:
    """The index of counts [..., bins + 1] -> [...]."""
    there = (expected > 0) | (actual > 0)
    e, a = (np.maximum(counts, 0.5) / counts.sum(-1, keepdims=True) for counts in (expected, actual))
    return np.where(there, (a - e) * np.log(a / e), 0.0).sum(-1)


def shifts(days: Sequence[pd.DataFrame], today: pd.DataFrame) -> pd.DataFrame:
    """How far each column of today is from S sampled days: [columns] x psi, limit, far_out, shifted.

    days     each [stocks, columns], three or more; today likewise
    psi      the index of today against all sampled days together, in bins of these
    limit    what two usual days in a thousand are above, by the indices p_s of each sampled day against the others:

                 ln limit = m + t sqrt(1 + 1 / S) sd

             m and sd: mean and standard deviation of ln p_s, t: the quantile 1 - 0.002 of Student's t with S - 1
             degrees of freedom. The market moves all stocks of a day; and of n and N values of one distribution in B
             bins alone the index has the mean (B - 1)(1/n + 1/N). Both are in today's index as in the p_s
    far_out  the share of today's values that are below or above all values of the sampled days by more than these are
             apart: the index, which knows bins alone, takes a hundredfold value for a large one
    shifted  psi is above limit and above LIMIT

    There are as many bins as ten stocks of today fill, 2 to 10; p_s counts for 1/n at least. The time is that of
    sorting the values once.

    Sources: B. Yurdakul and J. Naranjo, Statistical properties of the population stability index (2020); G. J. Hahn and
    W. Q. Meeker, Statistical Intervals (1991), section 4.2.
    """
    bins = int(np.clip(len(today) // STOCKS_A_BIN, 2, MOST_BINS))
    rows = {
        name: _shift([day[name].to_numpy(float) for day in days], today[name].to_numpy(float), bins) for name in today
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["psi", "limit", "far_out"])
    return table.assign(shifted=(table["psi"] > LIMIT) & (table["psi"] > table["limit"]))


def _shift(samples: Sequence[Vector], today: Vector, bins: int) -> tuple[float, float, float]:
    """psi, limit and far_out of one column."""
    together = np.concatenate(samples)
    edges, days = _edges(together, bins), len(samples)
    counts = np.stack([_counts(sample, edges) for sample in samples])  # [S, bins + 1]
    total = counts.sum(0)
    usual = np.log(np.maximum(_index(total - counts, counts), 1 / len(today)))
    quantile = student.isf(RARE, days - 1) * np.sqrt(1 + 1 / days)
    known = together[np.isfinite(together)]
    least, most = (known.min(), known.max()) if len(known) else (-np.inf, np.inf)
    apart = most - least
    out = (today < least - apart) | (today > most + apart)
    psi = _index(total, _counts(today, edges))
    return float(psi), float(np.exp(usual.mean() + quantile * usual.std(ddof=1))), float(out.mean())

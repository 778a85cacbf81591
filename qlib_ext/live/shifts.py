"""How far the values of a day are from those of other days: the population stability index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import DataError

Vector = NDArray[np.float64]

LIMIT = 0.25  # above which a distribution is called shifted; below 0.1 it is called the same
BEYOND = 1.25  # times the usual, from which a day is unusual: the next day may always be the furthest so far
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
    known = expected[np.isfinite(expected)]
    edges = np.unique(np.quantile(known, np.arange(1, bins) / bins)) if len(known) else np.empty(0)
    e, a = (_counts(sample, edges) for sample in (expected, actual))
    there = (e > 0) | (a > 0)
    e, a = np.maximum(e[there], 0.5) / len(expected), np.maximum(a[there], 0.5) / len(actual)
    return float(((a - e) * np.log(a / e)).sum())


def _counts(sample: Vector, edges: Vector) -> Vector:
    """How many of a sample are in each bin, [bins + 1], the last that of the missing values."""
    known = np.isfinite(sample)
    places = np.where(known, np.searchsorted(edges, sample, side="left"), len(edges) + 1)
    return np.bincount(places, minlength=len(edges) + 2).astype(float)


def shifts(days: Sequence[pd.DataFrame], today: pd.DataFrame) -> pd.DataFrame:
    """How far each column of today is from sampled days: [columns] x psi, usual, shifted.

    days     each [stocks, columns]; today likewise
    psi      the index of today against all sampled days together
    usual    the largest that one of the sampled days has against the others: the market moves all stocks of a day
    shifted  psi is above LIMIT and above BEYOND times usual

    There are as many bins as ten stocks of today fill, 2 to 10.
    """
    bins = int(np.clip(len(today) // STOCKS_A_BIN, 2, MOST_BINS))
    rows = {}
    for name in today.columns:
        samples = [day[name].to_numpy(float) for day in days]
        psi = stability_index(np.concatenate(samples), today[name].to_numpy(float), bins)
        usual = max(
            stability_index(np.concatenate(samples[:place] + samples[place + 1 :]), sample, bins)
            for place, sample in enumerate(samples)
        )
        rows[name] = {"psi": psi, "usual": usual}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["psi", "usual"])
    return table.assign(shifted=(table["psi"] > LIMIT) & (table["psi"] > BEYOND * table["usual"]))

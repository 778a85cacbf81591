"""How alike scores and factors are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.cross_section.ic import Matrix, cross_sectional_rank, information_coefficient

LEAST_VARIANCE = 1e-6  # of ranks that are not all the same; that of two stocks is 1/4


def rank_correlation(a: Mapping[str, Matrix], b: Mapping[str, Matrix]) -> pd.DataFrame:
    """Mean over days of the cross-sectional rank correlation of each of a with each of b: [len(a), len(b)].

    ``mean_t Rank IC(a_t, b_t)``, ranks among the stocks that have both on the day; days on which it is NaN (fewer than
    two stocks, or one of them constant) do not count, and it is NaN where none is left. Matrices [days, stocks] by the
    same days and stocks.

    Source: Orient Securities, factor selection series 96 (2023-08-24), figure 8, and series 110, figure 7; they do
    not say which correlation, ranks are ours.
    """
    result = pd.DataFrame(np.nan, list(a), list(b))
    for name, values in a.items():
        ranks = cross_sectional_rank(values)
        for other, others in b.items():
            known = a is b and np.isfinite(result.loc[other, name])  # the same scores on both sides: it is symmetric
            result.loc[name, other] = result.loc[other, name] if known else _mean_correlation(values, ranks, others)
    return result


def score_correlation(scores: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """``rank_correlation`` of scores among each other, each pair over the days and stocks that both have.

    scores: frames [days, stocks], each of days and stocks of its own. Returns [scores, scores], 1 on the diagonal; NaN
    for two that share no day.

    Source: Orient Securities, factor selection series 96 (2023-08-24), table 2, and series 110 (2024-02-19), figure 7.
    """
    days = sorted({day for score in scores.values() for day in score.index})
    stocks = sorted({stock for score in scores.values() for stock in score.columns})
    matrices = {name: score.reindex(index=days, columns=stocks).to_numpy() for name, score in scores.items()}
    return rank_correlation(matrices, matrices)


def correlation_matrix(ranks: Mapping[str, NDArray[np.floating]]) -> pd.DataFrame:
    """Mean over days of the correlation of each factor's ranks with each other's, for many factors: [k, k].

    ``mean_t corr(R_a,t, R_b,t)`` over the stocks that have both. A stock's rank is that among all that have the factor:
    where two factors have the same stocks it is ``rank_correlation``, and many times as fast. Days on which it is not
    defined do not count.

    ranks: matrices [days, stocks] of ``cross_sectional_rank``, by the same days and stocks.

    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibits 23, 35 and 42, which do not say
    which correlation; ranks are ours.
    """
    names = list(ranks)
    total, count = np.zeros((2, len(names), len(names)))
    for of_day in zip(*ranks.values(), strict=True):
        daily = _pairwise_correlation(np.array(of_day, dtype=np.float64))
        known = np.isfinite(daily)
        total += np.where(known, daily, 0.0)
        count += known
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return pd.DataFrame(mean, names, names)


def _pairwise_correlation(values: Matrix) -> Matrix:
    """Pearson's correlation of each row with each other over the columns that both have: [k, n] -> [k, k]."""
    has = np.isfinite(values)
    x, one = np.where(has, values - values.shape[1] / 2, 0.0), has.astype(np.float64)  # small numbers lose fewer digits
    with np.errstate(invalid="ignore", divide="ignore"):
        n = one @ one.T
        mean = x @ one.T / n  # of the row, over the columns that the other has as well
        variance = (x * x) @ one.T / n - mean**2
        variance = np.where(variance > LEAST_VARIANCE, variance, np.nan)  # rounding leaves a constant a variance
        return (x @ x.T / n - mean * mean.T) / np.sqrt(variance * variance.T)


def _mean_correlation(values: Matrix, ranks: Matrix, others: Matrix) -> float:
    """The mean, given the ranks of ``values`` among themselves; days where ``others`` has holes are sorted anew."""
    holes = np.isnan(others) & np.isfinite(values)
    torn = holes.any(1)
    if torn.any():
        ranks = ranks.copy()
        ranks[torn] = cross_sectional_rank(np.where(holes[torn], np.nan, values[torn]))
    daily = information_coefficient(ranks, cross_sectional_rank(np.where(np.isnan(values), np.nan, others)))
    return float(np.nanmean(daily)) if np.isfinite(daily).any() else np.nan

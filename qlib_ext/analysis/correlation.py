"""How alike scores and factors are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from qlib_ext.cross_section.ic import Matrix, cross_sectional_rank, information_coefficient


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


def _mean_correlation(values: Matrix, ranks: Matrix, others: Matrix) -> float:
    """The mean, given the ranks of ``values`` among themselves; days where ``others`` has holes are sorted anew."""
    holes = np.isnan(others) & np.isfinite(values)
    torn = holes.any(1)
    if torn.any():
        ranks = ranks.copy()
        ranks[torn] = cross_sectional_rank(np.where(holes[torn], np.nan, values[torn]))
    daily = information_coefficient(ranks, cross_sectional_rank(np.where(np.isnan(values), np.nan, others)))
    return float(np.nanmean(daily)) if np.isfinite(daily).any() else np.nan

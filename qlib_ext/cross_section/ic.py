"""The information coefficient and its summary: pure functions of matrices [days, stocks], NaN where nothing is."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
ROWS_AT_ONCE = 128  # days whose sorting fits the processor's cache
INFINITE = [np.inf, -np.inf]
LARGEST = 1022  # exponent whose power of two float64 holds, as it holds that of its negative


def cross_sectional_rank(values: Matrix) -> Matrix:
    """Rank of each stock within its day, from 1 for the smallest, ties averaged: [days, stocks] -> [days, stocks].

    NaN stays NaN and takes no rank; values are finite or NaN. Equal to ``pandas.DataFrame.rank(axis=1)``.
    """
    ranks = np.empty(values.shape)
    for start in range(0, len(values), ROWS_AT_ONCE):
        ranks[start : start + ROWS_AT_ONCE] = _rank(values[start : start + ROWS_AT_ONCE])
    return ranks


def _rank(values: Matrix) -> Matrix:
    missing = np.isnan(values)
    filled = np.where(missing, np.inf, values)  # numpy sorts NaN several times slower
    order = np.argsort(filled, axis=1)
    ascending = np.take_along_axis(filled, order, axis=1)
    place = np.broadcast_to(np.arange(1.0, values.shape[1] + 1), values.shape)
    tied = ascending[:, 1:] == ascending[:, :-1]
    if (tied & (ascending[:, 1:] < np.inf)).any():
        edge = np.ones((len(values), 1), dtype=bool)
        first = np.maximum.accumulate(np.where(np.hstack([edge, ~tied]), place, 0), axis=1)
        last = np.minimum.accumulate(np.where(np.hstack([~tied, edge]), place, np.inf)[:, ::-1], axis=1)[:, ::-1]
        place = (first + last) / 2
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, place, axis=1)
    ranks[missing] = np.nan
    return ranks


def information_coefficient(score: Matrix, label: Matrix) -> Matrix:
    """Pearson correlation of each day's cross-section: [days, stocks] twice -> [days].

    ``IC_t = sum_i (s_i - mean s)(y_i - mean y) / sqrt(sum_i (s_i - mean s)^2 sum_i (y_i - mean y)^2)`` over the stocks
    that have both. NaN on a day with fewer than two of them, or where either is the same for all of them. The scale of
    neither matters. ``cross_section.tensor_ic`` is the torch form.

    Source: Huatai, AI series 42 (2021-02-21), exhibit 23; equal to Qlib's ``calc_ic``.
    """
    result = np.full(len(score), np.nan)
    for start in range(0, len(score), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        result[rows] = _correlation(score[rows], label[rows])
    return result


def _correlation(score: Matrix, label: Matrix) -> Matrix:
    both = ~(np.isnan(score) | np.isnan(label))
    s, y = (_deviation(values, both) for values in (score, label))
    variances = (s * s).sum(1) * (y * y).sum(1)
    return np.divide((s * y).sum(1), np.sqrt(variances), out=np.full(len(score), np.nan), where=variances > 0)


def _deviation(values: Matrix, both: NDArray[np.bool_]) -> Matrix:
    """Distance from the day's mean times a power of two, whose squares float64 holds; 0 where all are equal."""
    filled = np.where(both, values, 0.0)
    centred = np.where(both, filled - (filled.sum(1) / np.maximum(both.sum(1), 1))[:, None], 0.0)
    # by comparison: centring leaves a rounding error of a constant, whose correlation would be noise
    low, high = np.where(both, values, np.inf).min(1), np.where(both, values, -np.inf).max(1)
    _, exponent = np.frexp(np.abs(centred).max(1))
    factor = np.where(low < high, np.ldexp(1.0, -np.clip(exponent, -LARGEST, LARGEST)), 0.0)
    return centred * factor[:, None]


def rank_information_coefficient(score: Matrix, label: Matrix) -> Matrix:
    """Spearman correlation of each day's cross-section, the Rank IC: [days, stocks] twice -> [days].

    ``Rank IC_t = IC(rank s_t, rank y_t)``, ranks among the stocks that have both, ties averaged; NaN as in the IC.

    Source: Orient Securities, factor selection series 110 (2024-02-19), section 2.1; equal to Qlib's ``calc_ic``.
    """
    missing = np.isnan(score) | np.isnan(label)
    ranks = (cross_sectional_rank(np.where(missing, np.nan, values)) for values in (score, label))
    return information_coefficient(*ranks)


def daily_rank_ic(score: pd.Series, label: pd.Series) -> pd.Series:
    """The Rank IC of each day of a score and a label, series by (datetime, instrument), over the rows of the score."""
    s, y = (values.unstack("instrument") for values in (score, label.reindex(score.index).replace(INFINITE, np.nan)))
    return pd.Series(rank_information_coefficient(s.to_numpy(float), y.to_numpy(float)), s.index)


def ic_summary(ic: pd.Series) -> pd.DataFrame:
    """Mean, std (n - 1), ``icir = mean / std``, share of days above 0, and number of days: "all", then year by year.

    ic is a Series by day; days whose IC is NaN do not count. Not annualised, as in the reports: a mean of 0.10 with a
    standard deviation of 0.08 has the ICIR 1.25.

    Source: Orient Securities, factor selection series 110, section 2.1 and figure 4; Huatai, AI series 42, exhibit 23.
    """
    known = ic.dropna()
    periods = {"all": known} | {str(year): part for year, part in known.groupby(known.index.year)}
    rows = {
        period: {
            "mean": part.mean(),
            "std": part.std(),
            "icir": part.mean() / part.std() if part.std() > 0 else np.nan,
            "positive": (part > 0).mean(),
            "days": len(part),
        }
        for period, part in periods.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def monthly_mean(ic: pd.Series) -> pd.DataFrame:
    """The mean IC of each month, [years, 12]; NaN where a month has none.

    Source: Huatai, AI series 42, exhibit 26.
    """
    means = ic.groupby([ic.index.year, ic.index.month]).mean().unstack()
    return means.reindex(columns=range(1, 13)).rename_axis(index="year", columns="month")

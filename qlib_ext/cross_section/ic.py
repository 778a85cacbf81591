"""The information coefficient and its summary: pure functions of matrices [days, stocks], NaN where nothing is."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
ROWS_AT_ONCE = 128  # days whose sorting fits the processor's cache
INFINITE = [np.inf, -np.inf]
LARGEST = 1022  # exponent whose power of two float64 holds, as it holds that of its negative

compiled = njit(cache=True, error_model="numpy")


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
    ranks = _averaged(filled, np.argsort(filled, axis=1))
    ranks[missing] = np.nan
    return ranks


@compiled
def _averaged(values, order):
    """Places in the ascending order of each row, from 1, equal values at the mean of theirs."""
    ranks = np.empty(values.shape)
    for row in range(values.shape[0]):
        begin = 0
        while begin < values.shape[1]:
            value, end = values[row, order[row, begin]], begin + 1
            while end < values.shape[1] and values[row, order[row, end]] == value:
                end += 1
            for place in range(begin, end):
                ranks[row, order[row, place]] = (begin + 1 + end) / 2
            begin = end
    return ranks


def information_coefficient(score: Matrix, label: Matrix) -> Matrix:
    """Pearson correlation of each day's cross-section: [days, stocks] twice -> [days].

    ``IC_t = sum_i (s_i - mean s)(y_i - mean y) / sqrt(sum_i (s_i - mean s)^2 sum_i (y_i - mean y)^2)`` over the stocks
    that have both. NaN on a day with fewer than two of them, or where either is the same for all of them. The scale of
    neither matters. ``cross_section.tensor_ic`` is the torch form.

    Source: Huatai, AI series 42 (2021-02-21), exhibit 23; equal to Qlib's ``calc_ic``.
    """
    return _correlations(score, label)


@compiled
def _correlations(score, label):
    result = np.full(len(score), np.nan)
    for day in range(len(score)):
        s, y = score[day], label[day]
        count, sum_s, sum_y = 0, 0.0, 0.0
        low_s, high_s, low_y, high_y = np.inf, -np.inf, np.inf, -np.inf
        for i in range(len(s)):
            if s[i] == s[i] and y[i] == y[i]:
                count += 1
                sum_s, sum_y = sum_s + s[i], sum_y + y[i]
                low_s, high_s, low_y, high_y = min(low_s, s[i]), max(high_s, s[i]), min(low_y, y[i]), max(high_y, y[i])
        # by comparison: centring leaves a rounding error of a constant, whose correlation would be noise
        if not (low_s < high_s and low_y < high_y):
            continue
        mean_s, mean_y = sum_s / count, sum_y / count
        factor_s, factor_y = _scale(high_s - mean_s, mean_s - low_s), _scale(high_y - mean_y, mean_y - low_y)
        square_s, square_y, product = 0.0, 0.0, 0.0
        for i in range(len(s)):
            if s[i] == s[i] and y[i] == y[i]:
                own_s, own_y = (s[i] - mean_s) * factor_s, (y[i] - mean_y) * factor_y
                square_s, square_y, product = (
                    square_s + own_s * own_s,
                    square_y + own_y * own_y,
                    product + own_s * own_y,
                )
        if square_s * square_y > 0:
            result[day] = product / np.sqrt(square_s * square_y)
    return result


@compiled
def _scale(above, below):
    """The power of two that makes the larger distance about 1, so that float64 holds its square."""
    _, exponent = math.frexp(max(above, below))
    return math.ldexp(1.0, -min(max(exponent, -LARGEST), LARGEST))


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

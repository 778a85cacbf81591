"""The z-score of rows by (datetime, instrument) over the stocks of each day, and the mean of several scores by it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def zscore_of_all(
    values: NDArray[np.float64], known: NDArray[np.bool_], weight: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """``(x - m) / s`` of each day, with m the weighted mean of the known stocks and s their deviation, not of a sample.

    ``m = sum w x / sum w``, ``s^2 = mean (x - mean x)^2``: the weights, by default equal, are of the mean alone. Every
    stock is transformed, known or not; all of a day is NaN where its known values are alike.

    values, known, weight [days, stocks], finite where known.
    """
    x = np.where(known, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        count = known.sum(1, keepdims=True)
        centre = x.sum(1, keepdims=True) / count
        deviation = np.sqrt((np.where(known, x - centre, 0.0) ** 2).sum(1, keepdims=True) / count)
        mean = centre
        if weight is not None:
            weight = np.where(known, weight, 0.0)
            mean = (weight * x).sum(1, keepdims=True) / weight.sum(1, keepdims=True)
        varies = deviation > 1e-12 * np.abs(centre)  # rounding leaves a constant a deviation above 0
        return np.where(varies, (values - mean) / deviation, np.nan)


def zscore(values: pd.DataFrame) -> pd.DataFrame:
    """``(x - mean) / std`` over the stocks of each day, std of a sample; NaN and infinite values take no part, are NaN.

    values: a column each, by (datetime, instrument). A day whose values are equal gives NaN, or what rounding leaves.
    Equal to Qlib's ``CSZScoreNorm`` where all values are finite.
    """
    values = values.where(np.isfinite(values))  # one infinite value would leave nobody of its day a number
    by_day = values.groupby(level="datetime")
    return (values - by_day.transform("mean")) / by_day.transform("std")


def zscore_or_mean(values: pd.DataFrame) -> pd.DataFrame:
    """``zscore``, and 0, the mean, where a value is missing or the same for all stocks of the day."""
    by_day = values.groupby(level="datetime")
    varies = by_day.transform("min") < by_day.transform("max")  # rounding leaves a constant a std above 0
    return zscore(values).where(varies, 0.0).fillna(0.0)


def mean_of_zscores(scores: list[pd.Series]) -> pd.Series:
    """``mean_k (s_k - mean_day s_k) / std_day s_k``; a single score is left as it is.

    scores: series by (datetime, instrument) with the same index. A day's only stock stands at its mean, 0.
    """
    if len(scores) == 1:
        return scores[0]
    mean = zscore_or_mean(pd.concat(scores, axis=1)).mean(axis=1)
    return mean.astype(np.float32).rename("score")

"""The z-score of rows by (datetime, instrument) over the stocks of each day, and the mean of several scores by it."""

from __future__ import annotations

import numpy as np
import pandas as pd


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

"""Several scores of the same samples as one."""

from __future__ import annotations

import numpy as np
import pandas as pd


def standardised(scores: pd.DataFrame) -> pd.DataFrame:
    """``(x - mean) / std`` over the stocks of each day; 0 where x is missing or the same for all of them.

    scores: a column each, by (datetime, instrument).
    """
    by_day = scores.groupby(level="datetime")
    varies = by_day.transform("min") < by_day.transform("max")  # rounding leaves a constant a std above 0
    return ((scores - by_day.transform("mean")) / by_day.transform("std")).where(varies, 0.0).fillna(0.0)


def mean_of_standardised(scores: list[pd.Series]) -> pd.Series:
    """``mean_k (s_k - mean_day s_k) / std_day s_k``; a single score is left as it is.

    scores: series by (datetime, instrument) with the same index. A day's only stock stands at its mean, 0.
    """
    if len(scores) == 1:
        return scores[0]
    mean = standardised(pd.concat(scores, axis=1)).mean(axis=1)
    return mean.astype(np.float32).rename("score")

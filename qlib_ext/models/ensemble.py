"""Several scores of the same samples as one."""

from __future__ import annotations

import numpy as np
import pandas as pd


def mean_of_standardised(scores: list[pd.Series]) -> pd.Series:
    """``mean_k (s_k - mean_day s_k) / std_day s_k``; a single score is left as it is.

    scores: series by (datetime, instrument) with the same index. A day's only stock stands at its mean, 0.
    """
    if len(scores) == 1:
        return scores[0]
    by_day = [score.groupby(level="datetime") for score in scores]
    standardised = [
        (score - day.transform("mean")) / day.transform("std") for score, day in zip(scores, by_day, strict=True)
    ]
    mean = pd.concat(standardised, axis=1).mean(axis=1).fillna(0.0)
    return mean.astype(np.float32).rename("score")

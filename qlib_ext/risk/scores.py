"""What a score owes to the risk model's factors: its exposures to them, and what is left of it without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from qlib_ext.cross_section.zscore import zscore_of_all
from qlib_ext.errors import DataError
from qlib_ext.risk.days import INDUSTRY
from qlib_ext.risk.model import StyleRiskModel


@dataclass(frozen=True)
class ScoreExposures:
    """A score and the factors, by day.

    exposures  [days, factors]: to a style, the correlation of score and exposure; to an industry, the mean standardised
               score of its stocks; NaN where the factor is none
    explained  [days]: the share of the score's variance that all factors explain together, R^2
    neutral    [days, stocks]: what a regression of the standardised score on all factors leaves, NaN where none
    """

    exposures: pd.DataFrame
    explained: pd.Series
    neutral: pd.DataFrame


def score_exposures(model: StyleRiskModel, score: pd.DataFrame) -> ScoreExposures:
    """Regress a score [days, stocks] on the exposures at the close of its day, equally weighted, day by day.

    Days that the model lacks, and days on which fewer than twice as many stocks as factors have both, are passed over.
    Raises DataError where no day is left.
    """
    exposures, explained, neutral = {}, {}, {}
    for day in score.index.intersection(model.days):
        values = score.loc[day].dropna()
        if not len(values):
            continue
        x = model.exposures(day)
        x = x.loc[x.index.intersection(values.index)]
        x = x.loc[:, (x != 0).any()]
        if len(x) < 2 * x.shape[1]:
            continue
        own = values[x.index].to_numpy(dtype=float)
        z = zscore_of_all(own[None], np.isfinite(own)[None])[0]
        if np.isnan(z).any():
            continue
        left = z - x.to_numpy() @ np.linalg.lstsq(x.to_numpy(), z, rcond=None)[0]
        exposures[day] = {name: _exposure(name, z, column.to_numpy()) for name, column in x.items() if name != "market"}
        explained[day] = 1 - float(left @ left) / float(z @ z)
        neutral[day] = pd.Series(left, x.index)
    if not exposures:
        raise DataError(
            f"The risk model covers the score on none of its {len(score)} days, {score.index[0]:%Y-%m-%d} to "
            f"{score.index[-1]:%Y-%m-%d}; build it for these days and stocks with `qlib-ext risk`."
        )
    return ScoreExposures(
        pd.DataFrame.from_dict(exposures, orient="index"),
        pd.Series(explained, name="explained"),
        pd.DataFrame.from_dict(neutral, orient="index").reindex(index=score.index, columns=score.columns),
    )


def _exposure(name: str, z: np.ndarray, x: np.ndarray) -> float:
    if name.startswith(INDUSTRY):
        return float(z[x == 1].mean())
    return float(np.corrcoef(z, x)[0, 1]) if x.std() > 0 else np.nan

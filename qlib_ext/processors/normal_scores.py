"""Ranks of a day, spread as a normal distribution is."""

from __future__ import annotations

import numpy as np
import pandas as pd
from qlib.data.dataset.processor import Processor
from scipy.special import ndtri

from qlib_ext.cross_section.matrix import plotting_positions
from qlib_ext.processors.normalise import columns_of, rewrite


class CSNormalScores(Processor):
    """``z_i = Phi^-1((r_i - 1/2) / n)``, r_i the rank of x_i among the n stocks of the day, ties averaged.

    The order of the ranks with the tails of a normal distribution: for a label, more weight on the best and the worst
    than ``CSRankNorm`` gives, and none of the outliers that ``CSZScoreNorm`` keeps. NaN and infinite values take no
    rank and become NaN; a stock alone on its day, or equal to all, is 0.
    Source: van der Waerden's scores, with Hazen's plotting positions.
    """

    def __init__(self, fields_group: str | list | None = None) -> None:
        self.fields_group = fields_group

    def __call__(self, df: pd.DataFrame) -> pd.DataFrame:
        def scores(values: np.ndarray, own: np.ndarray, rows: slice) -> np.ndarray:
            return ndtri(plotting_positions(pd.DataFrame(values, index=df.index[rows])).to_numpy())

        return rewrite(df, columns_of(df, self.fields_group), scores)

"""How a score leans on size and industries, of a provider that has them, where there is no risk model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from qlib_ext.cross_section.ic import rank_information_coefficient
from qlib_ext.cross_section.zscore import zscore_of_all

INDUSTRY, SIZE = "$industry", "$float_mv"  # a number for each industry, and the float market value


def exposure_frames(score: pd.DataFrame, fields: Mapping[str, pd.DataFrame], horizon: int) -> dict[str, pd.DataFrame]:
    """The file exposures.pkl of FactorRecord: [every horizon-th day, size and industries]; none without both fields.

    size is ``Rank corr(s, market value)``; industry_I the mean of the standardised score of its stocks,
    ``mean_{i in I} z_i``.

    score [days, stocks]; fields by name, [days, stocks] of these days and more.
    """
    if not {INDUSTRY, SIZE} <= fields.keys():
        return {}
    spaced = score.iloc[::horizon].dropna(how="all")
    values = spaced.to_numpy(dtype=float)
    size, industry = (fields[name].reindex_like(spaced).to_numpy(dtype=float) for name in (SIZE, INDUSTRY))
    z = zscore_of_all(values, np.isfinite(values))
    found = {"size": rank_information_coefficient(values, size)}
    for number in np.unique(industry[np.isfinite(industry)]):
        inside = (industry == number) & np.isfinite(z)
        count = inside.sum(1)
        total = np.where(inside, z, 0.0).sum(1)
        found[f"industry_{number:g}"] = np.divide(total, count, out=np.full(len(z), np.nan), where=count > 0)
    return {"exposures.pkl": pd.DataFrame(found, spaced.index)}

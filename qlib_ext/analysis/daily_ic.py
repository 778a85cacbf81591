"""The ICs of a score: day by day, over a test and its years, and month by month."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.cross_section.ic import (
    ic_summary,
    information_coefficient,
    monthly_mean,
    rank_information_coefficient,
)
from qlib_ext.errors import DataError


def ic_frames(score: pd.DataFrame, label: pd.DataFrame, horizon: int) -> dict[str, pd.DataFrame]:
    """The files ic.pkl, ic_summary.pkl and ic_monthly.pkl of FactorRecord.

    score and label [days, stocks] by the same days and stocks; days without scores are left out. ``spaced`` marks every
    horizon-th trading day, so that the labels of the marked days do not overlap. Raises DataError where no day has a
    Rank IC.
    """
    s, y = score.to_numpy(), label.to_numpy()
    daily = pd.DataFrame(
        {
            "ic": information_coefficient(s, y),
            "rank_ic": rank_information_coefficient(s, y),
            "spaced": np.arange(len(score)) % horizon == 0,
        },
        index=score.index,
    )[score.notna().any(axis=1)]
    if daily["rank_ic"].isna().all():
        raise DataError(
            f"The Rank IC is not defined on any of the {len(daily)} days from {daily.index[0]:%Y-%m-%d} to "
            f"{daily.index[-1]:%Y-%m-%d}: it takes two stocks whose scores differ, and their labels. See the model and "
            "the universe."
        )
    daily.insert(2, "rank_ic_cumulative", daily["rank_ic"].cumsum())
    measures = {"ic": daily["ic"], "rank_ic": daily["rank_ic"], "rank_ic_spaced": daily["rank_ic"][daily["spaced"]]}
    summary = {name: ic_summary(ic) for name, ic in measures.items()}
    return {
        "ic.pkl": daily,
        "ic_summary.pkl": pd.concat(summary, names=["measure", "period"]),
        "ic_monthly.pkl": monthly_mean(daily["rank_ic"]),
    }

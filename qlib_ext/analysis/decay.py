"""How long a score tells something, and how fast it changes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.cross_section.ic import ic_summary, rank_information_coefficient
from qlib_ext.cross_section.matrix import rows_later

LONGEST = 20  # trading days


def decay_frame(score: pd.DataFrame, price: pd.DataFrame, every: int, longest: int = LONGEST) -> pd.DataFrame:
    """The Rank IC with the returns of 1 to ``longest`` days, and the score's rank correlation with its own past.

    Columns, a row for each number of days h: rank_ic and icir, mean and mean / std over every ``every``-th day of
    ``Rank IC(s_t, P[t+1+h] / P[t+1] - 1)``; autocorrelation, the mean of ``Rank IC(s_t, s_{t-h})`` over these days.
    NaN where no day has one.

    score, price [days, stocks] by the same trading days and stocks; a price carries over suspensions.
    """
    s, p = score.to_numpy(dtype=float), price.to_numpy(dtype=float)
    rows = np.arange(0, len(s), every)
    found = {}
    for days in range(1, longest + 1):
        with_return = rows_later(p, rows, 1 + days) / rows_later(p, rows, 1) - 1
        of_ic = ic_summary(pd.Series(rank_information_coefficient(s[rows], with_return), score.index[rows])).loc["all"]
        own = ic_summary(
            pd.Series(rank_information_coefficient(s[rows], rows_later(s, rows, -days)), score.index[rows])
        )
        found[days] = {"rank_ic": of_ic["mean"], "icir": of_ic["icir"], "autocorrelation": own.loc["all", "mean"]}
    return pd.DataFrame.from_dict(found, "index").rename_axis("days")

"""The history of an industry that is new: that of the industries its stocks came from."""

from __future__ import annotations

import pandas as pd

from qlib_ext.risk.days import INDUSTRY, MARKET, industry_name


def inherited(returns: pd.DataFrame, origins: list[tuple]) -> pd.DataFrame:
    """Factor returns where an industry, on the days before it began, has those of the industries its stocks came from.

    ``f_k = sum_j share_kj f_j``; an industry without origins, or of a day without five stocks, has the market's return,
    so 0 of its own. returns [days, factors] to the day that asks; origins (day, industry, origin, share) not after it.
    Without it a new scheme of industries would have no history; nothing of it is known before its day.
    """
    filled = returns.copy()
    known = returns["market"].notna() if MARKET in returns else returns.notna().any(axis=1)
    frame = pd.DataFrame(origins, columns=["datetime", "industry", "origin", "share"])
    for (day, industry), rows in frame.groupby(["datetime", "industry"], sort=True):
        name = industry_name(industry)
        if name not in filled:
            continue
        before = filled.index < pd.Timestamp(day)
        sources = filled.loc[before].reindex(columns=[industry_name(origin) for origin in rows["origin"]])
        inherited_returns = sources.fillna(0.0) @ rows["share"].to_numpy()
        filled.loc[before, name] = filled.loc[before, name].fillna(inherited_returns)
    industries = [name for name in filled if name.startswith(INDUSTRY)]
    filled.loc[known, industries] = filled.loc[known, industries].fillna(0.0)
    return filled

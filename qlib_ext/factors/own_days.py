"""Each stock's own trading days, one after the other: what suspended days would tear apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from inspect import signature

import numpy as np
import pandas as pd


def over_own_days(
    bars: Mapping[str, pd.DataFrame], functions: Mapping[str, Callable[..., pd.DataFrame]]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Functions of frames of own trading days, one by one applied to a calendar's; NaN where a stock does not trade.

    functions  by name, their arguments called as the bars are; they see rows that are a stock's trading days, one after
               the other, and NaN after its last
    bars       close and others by name, frames [days, stocks] by all trading days; a day without one of them is one
               without trading
    """
    traded = np.logical_and.reduce([bars[name].notna().to_numpy() for name in bars])  # [days, stocks]
    rows, stocks = np.nonzero(traded.T)[::-1]  # stock after stock, day after day
    place = (traded.cumsum(0) - 1)[rows, stocks]
    own: dict[str, pd.DataFrame] = {}
    for name, frame in bars.items():
        values = np.full(traded.shape, np.nan)
        values[place, stocks] = frame.to_numpy()[rows, stocks]
        own[name] = pd.DataFrame(values)
    for name, function in functions.items():
        values = function(**{field: own[field] for field in own if field in signature(function).parameters})
        back = np.full(traded.shape, np.nan, dtype=np.float32)
        back[rows, stocks] = values.to_numpy()[place, stocks]
        yield name, pd.DataFrame(back, bars["close"].index, bars["close"].columns)

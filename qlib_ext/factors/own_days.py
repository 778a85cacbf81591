"""Each stock's own trading days, one after the other: what suspended days would tear apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from inspect import signature

import numpy as np
import pandas as pd

Functions = Mapping[str, Callable[..., pd.DataFrame]]


def over_own_days(
    bars: Mapping[str, pd.DataFrame], functions: Functions, shared: Functions | None = None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Functions of frames of own trading days, one by one applied to a calendar's; NaN where a stock does not trade.

    functions  by name, their arguments called as the bars are, or as what is shared; they see rows that are a stock's
               trading days, one after the other, and NaN after its last
    shared     functions whose values others read, by the name of that argument: each is computed once, at its first use
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
    argument = {function: name for name, function in (shared or {}).items()}

    def value(function: Callable[..., pd.DataFrame]) -> pd.DataFrame:
        name = argument.get(function)
        if name in own:
            return own[name]
        read = signature(function).parameters
        for other in read:
            if shared and other in shared:
                value(shared[other])
        values = function(**{other: own[other] for other in own if other in read})
        if name is not None:
            own[name] = values
        return values

    for name, function in functions.items():
        values = value(function)
        back = np.full(traded.shape, np.nan, dtype=np.float32)
        back[rows, stocks] = values.to_numpy()[place, stocks]
        yield name, pd.DataFrame(back, bars["close"].index, bars["close"].columns)

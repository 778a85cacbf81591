"""A market that grows day by day: a stock is listed, members of the index change, a stock is suspended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from qlib_ext.provider.writer import write_provider
from qlib_ext.simulator.index import spans
from qlib_ext.simulator.simulate import INDEX, Market, simulate

STOCKS, DAYS = 14, 150
BARS = ("open", "high", "low", "close", "vwap", "volume", "amount", "turnover", "change")  # none on a suspended day
FIELDS = (*BARS, "factor", "float_mv", "total_mv", "industry", "csi300_weight")  # no reports of companies
TRAINED = 136  # days that the runs know; the rest comes day by day
LISTED, SUSPENDED, CHANGED = 139, (138, 142), 141  # positions of days: of the new listing, of both ends, of the index


def growing() -> Market:
    """The whole market; what happens to the stocks 0, 1, 2 and 4 happens after day TRAINED."""
    market = simulate(STOCKS, DAYS, seed=5)
    listed, members = np.ones_like(market.listed), np.ones_like(market.members)
    fields = {name: market.fields[name].copy() for name in FIELDS}
    listed[:] = market.listed
    listed[:LISTED, 0] = False
    members[:, 1] = np.arange(DAYS) < CHANGED
    members[:, 2] = np.arange(DAYS) >= CHANGED
    for name in BARS:
        fields[name][slice(*SUSPENDED), 4] = np.nan
    members[:, 4] = True
    members &= listed
    fields = {name: np.where(listed, values, np.nan) for name, values in fields.items()}
    return replace(market, fields=fields, listed=listed, members=members)


def write_until(folder: Path, market: Market, days: int, edit: Callable[[dict], None] | None = None) -> None:
    """A provider of the first ``days`` days, in place of the one before."""
    calendar = market.calendar[:days]
    fields = {name: values[:days].copy() for name, values in market.fields.items()}
    if edit is not None:
        edit(fields)

    def frames():
        for place, symbol in enumerate(market.symbols):
            rows = market.listed[:days, place]
            if rows.any():
                yield symbol, pd.DataFrame({name: v[rows, place] for name, v in fields.items()}, calendar[rows])
        yield INDEX, market.index.iloc[:days]

    inside = {"all": market.listed[:days], "csi300": market.members[:days]}
    instruments = {name: spans(calendar, market.symbols, days_in) for name, days_in in inside.items()}
    write_provider(folder, calendar, frames(), instruments, about={}, overwrite=True)

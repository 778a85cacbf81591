"""The market that factors are tested in: the test days, prices, who can be bought, and what the next period returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from qlib.config import C
from qlib.data import D

from qlib_ext.analysis import reading
from qlib_ext.analysis.single_factor.setting import Setting
from qlib_ext.cross_section.ic import Matrix
from qlib_ext.cross_section.matrix import rows_later
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.errors import ConfigError
from qlib_ext.provider.check import check_features
from qlib_ext.provider.panels import read_panels


@dataclass(frozen=True)
class Market:
    """What every factor is tested against.

    first, last  the first and the last trading day of the test
    tested       the test days, every rebalance-th trading day
    price        [days, stocks], from the first day to one period after the last
    buyable      [test days, stocks], whether a stock trades the next day below its upper limit
    label        [test days, stocks], ``P[t+1+h] / P[t+1] - 1`` with h trading days of a period; the last price stands
                 while a stock is suspended
    """

    first: pd.Timestamp
    last: pd.Timestamp
    tested: pd.DatetimeIndex
    price: pd.DataFrame
    buyable: np.ndarray
    label: Matrix

    @property
    def stocks(self) -> pd.Index:
        """All that were ever members of the universe."""
        return self.price.columns


def market_of(setting: Setting) -> Market:
    """The market of a setting, of the provider that Qlib was initialised with.

    Raises ConfigError where the test has fewer than two periods, DataError for an unknown universe, ProviderError where
    no stock has the price.
    """
    calendar = pd.DatetimeIndex(D.calendar(freq="day"))
    first, last = (pd.Timestamp(day) if day else None for day in (setting.start, setting.end))
    inside = calendar[calendar.slice_indexer(first, last)]
    tested = inside[:: setting.rebalance]
    if len(tested) < 2:
        raise ConfigError(
            f"The test from {setting.start or 'the first'} to {setting.end or 'the last day'} has {len(inside)} "
            f"trading days, and a test takes two periods of {setting.rebalance}; the provider has "
            f"{calendar[0]:%Y-%m-%d} to {calendar[-1]:%Y-%m-%d}."
        )
    stocks = pd.Index(
        sorted(HistoryLoader({"feature": (["$close"], ["CLOSE"])}).member_spans(setting.universe, first, last))
    )
    days = reading.trading_days(inside[0], inside[-1], after=setting.rebalance + 1)
    found = read_bars({setting.price, "$close"}, stocks, days)
    carried = found[setting.price].ffill().to_numpy()
    close = found["$close"]
    rise = (close.shift(-1) / close.ffill() - 1).to_numpy()
    places = days.get_indexer(tested)
    buyable = np.isfinite(rise) & (rise < (np.inf if setting.limit is None else setting.limit))
    buyable &= found[setting.price].shift(-1).notna().to_numpy()
    label = rows_later(carried, places, 1 + setting.rebalance) / rows_later(carried, places, 1) - 1
    return Market(inside[0], inside[-1], tested, found[setting.price], buyable[places], label)


def read_bars(fields: set[str], stocks: Sequence[str], days: pd.DatetimeIndex) -> reading.Frames:
    """Fields of day bars such as ``$close``, each [days, stocks]; a price that is not above 0 counts as missing.

    days are trading days in a row. Raises ProviderError where none of the stocks has one of the fields.
    """
    provider = Path(C.dpm.get_data_uri("day"))
    check_features(provider, fields, stocks)
    first = pd.DatetimeIndex(D.calendar(freq="day")).get_loc(days[0])
    names = sorted(field.removeprefix("$") for field in fields)
    found = {}
    for name, values in read_panels(provider, names, stocks, first, first + len(days)).items():
        frame = pd.DataFrame(np.where(np.isinf(values), np.nan, values), days, pd.Index(stocks, name="instrument"))
        field = f"${name}"
        found[field] = reading.prices_above_zero(frame, field) if field in reading.PRICES else frame
    return found

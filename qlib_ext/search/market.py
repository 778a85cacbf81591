"""What a search reads of a provider: bars and labels up to the last day of validation, and of no later day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from qlib.config import C
from qlib.data import D
from qlib.log import get_module_logger

from qlib_ext.cross_section.cells import cells_of
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.data.purging import last_known_day
from qlib_ext.data.segments import refuse_overlap
from qlib_ext.errors import DataError, SegmentError
from qlib_ext.expressions.engine import StockBars
from qlib_ext.expressions.reach import reach_of
from qlib_ext.provider.names import require_universe
from qlib_ext.provider.panels import fields_known

FEWEST_STOCKS = 30  # labelled on the median day, of which a Rank IC is more than chance

logger = get_module_logger("qlib_ext.search")
Days = tuple[str, str]


@dataclass(frozen=True)
class Bars:
    """Fields of all stocks on consecutive days.

    names   the fields, with $
    values  [fields, stocks, days] float32, NaN where a field has none
    spans   [stocks, 2] the places of a stock's first bar of any field and of the day after its last
    """

    names: tuple[str, ...]
    values: np.ndarray
    spans: np.ndarray

    def of(self, stock: int) -> dict[str, np.ndarray]:
        """A stock's bars from its first to its last: field -> [own days]."""
        begin, end = self.spans[stock]
        return dict(zip(self.names, self.values[:, stock, begin:end], strict=True))

    def chosen(self, stocks: np.ndarray) -> Bars:
        """Those of some of the stocks."""
        return Bars(self.names, np.ascontiguousarray(self.values[:, stocks]), self.spans[stocks])


@dataclass(frozen=True)
class SearchMarket:
    """A universe as a search sees it.

    bars    from the history that expressions need to the last day of validation
    days    of the bars
    stocks  their names
    labels  [days, stocks] float64, NaN where a stock is no member, has no label, or the label looks beyond its segment
    train, valid  the places among the days of the labels of each
    """

    bars: Bars
    days: pd.DatetimeIndex
    stocks: pd.Index
    labels: np.ndarray
    train: np.ndarray
    valid: np.ndarray


def read_market(
    fields: Sequence[str], label: str, universe: str, train: Days, valid: Days, history: int, seasoned_days: int = 60
) -> SearchMarket:
    """The market of the provider that Qlib was initialised with; fields are without $.

    Members are those that ``HistoryLoader`` has with traded_only. A day whose label looks beyond its segment is left
    out of it, so that no label of train looks at a day of valid, and none of valid at a later day.

    Raises SegmentError for segments that overlap, are in the wrong order or have no labelled day, DataError for a field
    that has no number and for a universe too small to rank, and what HistoryLoader raises.
    """
    refuse_overlap({"train": train, "valid": valid})
    if train > valid:
        raise SegmentError(f"The validation {valid} comes before the training {train}: a factor is found first.")
    calendar = pd.DatetimeIndex(D.calendar(freq="day"))
    loader = HistoryLoader({"label": ([label], ["LABEL0"])}, seasoned_days=seasoned_days, traded_only=True)
    rows = loader.load(universe, *(pd.Timestamp(day) for day in (train[0], valid[1])))
    begin = max(calendar.searchsorted(pd.Timestamp(train[0])) - history, 0)
    days = calendar[begin : calendar.searchsorted(pd.Timestamp(valid[1]), side="right")]
    stocks = rows.index.unique("instrument").sort_values()
    labels = np.full((len(days), len(stocks)), np.nan)
    labels.ravel()[cells_of(rows.index, days, stocks)] = rows.iloc[:, 0].to_numpy()
    reach = reach_of(label)
    places = [_places(days, calendar, *span, reach) for span in (train, valid)]
    for name, span, own in zip(("train", "valid"), (train, valid), places, strict=True):
        _require_stocks(labels[own], name, span)
    labels[np.setdiff1d(np.arange(len(days)), np.concatenate(places))] = np.nan
    bars = _read_bars(fields, stocks, begin, len(days))
    return SearchMarket(bars, days, stocks, labels, *places)


def _places(days: pd.DatetimeIndex, calendar: pd.DatetimeIndex, first: str, last: str, reach: int) -> np.ndarray:
    end = last_known_day(calendar, pd.Timestamp(last) + pd.Timedelta(days=1), reach)
    return np.flatnonzero((days >= pd.Timestamp(first)) & (days <= end))


def _require_stocks(labels: np.ndarray, name: str, span: Days) -> None:
    known = (~np.isnan(labels)).sum(1)
    if not known.any():
        raise SegmentError(
            f"{name}, {span[0]} to {span[1]}, has no day with a label that is known before its end; give it more days."
        )
    if np.median(known) < FEWEST_STOCKS:
        raise DataError(
            f"On the median day of {name} {np.median(known):.0f} stocks have a label, and a rank correlation of fewer "
            f"than {FEWEST_STOCKS} says nothing. Name a larger universe."
        )


def _read_bars(fields: Sequence[str], stocks: pd.Index, begin: int, days: int) -> Bars:
    values = np.full((len(fields), len(stocks), days), np.nan, dtype=np.float32)
    spans = np.zeros((len(stocks), 2), dtype=np.int64)
    for place, name in enumerate(stocks):
        own = StockBars.read(name, fields)
        reached = []
        for row, field in enumerate(fields):
            bars, start = own.values[f"${field}"], own.starts[f"${field}"] - begin
            low, high = max(start, 0), min(start + len(bars), days)
            if low < high:
                values[row, place, low:high] = bars[low - start : high - start]
                reached.append((low, high))
        if reached:
            spans[place] = min(low for low, _ in reached), max(high for _, high in reached)
    for row, field in enumerate(fields):
        if np.isnan(values[row]).all():
            raise DataError(
                f"The field ${field} has no number for any of the {len(stocks)} stocks up to the end of the "
                f"validation: fill it in the provider {C.dpm.get_data_uri('day')}, or leave it out of --fields."
            )
    return Bars(tuple(f"${field}" for field in fields), values, spans)


def known_fields(fields: Sequence[str], universe: str) -> list[str]:
    """Those of the fields that the provider has for at least one stock of the universe."""
    folder = Path(C.dpm.get_data_uri("day"))
    require_universe(folder, universe)
    names = D.list_instruments(D.instruments(universe), freq="day", as_list=True)
    return fields_known(folder, fields, names)

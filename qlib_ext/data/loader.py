"""Loading members of a universe together with what they did before they joined it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from qlib.config import C
from qlib.data import D
from qlib.data.dataset.loader import QlibDataLoader

from qlib_ext.errors import DataError
from qlib_ext.market.check import check_features, check_provider

Spans = dict[str, list[tuple[pd.Timestamp, pd.Timestamp]]]

RAW_FIELD = re.compile(r"\$([A-Za-z_]\w*)")


class HistoryLoader(QlibDataLoader):
    """Qlib's loader, reading each membership span from ``history`` trading days earlier on.

    ``load`` returns exactly the rows that Qlib's loader returns, the members' own days. The days before a
    stock joined (and before start_time) are kept in ``history_``: they complete windows, and are samples of
    nothing. One query reads both.

    Raises ProviderError for a missing, empty or damaged provider and for an unknown field, DataError for an
    empty universe and for a feature that is NaN in every row.
    """

    def __init__(self, config: dict, history: int = 0, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.history = history
        self.history_: pd.DataFrame | None = None

    def __getstate__(self) -> dict:
        return self.__dict__ | {"history_": None}  # data is loaded again, never pickled with the model's dataset

    def load(self, instruments: Any = None, start_time: Any = None, end_time: Any = None) -> pd.DataFrame:
        """The members' rows, sorted by (datetime, instrument); their history goes to ``history_``."""
        check_provider(str(C.dpm.get_data_uri("day")))
        calendar = pd.DatetimeIndex(D.calendar(freq="day"))
        spans = self.member_spans(instruments, start_time, end_time)
        self._check_fields(spans)
        extended = {
            name: [(earlier(calendar, start, self.history), end) for start, end in times]
            for name, times in spans.items()
        }
        first = min(start for times in extended.values() for start, _ in times)
        frame = super().load(extended, first, end_time)
        if frame.empty:
            raise DataError(
                f"No rows for {describe(instruments)} from {start_time} to {end_time}: the provider "
                f"{C.dpm.get_data_uri('day')} has bars of other days; its calendar runs from "
                f"{calendar[0]:%Y-%m-%d} to {calendar[-1]:%Y-%m-%d}."
            )
        self._refuse_empty_features(frame)
        member = in_spans(frame.index, spans)
        self.history_ = frame[~member]
        return frame[member]

    def member_spans(self, instruments: Any, start_time: Any, end_time: Any) -> Spans:
        """When each stock is a member of the universe, within [start_time, end_time]."""
        calendar = D.calendar(start_time, end_time, freq="day")
        if instruments is None or isinstance(instruments, str):
            instruments = D.instruments(instruments or "all", filter_pipe=self.filter_pipe)
        if isinstance(instruments, dict) and "market" in instruments:
            require_universe(instruments["market"])
            spans = D.list_instruments(instruments, start_time, end_time, freq="day", as_list=False)
        else:
            named = instruments if isinstance(instruments, dict) else {name: [(None, None)] for name in instruments}
            clipped = {name: clip(times, calendar) for name, times in named.items()}
            spans = {name: times for name, times in clipped.items() if times}
        if not spans:
            raise DataError(
                f"The universe {describe(instruments)} has no member between {start_time} and {end_time}; "
                f"see {C.dpm.get_data_uri('day')}/instruments."
            )
        return spans

    def _expressions(self) -> dict[str, str]:
        return {
            name: expression
            for expressions, names in self.fields.values()
            for expression, name in zip(expressions, names, strict=True)
        }

    def _check_fields(self, spans: Spans) -> None:
        raw = sorted({f for expression in self._expressions().values() for f in RAW_FIELD.findall(expression)})
        check_features(str(C.dpm.get_data_uri("day")), raw, sorted(spans))

    def _refuse_empty_features(self, frame: pd.DataFrame) -> None:
        # labels may be empty: the newest days have none yet
        empty = [column for column in frame["feature"].columns if np.isnan(frame["feature", column].to_numpy()).all()]
        if not empty:
            return
        expressions = self._expressions()
        read = {name: set(RAW_FIELD.findall(expressions[name])) for name in frame["feature"].columns}
        shared = set.intersection(*(read[name] for name in empty))
        healthy = set().union(*(fields for name, fields in read.items() if name not in empty))
        cause = ", ".join(f"${field}" for field in sorted(shared - healthy or shared)) or "the provider's fields"
        raise DataError(
            f"{len(empty)} features are NaN in all {len(frame)} rows, the first {empty[0]!r} = "
            f"{expressions[empty[0]]}. What they share is {cause}: fill it in the provider "
            f"{C.dpm.get_data_uri('day')}, or take a handler that does without it."
        )


def require_universe(market: str) -> None:
    """Raise DataError where the provider has no such universe, naming those that it has."""
    folder = Path(C.dpm.get_data_uri("day")) / "instruments"
    known = sorted(path.stem for path in folder.glob("*.txt"))
    if market.lower() not in known:
        raise DataError(f"The universe {market!r} is not in {folder}, which has {', '.join(known)}.")


def clip(times: Any, calendar: np.ndarray) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The parts of spans (start, end), None for open, that lie within the days of a calendar."""
    if not len(calendar):
        return []
    first, last = calendar[0], calendar[-1]
    clipped = [
        (
            first if start is None else max(pd.Timestamp(start), first),
            last if end is None else min(pd.Timestamp(end), last),
        )
        for start, end in times
    ]
    return [(start, end) for start, end in clipped if start <= end]


def earlier(calendar: pd.DatetimeIndex, day: pd.Timestamp, days: int) -> pd.Timestamp:
    """The trading day ``days`` before ``day``, the calendar's first where it begins later."""
    return calendar[max(calendar.searchsorted(day) - days, 0)]


def in_spans(index: pd.MultiIndex, spans: Spans) -> np.ndarray:
    """True for each row (datetime, instrument) that lies within one of its instrument's spans."""
    days, names = index.levels[index.names.index("datetime")], index.levels[index.names.index("instrument")]
    member = np.zeros((len(days), len(names)), dtype=bool)
    for column, name in enumerate(names):
        for start, end in spans.get(name, ()):
            member[days.searchsorted(start) : days.searchsorted(end, side="right"), column] = True
    day_codes, name_codes = (index.codes[index.names.index(level)] for level in ("datetime", "instrument"))
    return member[day_codes, name_codes]


def describe(instruments: Any) -> str:
    """The universe as its user wrote it."""
    if isinstance(instruments, dict):
        return repr(instruments.get("market", f"{len(instruments)} instruments"))
    return repr(instruments) if isinstance(instruments, str) else f"of {len(instruments)} instruments"

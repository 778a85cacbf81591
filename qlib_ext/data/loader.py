"""Loading members of a universe together with what they did before they joined it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from qlib.config import C
from qlib.data import D
from qlib.data.dataset.loader import QlibDataLoader
from qlib.log import get_module_logger

from qlib_ext.cross_section.cells import CHUNK_ROWS
from qlib_ext.data import cache
from qlib_ext.data.closes import seasoned, traded
from qlib_ext.data.labels import drop_unpriced_labels
from qlib_ext.data.needs import Needs
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.expressions import engine as fast
from qlib_ext.expressions.operators import register_operators
from qlib_ext.expressions.program import NotNative
from qlib_ext.expressions.spans import Spans, clip, earlier, in_spans
from qlib_ext.provider.check import WITHOUT_VWAP, check_features, check_provider
from qlib_ext.provider.names import fields_in, require_universe

ENGINES = ("fast", "qlib")

logger = get_module_logger("qlib_ext.loader")


class HistoryLoader(QlibDataLoader):
    """Qlib's loader, reading each membership span from ``history`` trading days earlier on.

    ``load`` returns exactly the rows that Qlib's loader returns, the members' own days. The days before a
    stock joined (and before start_time) are kept in ``history_``: they complete windows, and are samples of
    nothing. One query reads both.

    seasoned_days: a stock is a member only after so many days with a close, those that were listed when the provider
    begins excepted: in its first weeks an A-share runs from limit to limit, where nobody can buy it.

    traded_only: a stock is a member only on days with a close. Its rows of other days go to ``history_``, too. A net
    that has learnt to like calm stocks puts those that are suspended, which nobody can buy, above all others.

    engine: "fast" computes the expressions with ``qlib_ext.expressions.engine``, and leaves to Qlib's engine, saying so
    in the log, what it does not know: an operator, another freq than day, inst_processors, a provider that is not
    local. "qlib" leaves everything to it.

    What was loaded is kept on disk, see ``qlib_ext.data.cache``; a subclass is to say ``of_provider_alone`` itself. Its
    key is ``key_`` until the handler has processed it, None where it is not kept.

    Raises ProviderError for a missing, empty or damaged provider and for an unknown field, DataError for an empty
    universe and for a column, labels excepted, that is NaN in every row, ConfigError for an unknown engine or a
    negative number of days.
    """

    of_provider_alone: ClassVar[bool] = True  # rows follow from the files of the provider and the loader's attributes
    key_: str | None = None

    def __init__(
        self,
        config: dict,
        history: int = 0,
        engine: str = "fast",
        seasoned_days: int = 0,
        traded_only: bool = False,
        **kwargs: Any,
    ) -> None:
        try:
            super().__init__(config, **kwargs)
        except (TypeError, ValueError, IndexError) as error:
            raise ConfigError(
                "Label and other columns are expressions and their names, such as [['Ref($close, -2)/Ref($close, -1) - "
                f"1'], ['LABEL0']]: {error}"
            ) from error
        if seasoned_days < 0:
            raise ConfigError(f"seasoned_days is a number of trading days, not {seasoned_days}.")
        if engine not in ENGINES:
            raise ConfigError(f"There is no engine {engine!r}; choose one of {', '.join(map(repr, ENGINES))}.")
        self.history = history
        self.engine = engine
        self.seasoned_days = seasoned_days
        self.traded_only = traded_only
        self.history_: pd.DataFrame | None = None

    def __getstate__(self) -> dict:
        return self.__dict__ | {"history_": None}  # data is loaded again, never pickled with the model's dataset

    def load(self, instruments: Any = None, start_time: Any = None, end_time: Any = None) -> pd.DataFrame:
        """The members' rows, sorted by (datetime, instrument); their history goes to ``history_``."""
        check_provider(str(C.dpm.get_data_uri("day")))
        register_operators()
        key = self._key(instruments, start_time, end_time)
        kept = None if key is None else cache.read(key)
        if kept is not None:
            (members, self.history_), _ = kept
        else:
            members, self.history_ = self._compute(instruments, start_time, end_time)
            if key != self._key(instruments, start_time, end_time):
                key = None  # the provider was changed meanwhile
            if key is not None:
                cache.write(key, [members, self.history_])
        self.key_ = key
        return members

    def _key(self, instruments: Any, start_time: Any, end_time: Any) -> str | None:
        """The key of the rows in the cache; None where they are not kept."""
        if not vars(type(self)).get("of_provider_alone", False):
            return None
        own = {name: value for name, value in vars(self).items() if not name.endswith("_")}
        return cache.key_of(type(self), own, instruments, [str(start_time), str(end_time)], of_provider=True)

    def _compute(self, instruments: Any, start_time: Any, end_time: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The members' rows and their history, from the provider."""
        calendar = pd.DatetimeIndex(D.calendar(freq="day"))
        spans = self.member_spans(instruments, start_time, end_time)
        check_features(C.dpm.get_data_uri("day"), self.needs(instruments).fields, sorted(spans))
        if self.seasoned_days:
            spans = seasoned(spans, calendar, self.seasoned_days)
        extended = {
            name: [(earlier(calendar, start, self.history), end) for start, end in times]
            for name, times in spans.items()
        }
        if self.traded_only:  # after ``extended``: windows look back over suspensions
            spans = traded(spans, calendar)
        members, others = self._read(spans, extended, end_time)
        if not len(members):
            inside = D.calendar(start_time, end_time, freq="day")
            cause = "has bars of other days" if len(inside) else "has no trading day between them"
            raise DataError(
                f"No rows for {name_of_universe(instruments)} from {start_time} to {end_time}: the provider "
                f"{C.dpm.get_data_uri('day')} {cause}; its calendar runs from "
                f"{calendar[0]:%Y-%m-%d} to {calendar[-1]:%Y-%m-%d}."
            )
        labels, names = self.fields.get("label", ([], []))
        drop_unpriced_labels(members, dict(zip(names, labels, strict=True)))
        self._refuse_empty_columns([members, others])
        return members, others

    def _read(self, spans: Spans, extended: Spans, end_time: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of ``spans``, and those that ``extended`` has beyond them."""
        if self.engine == "fast":
            try:
                return self._read_fast(spans, extended, end_time)
            except NotNative as reason:
                logger.warning(f"Qlib's engine computes all columns: {reason}.")
        frame = super().load(extended, first_day(extended), end_time)
        member = in_spans(frame.index, spans)
        return frame[member], frame[~member]

    def _read_fast(self, spans: Spans, extended: Spans, end_time: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        if self.freq != "day" or self.inst_processors or not self.swap_level:
            raise NotNative("freq, inst_processors or swap_level are not the default")
        columns = [
            (group, expression, name)
            for group, (expressions, names) in self.fields.items()
            for expression, name in zip(expressions, names, strict=True)
        ]

        def by_qlib(positions: list[int], names: list[str]) -> pd.DataFrame:
            config: dict[str, tuple[list, list]] = {}
            for group, expression, name in (columns[at] for at in positions):
                config.setdefault(group, ([], []))
                config[group][0].append(expression)
                config[group][1].append(name)
            own = {name: extended[name] for name in names}
            return QlibDataLoader(config).load(own, first_day(extended), end_time)

        frames = fast.load_rows([expression for _, expression, _ in columns], spans, extended, by_qlib)
        for frame in frames:
            frame.columns = pd.MultiIndex.from_tuples([(group, name) for group, _, name in columns])
        return frames

    def member_spans(self, instruments: Any, start_time: Any, end_time: Any) -> Spans:
        """When each stock is a member of the universe, within [start_time, end_time]."""
        calendar = D.calendar(start_time, end_time, freq="day")
        if instruments is None or isinstance(instruments, str):
            instruments = D.instruments(instruments or "all", filter_pipe=self.filter_pipe)
        if isinstance(instruments, dict) and "market" in instruments:
            require_universe(Path(C.dpm.get_data_uri("day")), instruments["market"])
            spans = D.list_instruments(instruments, start_time, end_time, freq="day", as_list=False)
            require_names(spans, instruments["market"])
        else:
            named = instruments if isinstance(instruments, dict) else {name: [(None, None)] for name in instruments}
            clipped = {name: clip(times, calendar) for name, times in named.items()}
            spans = {name: times for name, times in clipped.items() if times}
        if not spans:
            raise DataError(
                f"The universe {name_of_universe(instruments)} has no member between {start_time} and {end_time}; "
                f"see {C.dpm.get_data_uri('day')}/instruments."
            )
        return spans

    def _expressions(self) -> dict[str, str]:
        return {
            name: expression
            for expressions, names in self.fields.values()
            for expression, name in zip(expressions, names, strict=True)
        }

    def needs(self, instruments: Any) -> Needs:
        """What is read of the provider for these instruments."""
        expressions = list(self._expressions().values())
        if self.seasoned_days or self.traded_only:
            expressions.append("$close")
        universe = instruments.get("market") if isinstance(instruments, dict) else instruments or "all"
        return Needs(universe if isinstance(universe, str) else None, tuple(fields_in(expressions)))

    def _refuse_empty_columns(self, frames: Sequence[pd.DataFrame]) -> None:
        groups, columns = (frames[0].columns.get_level_values(level) for level in (0, 1))
        checked = groups != "label"  # the newest days have none yet
        empty = columns[empty_columns(frames) & checked]
        if not len(empty):
            return
        expressions = self._expressions()
        read = {name: set(fields_in([expressions[name]])) for name in columns[checked]}
        shared = set.intersection(*(read[name] for name in empty))
        healthy = set().union(*(fields for name, fields in read.items() if name not in empty))
        cause = ", ".join(f"${field}" for field in sorted(shared - healthy or shared)) or "the provider's fields"
        raise DataError(
            f"{len(empty)} columns are NaN in all {sum(map(len, frames))} rows, the first {empty[0]!r} = "
            f"{expressions[empty[0]]}. What they share is {cause}: fill it in the provider "
            f"{C.dpm.get_data_uri('day')}, or take a handler that does without it."
            f"{' ' + WITHOUT_VWAP if 'vwap' in shared else ''}"
        )


def require_names(spans: Spans, market: str) -> None:
    """Raise DataError where Qlib has lost the name of a member, as pandas reads NA, NULL and the like as missing."""
    if lost := [name for name in spans if not isinstance(name, str)]:
        raise DataError(
            f"{len(lost)} of {len(spans)} members of {market!r} have a name that Qlib reads as missing, such as NA or "
            f"NULL. Rename it in {C.dpm.get_data_uri('day')}/instruments and features, for example to NA_."
        )


def first_day(spans: Spans) -> pd.Timestamp:
    return min(start for times in spans.values() for start, _ in times)


def empty_columns(frames: Sequence[pd.DataFrame]) -> np.ndarray:
    """True for each column that is NaN in every row of every frame; most are known after the first rows."""
    empty = np.ones(frames[0].shape[1], dtype=bool)
    for frame in frames:
        for low in range(0, len(frame), CHUNK_ROWS):
            if empty.any():
                empty[empty] = frame.iloc[low : low + CHUNK_ROWS, empty.nonzero()[0]].isna().all()
    return empty


def name_of_universe(instruments: Any) -> str:
    """The universe as its user wrote it."""
    if isinstance(instruments, dict):
        return repr(instruments.get("market", f"{len(instruments)} instruments"))
    return repr(instruments) if isinstance(instruments, str) else f"of {len(instruments)} instruments"

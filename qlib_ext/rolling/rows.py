"""The raw rows of a dataset's handler, loaded once, and the part of them that one window reads."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd

from qlib_ext.data.blocks import copies
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.fitting import refit_on, require_rows
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.views import put_raw_rows, raw_rows
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.rolling.windows import RollingWindow


@dataclass(frozen=True)
class SharedRows:
    """Raw rows in arrays that processes can share: values [rows, columns], rows sorted by (day, instrument).

    day and instrument [rows] are positions in days and instruments; dtypes are those of the columns.
    """

    values: np.ndarray
    dtypes: list[np.dtype]
    day: np.ndarray
    instrument: np.ndarray
    days: pd.DatetimeIndex
    instruments: pd.Index
    columns: pd.MultiIndex

    @classmethod
    def of(cls, frame: pd.DataFrame) -> SharedRows:
        """The rows of a frame indexed by (datetime, instrument); raises DataError for columns that are no numbers."""
        kinds = frame.dtypes.items()
        text = [str(name) for name, kind in kinds if not (isinstance(kind, np.dtype) and kind.kind in "biuf")]
        if text:
            raise DataError(f"Columns {', '.join(text)} hold no numbers of numpy's; a rolling model reads those only.")
        frame = frame if frame.index.is_monotonic_increasing else frame.sort_index()
        day, days = pd.factorize(frame.index.get_level_values("datetime"), sort=True)
        instrument, instruments = pd.factorize(frame.index.get_level_values("instrument"), sort=True)
        return cls(
            values=frame.to_numpy(np.result_type(*frame.dtypes)),
            dtypes=list(frame.dtypes),
            day=day.astype(np.int32),
            instrument=instrument.astype(np.int32),
            days=pd.DatetimeIndex(days),
            instruments=pd.Index(instruments),
            columns=frame.columns,
        )

    def between(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
        """The rows from one day to another, both included; where all columns have one type they share the values."""
        first, last = np.searchsorted(self.day, [self.days.searchsorted(start), self.days.searchsorted(end, "right")])
        index = pd.MultiIndex(
            levels=[self.days, self.instruments],
            codes=[self.day[first:last], self.instrument[first:last]],
            names=["datetime", "instrument"],
        )
        values = self.values[first:last]
        frame = pd.DataFrame(values, index=index.remove_unused_levels(), columns=self.columns, copy=False)
        if set(self.dtypes) == {values.dtype}:
            return frame
        return frame.astype(dict(zip(self.columns, self.dtypes, strict=True)))


@dataclass(frozen=True)
class RawData:
    """What all windows share: the raw members, their history where the handler has one, and the bare dataset.

    dataset is the pickled dataset without data; every window unpickles its own.
    """

    members: SharedRows
    history: SharedRows | None
    dataset: bytes
    step_len: int

    @classmethod
    def of(cls, dataset: Any) -> RawData:
        """The raw data of a Qlib dataset; raises ConfigError where its handler has dropped it."""
        handler = dataset.handler
        raw = raw_rows(handler)
        if raw is None:
            raise ConfigError(
                "The handler has dropped its raw rows (drop_raw: true); a rolling model refits from them."
            )
        history = handler.data_loader.history_ if isinstance(handler, WindowHandler) else None
        lengths = [1, getattr(dataset, "step_len", None) or 1]
        lengths += [owner.window.length for owner in (dataset, handler) if hasattr(owner, "window")]
        return cls(
            members=SharedRows.of(raw),
            history=None if history is None or history.empty else SharedRows.of(history),
            dataset=cloudpickle.dumps(dataset),  # by value what a script defines, which a worker cannot import
            step_len=max(lengths),
        )

    def first_day(self, window: RollingWindow) -> pd.Timestamp:
        """The first day that a window reads: ``step_len`` - 1 days before training, or the handler's history."""
        place = self.members.days.searchsorted(window.train[0]) - self.step_len + 1
        if place >= 0:
            return self.members.days[place]
        return min(rows.days[0] for rows in (self.members, self.history) if rows is not None)

    def dataset_of(self, window: RollingWindow, fit: bool = True) -> Any:
        """The dataset of one window, its processors fitted on the window's training days and on nothing later.

        It holds the rows from ``step_len`` days before training, which complete the first windows, to the last
        tested day. Without ``fit`` the processors stay as they are: those of a dataset that was recorded with a window.
        """
        dataset: Any = pickle.loads(self.dataset)
        first, end = self.first_day(window), window.test[1]
        handler = dataset.handler
        handler.drop_raw = True  # the raw rows of one window are its own: processors may write into them
        if fit:
            refit_on(handler, *window.train)
        shared = self.members.between(first, end)
        history = shared.iloc[:0] if self.history is None else self.history.between(first, end)
        members, own_history = copies([shared, history])
        if isinstance(handler, WindowHandler):
            handler.data_loader.history_ = own_history
        require_rows(members.index.unique("datetime"), handler.get_all_processors())
        put_raw_rows(handler, members)
        del members  # the handler alone holds them, and drops them
        handler.process_data(with_fit=fit)
        dataset.config(segments=window.segments())
        if isinstance(dataset, CrossSectionDataset):
            dataset.purge = 0  # the window's segments end where they must
        return dataset

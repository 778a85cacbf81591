"""The rows of a handler, sorted by (day, instrument), and the index that finds a stock's past in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from qlib_ext.cross_section.cells import CHUNK_ROWS, cells_of, refuse_missing
from qlib_ext.data.blocks import joined
from qlib_ext.errors import DataError

if TYPE_CHECKING:
    from qlib_ext.relations.dated import DatedRelations  # polars, which a panel without relations does without

DAYS_AT_ONCE = 64  # days whose members are counted at a time


@dataclass(frozen=True)
class Panel:
    """All that a model sees, on one device; rows are sorted by (day, instrument).

    values       [rows, fields] float32, the memory of the frames where it is in one piece, else a copy
    places       [rows] int32: where in values a row stands; None where they are in the order of the rows
    labels       [rows, k] float32, NaN where a row has none
    groups       [rows] float32 prior group of the stock on that day (for example its industry), or None
    relations    who is related to whom on each day, or None
    finite       the values are known to be finite
    member       [rows] bool: the stock is a member of the universe on that day; other rows only complete windows
    days         the trading days, ascending
    instruments  the instruments, ascending
    last_row     [days, instruments] int32: the row of this day or of the last day before it that has one, else -1
    next_row     [days, instruments] int32: the row of this day or of the next day after it that has one,
                 else the number of rows

    A cell (day, instrument) has a row of its own exactly where last_row == next_row.
    """

    values: Tensor
    labels: Tensor
    groups: Tensor | None
    member: Tensor
    days: pd.DatetimeIndex
    instruments: pd.Index
    fields: tuple[str, ...]
    last_row: Tensor
    next_row: Tensor
    places: Tensor | None = None
    relations: DatedRelations | None = None
    finite: bool = False

    @classmethod
    def from_frames(
        cls, features: Sequence[pd.DataFrame], labels: pd.DataFrame, groups: pd.Series | None = None
    ) -> Panel:
        """Merge frames of features, each indexed by (datetime, instrument), into one panel.

        The first frame's rows are those of the members, the others' only complete windows.
        Frames of float32 that lie one after the other in one block are not copied: the panel reads their memory.
        Raises DataError where two rows have the same (datetime, instrument), or a label has no features.
        """
        frames = [frame for frame in features if len(frame)]
        if not frames:
            raise DataError("The handler returned no rows; check instruments, start_time and end_time.")
        days = pd.DatetimeIndex(_merged_level(frames, "datetime"))
        instruments = _merged_level(frames, "instrument")
        cells = np.concatenate([cells_of(frame.index, days, instruments) for frame in frames])
        row_of = _number_rows(cells, days, instruments)
        row_of_source = row_of[cells]
        rows = len(cells)
        member = np.zeros(rows, dtype=bool)
        member[row_of_source[: len(features[0])]] = True
        del cells  # what is needed for the index alone is gone before the values come

        label_rows = row_of[cells_of(labels.index, days, instruments)]
        refuse_missing(label_rows < 0, labels.index)
        label_values = np.full((rows, labels.shape[1]), np.nan, dtype=np.float32)
        label_values[label_rows] = labels.to_numpy(dtype=np.float32)
        group_values = None
        if groups is not None:
            group_values = np.full(rows, np.nan, dtype=np.float32)
            group_values[row_of[cells_of(groups.index, days, instruments)]] = groups.to_numpy(dtype=np.float32)
        last_row, next_row = _fill_both_ways(row_of.reshape(len(days), len(instruments)), rows)
        del label_rows, row_of
        values, places = joined(frames), None
        if values is None:
            values = _gather_values(frames, row_of_source)
        elif (np.diff(row_of_source) != 1).any():
            places = np.empty_like(row_of_source)
            places[row_of_source] = np.arange(rows, dtype=row_of_source.dtype)
        return cls(
            values=torch.from_numpy(values),
            places=None if places is None else torch.from_numpy(places),
            labels=torch.from_numpy(label_values),
            groups=None if group_values is None else torch.from_numpy(group_values),
            member=torch.from_numpy(member),
            days=days,
            instruments=instruments,
            fields=tuple(str(name) for name in frames[0].columns),
            last_row=torch.from_numpy(last_row),
            next_row=torch.from_numpy(next_row),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the values, labels and indices, beside which all else is small."""
        return sum(own.nbytes for own in (self.values, self.labels, self.last_row, self.next_row))

    def away_from(self, device: torch.device) -> bool:
        """Whether the panel lies on another device."""
        return self.values.device != device

    def to(self, device: torch.device) -> Panel:
        """The same panel on another device; itself where it is there already."""
        if not self.away_from(device):
            return self
        names = ("values", "labels", "member", "last_row", "next_row")
        moved = {name: getattr(self, name).to(device) for name in names}
        for name in ("places", "groups", "relations"):
            own = getattr(self, name)
            moved[name] = None if own is None else own.to(device)
        return replace(self, **moved)

    def window_rows(self, day: Tensor, instrument: Tensor, length: int) -> Tensor:
        """The rows of the windows that end at (day, instrument): ``[length, samples]`` int32, oldest first.

        A hole takes the last row before it within the window, else the first row after it within the window;
        the window never reaches beyond its own day. With t0 the window's first day,
        ``row[d] = max(last_row[d], next_row[t0])``: rows ascend in time, so wherever last_row reaches back
        beyond t0 it is smaller than the window's first row, next_row[t0].
        """
        cells = self._window_cells(day, instrument, length)
        return torch.maximum(self.last_row.take(cells), self.next_row.take(cells[0]))  # [length, samples]

    def windows(self, day: Tensor, instrument: Tensor, length: int, fill: bool = True) -> Tensor:
        """The windows that end at (day, instrument): ``[samples, length, fields]``, laid out time-major.

        Rows of one day lie side by side, so gathering day by day reads contiguous memory, and the
        transposed view costs nothing to a recurrent net, which reads time-major anyway. Without ``fill``
        the days that have no row are NaN.
        """
        rows = self.window_rows(day, instrument, length).flatten()  # [length * samples]
        rows = rows if self.places is None else self.places.index_select(0, rows)
        values = self.values.index_select(0, rows)  # [length * samples, fields]
        if not fill:
            values.masked_fill_(~self.has_row(day, instrument, length).view(-1, 1), torch.nan)
        return values.view(length, len(day), -1).transpose(0, 1)  # [samples, length, fields]

    def has_row(self, day: Tensor, instrument: Tensor, length: int) -> Tensor:
        """Which days of the windows that end at (day, instrument) have a row: ``[length, samples]``."""
        cells = self._window_cells(day, instrument, length)
        begun = torch.arange(length - 1, -1, -1, device=day.device)[:, None] <= day  # [length, samples]
        return (self.last_row.take(cells) == self.next_row.take(cells)) & begun

    def _window_cells(self, day: Tensor, instrument: Tensor, length: int) -> Tensor:
        """The cells of windows in the flattened [days, instruments], from the first day on: ``[length, samples]``."""
        offset = torch.arange(length - 1, -1, -1, device=day.device)
        return (day - offset[:, None]).clamp_(min=0).mul_(len(self.instruments)).add_(instrument)

    def members(self, day: Tensor) -> Tensor:
        """Who is a member of the universe on the given days: ``[days, instruments]``."""
        row = self.last_row[day]  # [days, instruments]
        return (row == self.next_row[day]) & self.member[row.long()]  # a cell without any row is never its next one

    @cached_property
    def member_counts(self) -> np.ndarray:
        """How many members each day has, ``[days]``, on the host: known before a batch is asked for."""
        days = torch.arange(len(self.days), device=self.member.device)
        return torch.cat([self.members(part).sum(1) for part in days.split(DAYS_AT_ONCE)]).cpu().numpy()

    def rows(self, day: Tensor, instrument: Tensor) -> Tensor:
        """The rows of the samples themselves: ``[samples]`` int64."""
        return self.last_row[day, instrument].long()

    def all_finite(self) -> bool:
        """Whether no feature is NaN or infinite; reads all of them."""
        return all(torch.isfinite(chunk).all() for chunk in self.values.split(CHUNK_ROWS))

    def require_finite(self) -> None:
        """Raise DataError where a feature is NaN or infinite, with the field, the count and the first place."""
        if self.finite or self.all_finite():
            return
        for column, name in enumerate(self.fields):
            bad = ~torch.isfinite(self.values[:, column])
            if not bad.any():
                continue
            bad = bad if self.places is None else bad[self.places.long()]
            row = int(bad.nonzero()[0, 0])
            day, instrument = ((self.last_row == row) & (self.next_row == row)).nonzero()[0].tolist()
            raise DataError(
                f"Feature {name!r} is NaN or infinite in {int(bad.sum())} of {len(bad)} rows, first on "
                f"{self.days[day]:%Y-%m-%d} for {self.instruments[instrument]}. A net trained on it returns NaN; "
                "add {class: Fillna, kwargs: {fields_group: feature}} as the last of infer_processors."
            )


def _merged_level(frames: Sequence[pd.DataFrame], level: str) -> pd.Index:
    merged = frames[0].index.unique(level)
    for frame in frames[1:]:
        merged = merged.union(frame.index.unique(level))
    return merged.sort_values()


def _number_rows(cells: np.ndarray, days: pd.DatetimeIndex, instruments: pd.Index) -> np.ndarray:
    """Number the cells that have a row in order of (day, instrument), -1 elsewhere: flat [days * instruments] int32."""
    taken = np.zeros(len(days) * len(instruments), dtype=bool)
    taken[cells] = True
    if np.count_nonzero(taken) < len(cells):
        _refuse_duplicates(np.sort(cells), days, instruments)
    row_of = np.cumsum(taken, dtype=np.int32)
    row_of -= 1
    row_of[~taken] = -1
    return row_of


def _refuse_duplicates(cells: np.ndarray, days: pd.DatetimeIndex, instruments: pd.Index) -> None:
    repeated = np.flatnonzero(cells[1:] == cells[:-1])
    day, instrument = divmod(int(cells[repeated[0]]), len(instruments))
    raise DataError(
        f"{len(repeated)} rows repeat a (datetime, instrument), the first "
        f"({days[day]:%Y-%m-%d}, {instruments[instrument]}); keep one row each."
    )


def _gather_values(frames: Sequence[pd.DataFrame], row_of_source: np.ndarray) -> np.ndarray:
    values = np.empty((len(row_of_source), frames[0].shape[1]), dtype=np.float32)
    start = 0
    for frame in frames:
        for low in range(0, len(frame), CHUNK_ROWS):
            chunk = frame.iloc[low : low + CHUNK_ROWS].to_numpy(dtype=np.float32)
            values[row_of_source[start + low : start + low + len(chunk)]] = chunk
        start += len(frame)
    return values


def _fill_both_ways(row_of: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Fill the holes of row_of forward, in place, and of a copy of it backward, along the days."""
    next_row = row_of.copy()
    next_row[next_row < 0] = rows
    backward = next_row[::-1]
    np.minimum.accumulate(backward, axis=0, out=backward)
    return np.maximum.accumulate(row_of, axis=0, out=row_of), next_row

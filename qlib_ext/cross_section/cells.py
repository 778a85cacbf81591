"""Where a row (day, instrument) lies in the flattened grid of all days and instruments, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from qlib_ext.errors import DataError

CHUNK_ROWS = 16_384  # rows copied or read at a time, so that no second copy of the values is needed
LEVELS = ["datetime", "instrument"]


class Axes(NamedTuple):
    """The days and instruments that an index names, and the position in them of each row, -1 for a missing name."""

    days: pd.Index
    instruments: pd.Index
    day: np.ndarray
    instrument: np.ndarray


def axes_of(index: pd.Index) -> Axes:
    """The axes of an index by (datetime, instrument), in either order; raises DataError for another index."""
    if not isinstance(index, pd.MultiIndex) or set(index.names) != set(LEVELS):
        raise DataError(f"The rows are by {list(index.names)}; give them by (datetime, instrument).")
    day, instrument = (index.names.index(name) for name in LEVELS)
    return Axes(index.levels[day], index.levels[instrument], index.codes[day], index.codes[instrument])


def cells_of(index: pd.Index, days: pd.DatetimeIndex, instruments: pd.Index) -> np.ndarray:
    """Position of each row in the flattened [days, instruments] grid, int32 wherever that holds the grid.

    Read from the index's levels, so that no label is written out row by row. Raises DataError for another index, and
    for a row whose day or instrument is not on the axes.
    """
    own = axes_of(index)
    dtype = np.promote_types(np.int32, np.min_scalar_type(-len(days) * len(instruments)))
    outside = np.iinfo(dtype).min // 2
    cells = np.zeros(len(index), dtype=dtype)
    for axis, names, codes, stride in (
        (days, own.days, own.day, len(instruments)),
        (instruments, own.instruments, own.instrument, 1),
    ):
        position = axis.get_indexer(names)
        place = np.where(position < 0, outside, position * stride).astype(dtype)
        place = np.append(place, dtype.type(outside))  # the code -1 of a missing name takes the last
        for low in range(0, len(index), CHUNK_ROWS):
            chunk = slice(low, low + CHUNK_ROWS)
            cells[chunk] += place[codes[chunk]]
    refuse_missing(cells < 0, index)
    return cells


def index_of(cells: np.ndarray, days: pd.DatetimeIndex, instruments: pd.Index) -> pd.MultiIndex:
    """The index of cells of the flattened [days, instruments] grid: the inverse of ``cells_of``."""
    return pd.MultiIndex(levels=[days, instruments], codes=np.divmod(cells, len(instruments)), names=LEVELS)


def by_row(index: pd.MultiIndex, of: Callable[[pd.Index, pd.Index], np.ndarray]) -> np.ndarray:
    """What ``of`` makes of an index's days and instruments, ``[days, instruments]``, for each of its rows."""
    own = axes_of(index)
    return of(own.days, own.instruments)[own.day, own.instrument]


def refuse_missing(missing: np.ndarray, index: pd.MultiIndex) -> None:
    """Raise DataError for rows, labels or groups, that have no row of features."""
    if missing.any():
        raise DataError(
            f"{int(missing.sum())} labels or groups have no row of features, the first on {first_of(missing, index)}; "
            "a processor of the learning view must not add rows."
        )


def first_of(wrong: np.ndarray, index: pd.MultiIndex) -> str:
    """The first of the rows that are wrong, for a message: "2020-01-02 at SH600000"; the time where it has one."""
    row = dict(zip(index.names, index[int(np.argmax(wrong))], strict=True))
    day = row["datetime"]
    whole = isinstance(day, pd.Timestamp) and day == day.normalize()
    return f"{f'{day:%Y-%m-%d}' if whole else day} at {row['instrument']}"

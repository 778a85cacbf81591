"""Where a row (day, instrument) lies in the flattened grid of all days and instruments."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.errors import DataError

CHUNK_ROWS = 16_384  # rows copied or read at a time, so that no second copy of the values is needed


def cells_of(index: pd.Index, days: pd.DatetimeIndex, instruments: pd.Index) -> np.ndarray:
    """Position of each row in the flattened [days, instruments] grid, int32 wherever that holds the grid.

    Read from the index's levels, so that no label is written out row by row. Raises DataError for a row whose
    day or instrument has no features at all.
    """
    if not isinstance(index, pd.MultiIndex) or set(index.names) != {"datetime", "instrument"}:
        raise DataError(f"Rows must be indexed by (datetime, instrument), not by {list(index.names)}.")
    dtype = np.promote_types(np.int32, np.min_scalar_type(-len(days) * len(instruments)))
    cells = np.zeros(len(index), dtype=dtype)
    for name, axis, stride in (("datetime", days, len(instruments)), ("instrument", instruments, 1)):
        level = index.names.index(name)
        position = axis.get_indexer(index.levels[level])
        place = np.where(position < 0, np.iinfo(dtype).min // 2, position * stride).astype(dtype)
        for low in range(0, len(index), CHUNK_ROWS):
            chunk = slice(low, low + CHUNK_ROWS)
            cells[chunk] += place[index.codes[level][chunk]]
    refuse_missing(cells < 0, index)
    return cells


def refuse_missing(missing: np.ndarray, index: pd.MultiIndex) -> None:
    if missing.any():
        day, instrument = (index[int(np.argmax(missing))][index.names.index(n)] for n in ("datetime", "instrument"))
        raise DataError(
            f"{int(missing.sum())} labels or groups have no row of features, the first on {day:%Y-%m-%d} for "
            f"{instrument}; a processor of the learning view must not add rows."
        )

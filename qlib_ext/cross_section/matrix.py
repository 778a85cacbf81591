"""From rows by (datetime, instrument) to matrices [days, stocks], NaN where there is nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.errors import DataError

LEVELS = {"datetime", "instrument"}


def to_matrix(values: pd.Series, name: str) -> pd.DataFrame:
    """The values of a Series by (datetime, instrument), in either order, as float64 [days, stocks], both ascending.

    Raises DataError, which calls them `name`, for another index, rows that are there twice, infinite values and
    values of which none is a number.
    """
    if set(values.index.names) != LEVELS:
        raise DataError(f"The {name} is by {list(values.index.names)}; give it by (datetime, instrument).")
    index = values.index.remove_unused_levels()
    day, stock = (np.asarray(index.codes[index.names.index(level)]) for level in ("datetime", "instrument"))
    days, stocks = index.levels[index.names.index("datetime")], index.levels[index.names.index("instrument")]
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    _refuse(np.isinf(numbers), index, f"The {name} is infinite", "repair what made it")
    _refuse((day < 0) | (stock < 0), index, f"The {name} has rows without a day or an instrument", "drop them")
    place = day.astype(np.int64) * len(stocks) + stock
    if len(place) and np.bincount(place).max() > 1:
        _refuse(index.duplicated(), index, f"The {name} has rows that are there twice", "keep one of each")
    if np.isnan(numbers).all():
        raise DataError(f"The {name} has {len(numbers)} rows and none is a number; see what made it.")
    matrix = np.full(len(days) * len(stocks), np.nan)
    matrix[place] = numbers
    frame = pd.DataFrame(matrix.reshape(len(days), len(stocks)), pd.DatetimeIndex(days), stocks)
    return frame.sort_index().sort_index(axis=1)


def _refuse(wrong: np.ndarray, index: pd.MultiIndex, what: str, remedy: str) -> None:
    if wrong.any():
        first = dict(zip(index.names, index[int(wrong.argmax())], strict=True))
        raise DataError(
            f"{what} in {wrong.sum()} of {len(index)} rows, first on {first['datetime']} at {first['instrument']}; "
            f"{remedy}."
        )

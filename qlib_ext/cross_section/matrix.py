"""From rows by (datetime, instrument) to matrices [days, stocks], NaN where there is nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from qlib.log import get_module_logger

from qlib_ext.cross_section.cells import axes_of, cells_of, first_of
from qlib_ext.errors import DataError

logger = get_module_logger("qlib_ext.cross_section")


def to_matrix(values: pd.Series, name: str) -> pd.DataFrame:
    """The values of a Series by (datetime, instrument), in either order, as float64 [days, stocks], both ascending.

    Raises DataError, which calls them ``name``, for another index, rows that are there twice, infinite values and
    values of which none is a number.
    """
    axes_of(values.index)
    index = values.index.remove_unused_levels()
    own = axes_of(index)
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    _refuse(np.isinf(numbers), index, f"The {name} is infinite", "Repair what made it")
    nameless = (own.day < 0) | (own.instrument < 0)
    _refuse(nameless, index, f"The {name} has rows without a day or an instrument", "Drop them")
    days, stocks = pd.DatetimeIndex(own.days).sort_values(), own.instruments.sort_values()
    cells = cells_of(index, days, stocks)
    if len(cells) and np.bincount(cells).max() > 1:
        _refuse(index.duplicated(), index, f"The {name} has rows that are there twice", "Keep one of each")
    if np.isnan(numbers).all():
        raise DataError(f"The {name} has {len(numbers)} rows and none is a number. See what made it.")
    matrix = np.full(len(days) * len(stocks), np.nan)
    matrix[cells] = numbers
    return pd.DataFrame(matrix.reshape(len(days), len(stocks)), days, stocks)


def _refuse(wrong: np.ndarray, index: pd.MultiIndex, fault: str, remedy: str) -> None:
    if wrong.any():
        raise DataError(f"{fault} in {wrong.sum()} of {len(index)} rows, first on {first_of(wrong, index)}. {remedy}.")


def without_infinite(values: pd.Series, name: str) -> pd.Series:
    """The values, by (datetime, instrument), with NaN in place of infinite ones, which a warning counts and names.

    Such values are quotients of a price that is written as 0 where a stock was suspended.
    """
    infinite = np.isinf(values.to_numpy(dtype=np.float64, na_value=np.nan))
    if not infinite.any():
        return values
    logger.warning(
        f"The {name} is infinite in {infinite.sum()} of {len(values)} rows, first on "
        f"{first_of(infinite, values.index)}; these count as missing. A price of 0 is the usual cause: write a "
        "suspension as NaN."
    )
    return values.mask(infinite)


def plotting_positions(values: pd.DataFrame) -> pd.DataFrame:
    """``(r - 1/2) / n``, r the rank of a value in its column among the n of the day, ties averaged; Hazen's positions.

    values: rows (datetime, instrument). NaN and infinite values take no rank and are NaN.
    """
    days = values.where(np.isfinite(values)).groupby(level="datetime")
    return (days.rank() - 0.5) / days.transform("count")


def rows_later(values: np.ndarray, rows: np.ndarray, days: int) -> np.ndarray:
    """The rows of so many days later, or earlier below 0: [rows, stocks], NaN beyond the first and the last day."""
    at = rows + days
    inside = (at >= 0) & (at < len(values))
    found = np.full((len(rows), values.shape[1]), np.nan)
    found[inside] = values[at[inside]]
    return found

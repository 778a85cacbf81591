"""Qlib's processors that are slow on a large frame: the same names, keywords and numbers, in less time.

Each writes in place, as Qlib's do: a frame of one type and one block keeps its memory, and no second one is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from qlib.constant import EPS
from qlib.data.dataset import processor
from qlib.data.dataset.processor import get_group_columns
from qlib.data.dataset.utils import fetch_df_by_index

from qlib_ext.cross_section.zscore import zscore
from qlib_ext.errors import DataError

COLUMNS = 16  # read at a time: so many float32 are a cache line of rows that lie in one piece
CHUNK_VALUES = 1 << 24  # written at a time, so that no step needs a second frame


class RobustZScoreNorm(processor.RobustZScoreNorm):
    """``(x - median) / (1.4826 (MAD + EPS))`` of each column, clipped to [-3, 3] where ``clip_outlier``.

    ``MAD = median(|x - median|)``; medians over the rows of fit_start_time..fit_end_time, without NaN, in the
    precision of the column.
    """

    row_by_row: ClassVar[bool] = True  # once it is fitted, what becomes of a row depends on that row alone

    def fit(self, df: pd.DataFrame) -> None:
        """Take the medians, ``mean_train`` and ``std_train`` ``[columns]``.

        Raises DataError where a column has no number in these rows, or the same one in all of them.
        """
        rows = between(df, self.fit_start_time, self.fit_end_time)
        self.cols = get_group_columns(df, self.fields_group)
        places = df.columns.get_indexer(self.cols)
        statistics = [(is_constant(column), *centre_and_spread(column)) for column in columns_at(rows, places)]
        constant, centres, spreads = zip(*statistics, strict=True)
        self._refuse_constant(constant, len(rows))
        self.mean_train, self.std_train = np.array(centres), (np.array(spreads) + EPS) * 1.4826

    def _refuse_constant(self, constant: Sequence[bool], rows: int) -> None:
        if any(constant):
            name = self.cols[constant.index(True)]
            raise DataError(
                f"{sum(constant)} of {len(self.cols)} columns have no number or always the same one in the {rows} rows "
                f"of {self.fit_start_time} to {self.fit_end_time}, on which {type(self).__name__} is fitted, the first "
                f"{name[-1]!r}. Let fit_start_time be a day from which on it varies, or leave the column out."
            )

    def __call__(self, df: pd.DataFrame) -> pd.DataFrame:
        def normalised(values: np.ndarray, own: np.ndarray, rows: slice) -> np.ndarray:
            values = (values - self.mean_train[own]) / self.std_train[own]
            return np.clip(values, -3, 3) if self.clip_outlier else values

        return rewrite(df, self.cols, normalised)


class Fillna(processor.Fillna):
    """``fill_value`` in place of NaN."""

    row_by_row: ClassVar[bool] = True

    def __call__(self, df: pd.DataFrame) -> pd.DataFrame:
        def filled(values: np.ndarray, own: np.ndarray, rows: slice) -> np.ndarray:
            return np.where(np.isnan(values), self.fill_value, values)

        return rewrite(df, columns_of(df, self.fields_group), filled)


class CSZScoreNorm(processor.CSZScoreNorm):
    """``(x - mean) / std`` among the stocks of a day.

    ``method: robust`` takes the median for the mean and ``1.4826 median(|x - median|)`` for the standard deviation,
    and clips to [-3, 3]. An infinite value is missing: Qlib's then gives nobody of its day a number. Raises
    NotImplementedError for another method.
    """

    def __call__(self, df: pd.DataFrame) -> pd.DataFrame:
        def normalised(values: np.ndarray, own: np.ndarray, rows: slice) -> np.ndarray:
            return self._of_day(pd.DataFrame(values, index=df.index[rows], copy=False)).to_numpy()

        return rewrite(df, columns_of(df, self.fields_group), normalised)

    def _of_day(self, values: pd.DataFrame) -> pd.DataFrame:
        if self.zscore_func is processor.zscore:
            return zscore(values)
        values = values.where(np.isfinite(values))
        values = values - values.groupby(level="datetime").transform("median")
        spread = values.abs().groupby(level="datetime").transform("median")
        return (values / spread / 1.4826).clip(-3, 3)


def between(df: pd.DataFrame, start: Any, end: Any) -> pd.DataFrame:
    """The rows of start..end; no copy of them where they follow each other."""
    level = df.index.names.index("datetime")
    days, codes = df.index.levels[level], df.index.codes[level]  # the days of all rows are not written out
    if len(df) and days.is_monotonic_increasing and codes[0] >= 0 and (codes[1:] >= codes[:-1]).all():
        within = days.slice_indexer(start, end)
        first, last = np.searchsorted(codes, np.array([within.start, within.stop], dtype=codes.dtype))
        return df.iloc[first:last]
    return fetch_df_by_index(df, slice(start, end), level="datetime")


def columns_of(df: pd.DataFrame, groups: str | list | None) -> pd.Index:
    """The columns of a group, of several, or (None) all of them."""
    first, *others = [get_group_columns(df, group) for group in (groups if isinstance(groups, list) else [groups])]
    return first.append(others)


def rewrite(
    df: pd.DataFrame, columns: pd.Index, change: Callable[[np.ndarray, np.ndarray, slice], np.ndarray]
) -> pd.DataFrame:
    """df itself, with ``change(values [rows, k], own, rows)`` written over ``columns[own]``, rows part by part.

    A part is some whole days of a frame that is sorted by day and has one type, else all rows. Columns are read and
    written by type, so that none takes on another's precision, and all those of a type at once, for pandas is slow in
    writing a part of a frame's columns.
    """
    places = df.columns.get_indexer(columns)
    dtypes = df.dtypes.to_numpy()
    for dtype in set(dtypes[places]):
        alike = np.flatnonzero(dtypes == dtype)
        own = np.flatnonzero(dtypes[places] == dtype)
        at = np.searchsorted(alike, places[own])
        if len(alike) < df.shape[1]:
            values = df.iloc[:, alike].to_numpy(copy=True)
            values[:, at] = change(values[:, at], own, slice(None))
            df.iloc[:, alike] = values
            continue
        for rows in parts_of(df.index, CHUNK_VALUES // df.shape[1]):
            values = df.iloc[rows].to_numpy(copy=True)
            values[:, at] = change(values[:, at], own, rows)
            df.iloc[rows] = values
    return df


def parts_of(index: pd.MultiIndex, count: int) -> list[slice]:
    """Slices of about ``count`` rows that cut no day in two; one of all rows where these are not sorted by day."""
    days = index.codes[index.names.index("datetime")]
    steps = np.diff(days)
    if (steps < 0).any():
        return [slice(0, len(index))]
    starts = np.append(0, np.flatnonzero(steps) + 1)  # of the days
    firsts = starts[np.searchsorted(starts, np.arange(0, len(index), max(count, 1)), side="right") - 1]
    return [slice(low, high) for low, high in pairwise([*np.unique(firsts).tolist(), len(index)])]


def columns_at(rows: pd.DataFrame, places: np.ndarray) -> Iterator[np.ndarray]:
    """The values of some columns, one after the other; those of one type are read some at a time."""
    for low in range(0, len(places), COLUMNS):
        part = rows.iloc[:, places[low : low + COLUMNS]]
        if part.dtypes.nunique() == 1:
            yield from np.array(part.to_numpy().T, order="C")
        else:
            yield from (part.iloc[:, column].to_numpy() for column in range(part.shape[1]))


def is_constant(column: np.ndarray) -> bool:
    """Whether a column has no number, or the same one in all rows that have one."""
    known = column[~np.isnan(column)]
    return not len(known) or known.min() == known.max()


def centre_and_spread(column: np.ndarray) -> tuple[np.floating, np.floating]:
    """The median of what is no NaN and the median distance from it; the column's order is lost."""
    known = column[~np.isnan(column)]
    centre = median(known)
    return centre, median(np.abs(known - centre))


def median(values: np.ndarray) -> np.floating:
    """numpy's median of values without NaN, NaN where there are none; their order is lost.

    One selection: numpy's takes three, one of them to look for NaN.
    """
    if not len(values):
        return values.dtype.type(np.nan)
    middle = len(values) // 2
    values.partition(middle)
    return values[middle] if len(values) % 2 else np.mean([values[:middle].max(), values[middle]], dtype=values.dtype)

"""Processors that set a factor's values against those of the day's other stocks: clipped, neutralised.

They write in place, as Qlib's do, and read no other day than their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd
from qlib.data.dataset.processor import Processor

from qlib_ext.cross_section.robust import REACH, SCALED_MAD, median
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.expressions.kernels import compiled
from qlib_ext.processors.normalise import columns_of, rewrite

ROUNDING = 1e-12  # of float64 sums over a day's stocks; the rounding of float32 is larger than that


class MADClip(Processor):
    """``clip(x, m - r, m + r)``, ``m = median x``, ``r = reach 1.4826 median |x - m|`` over the stocks of a day.

    Missing values, NaN or infinite, take no part and are NaN.
    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibit 44, the first step.
    """

    def __init__(self, fields_group: str | list | None = "feature", reach: float = REACH) -> None:
        if not reach > 0:
            raise ConfigError(f"reach is how many standard deviations are kept, above 0, not {reach}.")
        self.fields_group = fields_group
        self.reach = reach

    def __call__(self, df: pd.DataFrame) -> pd.DataFrame:
        def clip(columns: np.ndarray, bounds: np.ndarray, rows: np.ndarray) -> None:
            for low, high in pairwise(bounds):
                x = columns[:, low:high]  # [columns, stocks]
                x[np.isinf(x)] = np.nan
                middle = median(x)  # [columns, 1]
                reach = self.reach * SCALED_MAD * median(np.abs(x - middle))
                np.clip(x, middle - reach, middle + reach, out=x)

        return by_day(df, self.fields_group, clip)


class Neutralise(Processor):
    """What is left of a factor after its least-squares regression on industry dummies and size, day by day.

    ``e_i = y_i - a_{g(i)} - b s_i``, a and b minimising ``sum e_i^2`` over the stocks of the day. By Frisch and Waugh,
    with y' and s' the distances from the means of the stock's industry: ``b = sum s' y' / sum s'^2, e = y' - b s'``.

    industry, size: the columns of g, a number for each industry, and of s, commonly the log of the float market value.
    Each column of the frame has the stocks that know its factor and their size; the others are NaN. Stocks without an
    industry are an industry of their own. A size that does not differ within industries is left out, b = 0. What the
    regression explains wholly is exactly 0: an industry of one stock, a constant factor, too few stocks.

    Raises DataError where the frame has no such column, or ``fit`` finds it NaN in every row.
    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibit 44, the second step.
    """

    learns_nothing: ClassVar[bool] = True  # ``fit`` only refuses, so that it may see all rows

    def __init__(
        self,
        fields_group: str | list | None = "feature",
        industry: Sequence[str] = ("neutral", "INDUSTRY"),
        size: Sequence[str] = ("neutral", "SIZE"),
    ) -> None:
        self.fields_group = fields_group
        self.industry = tuple(industry)
        self.size = tuple(size)

    def fit(self, df: pd.DataFrame) -> None:
        """Refuse a frame that knows nobody's industry or size."""
        for name in (self.industry, self.size):
            if not np.isfinite(self._column(df, name)).any():
                raise DataError(
                    f"{'/'.join(name)} is NaN in all {len(df)} rows, so that nothing can be neutralised on it: fill "
                    "its field in the provider, or name a stand-in."
                )

    def __call__(self, df: pd.DataFrame) -> pd.DataFrame:
        codes, known = pd.factorize(self._column(df, self.industry), use_na_sentinel=False)
        size = self._column(df, self.size)

        def regress(columns: np.ndarray, bounds: np.ndarray, rows: np.ndarray) -> None:
            rounding = max(np.finfo(columns.dtype).eps, ROUNDING)
            residuals(columns, bounds, codes[rows], size[rows], len(known), rounding)

        return by_day(df, self.fields_group, regress)

    def _column(self, df: pd.DataFrame, name: tuple[str, ...]) -> np.ndarray:
        if name not in df.columns:
            groups = ", ".join(df.columns.get_level_values(0).unique().astype(str))
            raise DataError(
                f"Neutralise reads the column {'/'.join(name)}, but the rows have the groups {groups}; take a handler "
                "that loads it, such as handlers.highfreq.HighFreq27, or name another column."
            )
        return df[name].to_numpy()


def by_day(
    df: pd.DataFrame, groups: str | list | None, change: Callable[[np.ndarray, np.ndarray, np.ndarray], None]
) -> pd.DataFrame:
    """df itself, its columns changed by ``change(columns [k, rows], bounds, rows)``, which writes into the columns.

    Rows lie there day after day, those of day d from ``bounds[d]`` to ``bounds[d + 1]``; rows: their places in df.
    """

    def changed(values: np.ndarray, own: np.ndarray, part: slice) -> np.ndarray:
        order, bounds = order_by_day(df.index[part])
        columns = np.array(values.T[:, order], order="C")  # [k, rows]
        change(columns, bounds, order + (part.start or 0))
        values.T[:, order] = columns
        return values

    return rewrite(df, columns_of(df, groups), changed)


def order_by_day(index: pd.MultiIndex) -> tuple[np.ndarray, np.ndarray]:
    """What puts rows in the order of their days, and where in that order each day begins, the end included."""
    days = index.codes[index.names.index("datetime")]
    order = np.argsort(days, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(days[order], prepend=-1)), len(days))


@compiled
def residuals(columns, bounds, industry, size, industries, rounding):
    """Write the residuals over ``columns [columns, rows]``, day by day; industry and size ``[rows]``."""
    for column in columns:
        for day in range(len(bounds) - 1):
            rows = slice(bounds[day], bounds[day + 1])
            residuals_of_day(column[rows], industry[rows], size[rows], industries, rounding)


@compiled
def residuals_of_day(y, industry, size, industries, rounding):
    """Write the residuals of one factor on one day over ``y [stocks]``; sums are float64 whatever y is."""
    count, y_mean, size_mean = np.zeros(industries), np.zeros(industries), np.zeros(industries)
    for i in range(len(y)):
        if np.isfinite(y[i]) and np.isfinite(size[i]):
            count[industry[i]] += 1.0
            y_mean[industry[i]] += y[i]
            size_mean[industry[i]] += size[i]
    y_mean /= count
    size_mean /= count
    yy = own_ss = own_sy = 0.0
    for i in range(len(y)):
        if np.isfinite(y[i]) and np.isfinite(size[i]):
            own_y, own_size = y[i] - y_mean[industry[i]], size[i] - size_mean[industry[i]]
            yy += float(y[i]) * y[i]
            own_ss += own_size * own_size
            own_sy += own_size * own_y
    slope = own_sy / own_ss if own_ss > 0.0 else 0.0
    left = 0.0
    for i in range(len(y)):
        if np.isfinite(y[i]) and np.isfinite(size[i]):
            residual = y[i] - y_mean[industry[i]] - slope * (size[i] - size_mean[industry[i]])
            left += residual * residual
            y[i] = residual
        else:
            y[i] = np.nan
    if left <= rounding**2 * yy:
        y[np.isfinite(y)] = 0.0

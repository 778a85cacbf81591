"""Operators beside Qlib's, and the one place where the text of an expression is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from qlib.data.base import Expression
from qlib.data.data import LocalExpressionProvider
from qlib.data.ops import Operators, OpsList, PairRolling

from qlib_ext.expressions import order


def cut(values: np.ndarray, by: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """The means of ``order.cuts`` and the high one less the low one: ``[3, windows, rows]``."""
    means = order.cuts(values, by, windows)
    return np.concatenate([means, means[:1] - means[1:]])


class Cut(PairRolling):
    """A statistic of x over those rows of the last N whose y is extreme among them, see ``order.cuts``."""

    which: int

    def __init__(self, feature_left: Any, feature_right: Any, N: int) -> None:
        super().__init__(feature_left, feature_right, N, "cut")

    def _load_internal(self, instrument: str, start_index: int, end_index: int, *args: Any) -> pd.Series:
        x, y = (
            each.load(instrument, start_index, end_index, *args) for each in (self.feature_left, self.feature_right)
        )
        x, y = x.align(y)
        finite = [np.where(np.isinf(each), np.nan, each).astype(np.float64) for each in (x, y)]
        return pd.Series(cut(finite[0], finite[1], np.array([self.N]))[self.which, 0], x.index)


class CutHigh(Cut):
    """``CutHigh(x, y, N)``: the mean of x on the quarter of the last N rows where y is highest."""

    which = 0


class CutLow(Cut):
    """``CutLow(x, y, N)``: the mean of x on the quarter of the last N rows where y is lowest."""

    which = 1


class CutSpread(Cut):
    """``CutSpread(x, y, N) = CutHigh(x, y, N) - CutLow(x, y, N)``."""

    which = 2


OPERATORS = (CutHigh, CutLow, CutSpread)


def register_operators() -> None:
    """Let Qlib read these operators, which every ``qlib.init`` forgets; what a user registered by a name stays.

    Qlib's own as well, for a process without ``qlib.init``.
    """
    Operators.register([each for each in (*OpsList, *OPERATORS) if not hasattr(Operators, each.__name__)])


def expression_of(text: str) -> Expression:
    """The tree of an expression, by Qlib's parser; it raises whatever evaluating the text raises."""
    register_operators()
    return LocalExpressionProvider().get_expression_instance(text)

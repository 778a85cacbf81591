"""What constraints are made of: named blocks of linear rows, and the one cone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import sparray

from qlib_ext.portfolio.day import Day

Coefficients: TypeAlias = ArrayLike | sparray | None


@dataclass(frozen=True)
class Block:
    """Rows ``low <= w_rows w + buys_rows buys + sells_rows sells + y_rows y <= high`` of one name.

    For n stocks and k factors, m rows: coefficients of the weights w, of buys and sells [m, n], and of the active
    exposures y = X'(w - b) [m, k]; one row may be given as a vector, a block's missing coefficients are 0. buys and
    sells are per stock and not below 0: w = w0 + buys - sells.

    name        in the list ``relax``, in records and errors; blocks of one name are relaxed together
    low, high   of each row, or of all
    labels      of each row, for messages
    unit        what a relaxation of 1 adds to the bounds of each row; None: the size of its larger bound, 1 where that
                is 0
    """

    name: str
    w: Coefficients = None
    buys: Coefficients = None
    sells: Coefficients = None
    y: Coefficients = None
    low: ArrayLike = -np.inf
    high: ArrayLike = np.inf
    labels: tuple[str, ...] = ()
    unit: ArrayLike | None = None


@dataclass(frozen=True)
class Cone:
    """``sqrt((w - b)' V (w - b)) <= limit``, of a year."""

    name: str
    limit: float


class Constraint(ABC):
    """What a portfolio must keep; its options are checked when it is made. ``name`` is that of all its blocks."""

    name: ClassVar[str]

    @abstractmethod
    def blocks(self, day: Day) -> Sequence[Block | Cone]:
        """The constraint at the close of a day; an empty list where it has nothing to say."""

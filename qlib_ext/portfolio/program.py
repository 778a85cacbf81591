"""From named blocks to the matrices that a solver takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from qlib_ext.errors import ConfigError
from qlib_ext.portfolio.block import Block, Cone, Constraint
from qlib_ext.portfolio.day import Day, Vector
from qlib_ext.portfolio.objective import Objective

BUDGET, EXPOSURES, BUYS, HOLDINGS = "budget", "exposures", "buys", "holdings"
BUILT_IN = (BUDGET, EXPOSURES, BUYS, HOLDINGS)  # never relaxed


@dataclass(frozen=True)
class Program:
    """``max gain'x  s.t.  low <= rows x <= high,  lower <= x <= upper`` and the cone; x = (w [n], u [h], y [k]).

    u are the buys of the h stocks that are held; what is bought of another is its weight.

    names   of the blocks; owner [r] the place in it of each row's; labels [r]
    unit    [r]: what a relaxation of 1 adds to the bounds; shift [r]: what these have less than their block says, as
            sells are w0 + buys - w
    """

    day: Day
    gain: Vector
    lower: Vector
    upper: Vector
    rows: sp.csr_array
    low: Vector
    high: Vector
    unit: Vector
    shift: Vector
    names: tuple[str, ...]
    owner: NDArray[np.int_]
    labels: tuple[str, ...]
    cone: Cone | None

    def of(self, name: str) -> NDArray[np.int_]:
        """The rows of a block."""
        return np.flatnonzero(self.owner == self.names.index(name)) if name in self.names else np.zeros(0, dtype=int)


def program_of(day: Day, constraints: Sequence[Constraint], objective: Objective) -> Program:
    """The program of a day; raises ConfigError for a block that makes no sense or is named as one that is built in."""
    n, k = len(day.stocks), len(day.factors)
    found = [block for constraint in constraints for block in constraint.blocks(day)]
    cones = [block for block in found if isinstance(block, Cone)]
    if len(cones) > 1:
        raise ConfigError(f"There are {len(cones)} constraints of the tracking error; keep the tightest.")
    if taken := [block.name for block in found if block.name in BUILT_IN]:
        raise ConfigError(f"{taken[0]} is built in, as are {', '.join(BUILT_IN)}; give your block another name.")
    held = np.flatnonzero(day.held > 0)
    weights, bought = _weights_and_buys(n, held)
    parts = [
        _rows(block, day, weights, bought)
        for block in [_budget(objective, n), *(block for block in found if isinstance(block, Block))]
    ]
    no_exposures = sp.csr_array((len(held), k))
    parts.append(_Rows(BUYS, sp.hstack([(bought - weights)[held], no_exposures]), -day.held[held], np.inf))
    offset = day.active_exposures(np.zeros(n))
    definition = sp.hstack([day.risk.exposures.T, sp.csr_array((k, len(held))), -sp.eye_array(k)])
    parts.append(_Rows(EXPOSURES, definition, -offset, -offset))
    lower, upper = bounds_of(day)
    names = tuple(dict.fromkeys(part.name for part in parts))
    gain = (objective.alpha(day) + objective.sell) @ weights - (objective.buy + objective.sell) * bought.sum(0)
    return Program(
        day,
        gain=np.concatenate([gain, np.zeros(k)]),
        lower=np.concatenate([lower, np.zeros(len(held)), np.full(k, -np.inf)]),
        upper=np.concatenate([upper, np.where(day.tradable[held], 1.0, 0.0), np.full(k, np.inf)]),
        rows=sp.csr_array(sp.vstack([part.rows for part in parts])),
        low=np.concatenate([part.of_rows("low") for part in parts]),
        high=np.concatenate([part.of_rows("high") for part in parts]),
        unit=np.concatenate([part.of_rows("unit") for part in parts]),
        shift=np.concatenate([part.of_rows("shift") for part in parts]),
        names=names,
        owner=np.concatenate([np.full(part.rows.shape[0], names.index(part.name)) for part in parts]),
        labels=tuple(label for part in parts for label in part.labels or [""] * part.rows.shape[0]),
        cone=cones[0] if cones else None,
    )


def bounds_of(day: Day) -> tuple[Vector, Vector]:
    """The least and the largest weight [n] of long positions in what can be traded."""
    lower = np.where(day.tradable, 0.0, day.held)
    return lower, np.where(day.tradable & day.may_buy, np.inf, day.held)


def _budget(objective: Objective, n: int) -> Block:
    one, invested = np.ones(n), 1 - objective.buffer
    return Block(BUDGET, w=one, buys=objective.buy * one, sells=objective.sell * one, low=invested, high=invested)


def _weights_and_buys(n: int, held: NDArray[np.int_]) -> tuple[sp.csr_array, sp.csr_array]:
    """Matrices [n, n + h] that make of (w, u) the weights, and the buys of each stock: u where it is held, else w."""
    column = np.arange(n)
    column[held] = n + np.arange(len(held))
    one, row, shape = np.ones(n), np.arange(n), (n, n + len(held))
    return sp.csr_array((one, (row, row)), shape), sp.csr_array((one, (row, column)), shape)


@dataclass(frozen=True)
class _Rows:
    name: str
    rows: sp.sparray  # [m, v]
    low: ArrayLike
    high: ArrayLike
    unit: ArrayLike = 1.0
    shift: ArrayLike = 0.0
    labels: tuple[str, ...] = ()

    def of_rows(self, name: str) -> Vector:
        return np.broadcast_to(np.asarray(getattr(self, name), dtype=float), self.rows.shape[0])


def _rows(block: Block, day: Day, weights: sp.csr_array, bought: sp.csr_array) -> _Rows:
    """A block's rows in x; what it says of the holdings before goes into its bounds."""
    n, k = len(day.stocks), len(day.factors)
    width = {"w": n, "buys": n, "sells": n, "y": k}
    given = {name: _matrix(block, name, columns) for name, columns in width.items() if getattr(block, name) is not None}
    counts = {matrix.shape[0] for matrix in given.values()}
    if len(counts) != 1:
        raise ConfigError(f"The coefficients of {block.name} have {sorted(counts)} rows; give each the same number.")
    m = counts.pop()
    zero = sp.csr_array((m, n))
    w, buys, sells = (given.get(name, zero) for name in ("w", "buys", "sells"))
    rows = sp.hstack([(w - sells) @ weights + (buys + sells) @ bought, given.get("y", sp.csr_array((m, k)))])
    low, high = (np.broadcast_to(np.asarray(bound, dtype=float), m) for bound in (block.low, block.high))
    if np.isnan(low).any() or np.isnan(high).any() or (low > high).any():
        row = int(np.argmax(~(low <= high)))
        raise ConfigError(
            f"{block.name}{f' ({block.labels[row]})' if block.labels else ''} is from {low[row]:g} to {high[row]:g} on "
            f"{day.day:%Y-%m-%d}: no portfolio can keep that."
        )
    sold = sells @ day.held
    unit = block.unit
    if unit is None:
        size = np.maximum(np.where(np.isfinite(low), np.abs(low), 0), np.where(np.isfinite(high), np.abs(high), 0))
        unit = np.where(size > 0, size, 1.0)
    return _Rows(block.name, rows, low - sold, high - sold, unit, sold, block.labels)


def _matrix(block: Block, name: str, columns: int) -> sp.csr_array:
    """Coefficients as [m, columns]; raises ConfigError for those of another width, and for what is no number."""
    values = getattr(block, name)
    matrix = sp.csr_array(values if sp.issparse(values) else np.atleast_2d(np.asarray(values, dtype=float)))
    if matrix.ndim != 2 or matrix.shape[1] != columns:
        raise ConfigError(f"{name} of {block.name} has the shape {matrix.shape}; its rows are of {columns} columns.")
    if not np.isfinite(matrix.data).all():
        raise ConfigError(f"{name} of {block.name} has coefficients that are no numbers.")
    return matrix

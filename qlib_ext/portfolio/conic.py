"""A program in the form of a conic solver, and the same program with bounds that may widen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from qlib_ext.portfolio.day import Vector
from qlib_ext.portfolio.program import HOLDINGS, Program


@dataclass(frozen=True)
class Conic:
    """``bound - matrix x`` is 0 in its first ``equal`` rows, not below 0 in the next ``above``, and then in the cone.

    cone    rows of the second-order cone: the first is at least the norm of the others
    owner   [equal + above] the program's row that each is made of, the count of its rows for bounds of x itself
    sign    [equal + above] -1 where it is made of a lower bound, else 1
    """

    matrix: sp.csc_array
    bound: Vector
    equal: int
    above: int
    cone: int
    owner: NDArray[np.int_]
    sign: Vector

    def by_row(self, program: Program, values: Vector) -> Vector:
        """The sum of the linear rows' values, by row of the program, and last that of the bounds of x."""
        return np.asarray(np.bincount(self.owner, values, len(program.low) + 1), dtype=float)

    def shares(self, program: Program, dual: Vector) -> dict[str, float]:
        """What each block has of a certificate z, with ``matrix'z = 0`` and ``bound'z < 0``: ``sum |z bound|``."""
        parts = np.abs(dual * self.bound)
        rows = self.by_row(program, parts[: len(self.owner)])
        shares = {name: float(rows[program.of(name)].sum()) for name in program.names} | {HOLDINGS: float(rows[-1])}
        if program.cone and self.cone:
            shares[program.cone.name] = float(parts[len(self.owner) :].sum())
        total = sum(shares.values())
        return {name: share / total for name, share in shares.items() if share > 1e-6 * total}


def conic_of(program: Program, soft: Collection[str] | None = None, free: Collection[str] = ()) -> Conic:
    """The program's conic form; with ``soft`` x has a last place t >= 0.

    soft   blocks whose bounds are t times their unit wider, and the cone, by its name, t times its limit
    free   blocks that are left out, and the cone, by its name
    """
    widens, gone = (np.isin(program.owner, _places(program, names)) for names in (soft or (), free))
    equal = ~gone & ~widens & (program.low == program.high)
    below, above = (np.flatnonzero(~gone & ~equal & np.isfinite(bound)) for bound in (program.high, program.low))
    fixed = program.lower == program.upper
    capped, floored = (np.flatnonzero(~fixed & np.isfinite(bound)) for bound in (program.upper, program.lower))
    each = sp.csr_array(sp.eye_array(len(program.lower)))
    equals, own, fixes = np.flatnonzero(equal), len(program.low), np.flatnonzero(fixed)
    parts = [
        (program.rows[equals], program.low[equals], equals),
        (each[fixes], program.lower[fixes], np.full(len(fixes), own)),
        (program.rows[below], program.high[below], below),
        (-program.rows[above], -program.low[above], above),
        (each[capped], program.upper[capped], np.full(len(capped), own)),
        (-each[floored], -program.lower[floored], np.full(len(floored), own)),
    ]
    owner = np.concatenate([rows for _, _, rows in parts])
    sign = np.repeat([1.0, 1.0, 1.0, -1.0, 1.0, -1.0], [len(rows) for _, _, rows in parts])
    matrices, bounds = [matrix for matrix, _, _ in parts], [bound for _, bound, _ in parts]
    size = 0
    if program.cone and program.cone.name not in free:
        matrix, bound = _cone(program)
        matrices.append(matrix)
        bounds.append(bound)
        size = len(bound)
    matrix, bound = sp.vstack(matrices), np.concatenate(bounds)
    count = len(equals) + len(fixes)
    if soft is not None:
        unit = np.append(np.where(widens, program.unit, 0.0), 0.0)[owner]
        of_cone = np.zeros(size)
        if size and program.cone and program.cone.name in soft:
            of_cone[0] = program.cone.limit
        column = sp.csr_array(-np.concatenate([unit, of_cone])[:, None])
        last = sp.csr_array(([-1.0], ([0], [matrix.shape[1]])), (1, matrix.shape[1] + 1))
        matrix = sp.vstack([last, sp.hstack([matrix, column])])
        # t >= 0 is an inequality, and those come after the equalities
        order = np.r_[1 : count + 1, 0, count + 1 : matrix.shape[0]]
        matrix, bound = sp.csr_array(matrix)[order], np.append(0.0, bound)[order]
        linear = order[: len(owner) + 1]
        owner, sign = np.append(own, owner)[linear], np.append(-1.0, sign)[linear]
    return Conic(sp.csc_array(matrix), bound, count, len(owner) - count, size, owner, sign)


def _places(program: Program, names: Collection[str]) -> list[int]:
    return [place for place, name in enumerate(program.names) if name in names]


def _cone(program: Program) -> tuple[sp.csr_array, Vector]:
    """Rows of ``(limit, L'y, s (w - b))``, so that the norm of the others is the tracking error."""
    assert program.cone is not None
    day, v = program.day, len(program.lower)
    n, k = len(day.stocks), len(day.factors)
    common = sp.hstack([sp.csr_array((k, v - k)), sp.csr_array(-day.root.T)])
    own = sp.hstack([-sp.diags_array(day.risk.specific), sp.csr_array((n, v - n))])
    bound = np.concatenate([[program.cone.limit], np.zeros(k), -day.risk.specific * day.benchmark])
    return sp.csr_array(sp.vstack([sp.csr_array((1, v)), common, own])), bound

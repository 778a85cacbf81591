"""Column generation: a program of few stocks, and the proof that none of the others would be bought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from qlib_ext.portfolio.day import Day, Mask, Vector
from qlib_ext.portfolio.program import Program
from qlib_ext.portfolio.solvers import Optimum

MORE = 200  # stocks of the largest gain, at first and whenever others turn out to be better
NO_GAIN = 1e-7  # of the largest gain: a stock that would add less is not missed

Failure = TypeVar("Failure")  # what a solver gives where it finds no optimum


def by_columns(program: Program, optimum: Callable[[Program], Optimum | Failure]) -> Optimum | Failure:
    """The optimum of a program, found from those of its stocks that matter.

    A stock that is neither held nor in the index has the weight 0 unless it is worth more than what it costs: at the
    duals d of the rows its gain is ``g - rows'd``, to the cone it adds nothing at 0. As long as one of those that were
    left out has a gain above 0, the best of them are let in. So the answer is the whole program's, at a fraction of
    its size. Where a few stocks allow no portfolio, all are asked.

    Source: Desaulniers, Desrosiers and Solomon (2005), Column Generation, chapter 1.
    """
    idle = _idle(program)
    out = idle & ~_largest(program.gain, idle)
    while out.any():
        part, rows = without(program, out)
        found = optimum(part)
        if not isinstance(found, Optimum):
            break
        gain = np.where(out & (program.upper > 0), program.gain - program.rows[rows].T @ found.duals, -np.inf)
        missed = gain > NO_GAIN * np.abs(program.gain).max()
        if not missed.any():
            return _in_all(program, found, ~out, rows)
        out &= ~_largest(gain, missed)
    return optimum(program)


def without(program: Program, out: Mask) -> tuple[Program, NDArray[np.int_]]:
    """The program whose stocks ``out`` [v] have the weight 0, and the places of the rows that are left in it."""
    columns = np.flatnonzero(~out)
    matrix = sp.csr_array(sp.csc_array(program.rows)[:, columns])
    rows = np.flatnonzero(np.diff(matrix.indptr) > 0)
    part = replace(
        program,
        day=_day_of(program.day, ~out[: len(program.day.stocks)]),
        gain=program.gain[columns],
        lower=program.lower[columns],
        upper=program.upper[columns],
        rows=matrix[rows],
        labels=tuple(program.labels[row] for row in rows),
        **{name: getattr(program, name)[rows] for name in ("low", "high", "unit", "shift", "owner")},
    )
    return part, rows


def _idle(program: Program) -> Mask:
    """[v] weights that may be 0, of stocks that are neither held nor in the index."""
    day = program.day
    idle = np.zeros(len(program.gain), dtype=bool)
    idle[: len(day.stocks)] = (day.held == 0) & (day.benchmark == 0)
    idle &= (program.lower <= 0) & (program.upper >= 0)
    wanted = np.flatnonzero((program.low > 0) | (program.high < 0))  # rows that all weights of 0 would not keep
    left = sp.csc_array(program.rows)[:, np.flatnonzero(~idle)]
    empty = np.diff(sp.csr_array(left).indptr)[wanted] == 0
    idle[program.rows[wanted[empty]].indices] = False
    return idle


def _largest(gain: Vector, among: Mask) -> Mask:
    """The ``MORE`` of these that have the largest gain."""
    places = np.flatnonzero(among)
    best = places[np.argsort(-gain[places], kind="stable")[:MORE]]
    return np.isin(np.arange(len(gain)), best)


def _day_of(day: Day, kept: Mask) -> Day:
    vectors = ("held", "benchmark", "score", "industry", "member", "tradable", "may_buy")
    risk = replace(day.risk, exposures=day.risk.exposures[kept], specific=day.risk.specific[kept])
    stocks = tuple(stock for stock, keep in zip(day.stocks, kept, strict=True) if keep)
    return replace(day, stocks=stocks, risk=risk, **{name: getattr(day, name)[kept] for name in vectors})


def _in_all(program: Program, found: Optimum, kept: Mask, rows: NDArray[np.int_]) -> Optimum:
    x, duals = np.zeros(len(kept)), np.zeros(len(program.low))
    x[kept], duals[rows] = found.x, found.duals
    return replace(found, x=x, duals=duals)

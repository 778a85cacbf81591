"""HiGHS and Clarabel, called directly: a linear program, and one with the cone of the tracking error."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import clarabel
import highspy
import numpy as np
import scipy.sparse as sp

from qlib_ext.errors import SolverError
from qlib_ext.portfolio.conic import Conic, conic_of
from qlib_ext.portfolio.day import Vector
from qlib_ext.portfolio.program import BUILT_IN, Program

LEAST_SLACK = 1e-6  # of a unit: a bound that must widen by less is kept
MOST_STEPS = 200
TOLERANCE = 1e-9  # of HiGHS
TOLERANCES = (1e-8, 1e-6)  # of Clarabel, one after the other: at the edge of what is feasible the first may be too much
HELP = "its numbers may be of very different sizes, so look at the bounds and the risk model"


@dataclass(frozen=True)
class Optimum:
    """An answer.

    x       [v]
    duals   [r] by how much the gain rises where a row's upper bound does, below 0 where its lower bound holds
    price   by how much it rises where the cone widens by its limit
    loose   whether it is to the looser of ``TOLERANCES`` alone
    """

    x: Vector
    duals: Vector
    price: float = 0.0
    loose: bool = False

    def prices(self, program: Program) -> dict[str, float]:
        """Block -> by how much the gain rises where its bounds widen by their unit."""
        widened = np.bincount(program.owner, np.abs(self.duals) * program.unit, len(program.names))
        prices = zip(program.names, widened.tolist(), strict=True)
        cone = {program.cone.name: self.price} if program.cone else {}
        return {name: price for name, price in prices if name not in BUILT_IN} | cone


@dataclass(frozen=True)
class Slack:
    """The x for which bounds must widen the least, by how many of their units, and each block's share of why.

    Where the slack is above 0 its dual is a certificate of the contradiction, see ``Conic.shares``.
    """

    x: Vector
    slack: float
    shares: dict[str, float]


@dataclass(frozen=True)
class Contradiction:
    """No x keeps all blocks; shares: what each has of the proof, see ``Conic.shares``; empty: not known."""

    shares: dict[str, float]


class QuietHighs(highspy.Highs):
    """HiGHS that prints nothing; its constructor prints a banner as it enables callbacks, before it can be told."""

    def enableCallbacks(self) -> None:
        self.silent()
        super().enableCallbacks()


def linear_optimum(program: Program) -> Optimum | None:
    """The optimum without the cone, by HiGHS; None where there is none. Raises SolverError where HiGHS gives up."""
    columns, scale = sp.csc_array(program.rows), _scale(program)
    model = highspy.HighsLp()
    model.num_row_, model.num_col_ = program.rows.shape
    model.col_cost_, model.col_lower_, model.col_upper_ = -program.gain / scale, program.lower, program.upper
    model.row_lower_, model.row_upper_ = program.low, program.high
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_ = columns.indptr, columns.indices
    model.a_matrix_.value_ = columns.data
    solver = QuietHighs()
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("presolve", "off")  # takes longer than what it saves: most rows are bounds of one weight
    solver.setOptionValue("primal_feasibility_tolerance", TOLERANCE)
    solver.setOptionValue("dual_feasibility_tolerance", TOLERANCE)
    solver.passModel(model)
    solver.run()
    status = solver.getModelStatus()
    if status in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
        return None
    if status != highspy.HighsModelStatus.kOptimal:
        raise _failure(program, "HiGHS", solver.modelStatusToString(status))
    solution = solver.getSolution()
    return Optimum(np.asarray(solution.col_value), -np.asarray(solution.row_dual) * scale)


def conic_optimum(program: Program) -> Optimum | Contradiction:
    """The optimum with the cone, by Clarabel, or the proof that there is none; raises SolverError for neither."""
    conic, scale = conic_of(program), _scale(program)
    try:
        result = _clarabel(program, conic, -program.gain / scale)
    except SolverError:
        # of a contradiction it sometimes finds no proof, but then how far the bounds are from one that is none
        found = _proof(program, soft_names(program))
        if found is None:
            raise
        return found
    if isinstance(result, Contradiction):
        return result
    result, loose = result
    dual = np.asarray(result.z) * scale
    price = float(dual[len(conic.owner)]) * program.cone.limit if program.cone else 0.0
    return Optimum(
        np.asarray(result.x), conic.by_row(program, conic.sign * dual[: len(conic.owner)])[:-1], price, loose
    )


def contradiction_of(program: Program) -> Contradiction:
    """The shares of a contradiction that HiGHS found, by Clarabel; none where that fails, as near the edge."""
    try:
        found = conic_optimum(program)
    except SolverError:
        return Contradiction({})
    return found if isinstance(found, Contradiction) else Contradiction({})


def soft_names(program: Program) -> list[str]:
    """The names of the blocks that can give way, the cone's the last."""
    linear = [name for name in program.names if name not in BUILT_IN]
    return linear + ([program.cone.name] if program.cone else [])


def _proof(program: Program, soft: Collection[str]) -> Contradiction | None:
    """A contradiction that shows in bounds that must widen, though all may; None where there is none."""
    found = least_slack(program, soft) if soft else None
    if found is None or isinstance(found, Contradiction):
        return found
    return Contradiction(found.shares) if found.slack > LEAST_SLACK else None


def least_slack(program: Program, soft: Collection[str], free: Collection[str] = ()) -> Slack | Contradiction:
    """The x for which bounds must widen the least: those of all blocks in ``soft`` by ``slack`` times their unit.

    free   blocks that need not be kept at all; the cone stands in both lists by its name

    Raises SolverError where Clarabel finds neither an x nor a contradiction.
    """
    conic = conic_of(program, soft, free)
    cost = np.zeros(conic.matrix.shape[1])
    cost[-1] = 1.0
    result = _clarabel(program, conic, cost)
    if isinstance(result, Contradiction):
        return result
    x = np.asarray(result[0].x)
    return Slack(x[:-1], float(x[-1]), conic.shares(program, np.asarray(result[0].z)))


def _clarabel(program: Program, conic: Conic, cost: Vector) -> tuple[Any, bool] | Contradiction:
    """Clarabel's solution, and whether it is to the looser tolerance alone; or a Contradiction."""
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_iter = MOST_STEPS
    settings.max_threads = 1
    cones = [clarabel.ZeroConeT(conic.equal), clarabel.NonnegativeConeT(conic.above)]
    cones += [clarabel.SecondOrderConeT(conic.cone)] if conic.cone else []
    v = conic.matrix.shape[1]
    none, matrix = sp.csc_matrix((v, v)), sp.csc_matrix(conic.matrix)
    for tolerance in TOLERANCES:
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
        result = clarabel.DefaultSolver(none, cost, matrix, conic.bound, cones, settings).solve()
        status = str(result.status)
        if status in ("PrimalInfeasible", "AlmostPrimalInfeasible"):
            return Contradiction(conic.shares(program, np.asarray(result.z)))
        if status == "Solved":
            return result, tolerance != TOLERANCES[0]
    raise _failure(program, "Clarabel", status)


def _scale(program: Program) -> float:
    """What gains are divided by, so that a solver's tolerances are relative to the largest of them."""
    return float(np.abs(program.gain).max()) or 1.0


def _failure(program: Program, solver: str, status: str) -> SolverError:
    return SolverError(
        f"{solver} ended with {status} on {program.day.day:%Y-%m-%d}, no answer and no contradiction: {HELP}."
    )

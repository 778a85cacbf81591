"""The weights of a day: a linear program first, the cone where that is needed, and no answer in silence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qlib_ext.errors import SolverError
from qlib_ext.portfolio.block import Constraint
from qlib_ext.portfolio.day import Day
from qlib_ext.portfolio.narrow import by_columns
from qlib_ext.portfolio.objective import Objective
from qlib_ext.portfolio.program import Program, bounds_of, program_of
from qlib_ext.portfolio.relax import relaxed_program
from qlib_ext.portfolio.solution import Relaxed, Solution, Status
from qlib_ext.portfolio.solvers import Contradiction, Optimum, conic_optimum, contradiction_of, linear_optimum


def solve(day: Day, constraints: Sequence[Constraint], objective: Objective, relax: Sequence[str] = ()) -> Solution:
    """The portfolio of the largest ``alpha'w - c_b buys - c_s sells`` that keeps all constraints.

    Built in are the budget, ``1'w + c_b buys + c_s sells = 1 - buffer``, long positions, and what the day says cannot
    be traded or bought.

    relax   names of blocks in the order in which they give way, each by the least that it must, where no portfolio
            keeps all of them; a block that is not named never does

    Raises InfeasibleError where what may give way is not enough, SolverError where a solver finds neither an answer nor
    a contradiction, ConfigError for constraints that contradict themselves.
    """
    program = program_of(day, constraints, objective)
    found = _optimum(program)
    if isinstance(found, tuple):
        return _solution(program, objective, *found, ())
    program, relaxed = relaxed_program(program, relax, found)
    answer = _optimum(program)
    if isinstance(answer, Contradiction):
        raise SolverError(f"The relaxed program of {day.day:%Y-%m-%d} is solved by one of two solves of it; report it.")
    return _solution(program, objective, *answer, relaxed)


def _optimum(program: Program) -> tuple[Optimum, Status] | Contradiction:
    linear = by_columns(program, linear_optimum)
    if isinstance(linear, Optimum) and (program.cone is None or _tracking_error(program, linear) <= program.cone.limit):
        return linear, "lp"
    if linear is None:
        return contradiction_of(program)
    found = by_columns(program, conic_optimum)
    if isinstance(found, Contradiction):
        return found
    return found, "socp_loose" if found.loose else "socp"


def _tracking_error(program: Program, optimum: Optimum) -> float:
    return program.day.tracking_error(optimum.x[: len(program.day.stocks)])


def _solution(
    program: Program,
    objective: Objective,
    optimum: Optimum,
    status: Status,
    relaxed: tuple[Relaxed, ...],
) -> Solution:
    day = program.day
    weights = optimum.x[: len(day.stocks)].clip(*bounds_of(day))
    buys, sells = np.maximum(weights - day.held, 0), np.maximum(day.held - weights, 0)
    alpha = objective.alpha(day)
    return Solution(
        weights,
        buys,
        sells,
        day.tracking_error(weights),
        day.transfer_coefficient(weights, alpha),
        float(alpha @ weights - objective.buy * buys.sum() - objective.sell * sells.sum()),
        status,
        optimum.prices(program),
        relaxed,
    )

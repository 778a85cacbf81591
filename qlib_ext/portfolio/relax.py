"""What gives way where no portfolio keeps all constraints, by how little, and the record of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qlib_ext.errors import InfeasibleError
from qlib_ext.portfolio.day import Vector
from qlib_ext.portfolio.program import Program
from qlib_ext.portfolio.solution import Relaxed
from qlib_ext.portfolio.solvers import Contradiction, least_slack, soft_names

ROOM = 1e-3  # by which a relaxation is larger than the least, relatively: a solver needs an interior
LEAST_ROOM = 1e-6  # of a unit
LEAST_SHARE = 0.005  # of a contradiction that a message names


def relaxed_program(
    program: Program, order: Sequence[str], contradiction: Contradiction
) -> tuple[Program, tuple[Relaxed, ...]]:
    """The program with bounds as wide as they must be, and what became of each.

    The fewest of the first blocks of ``order`` that are enough give way: the last of them the least that it must, then
    the one before it, and so on. Raises InfeasibleError where all of them are not enough.
    """
    blocks = [name for name in order if name in soft_names(program)]
    for count in range(1, len(blocks) + 1):
        widened, records = program, []
        for place in reversed(range(count)):
            found = least_slack(widened, [blocks[place]], free=blocks[:place])
            if isinstance(found, Contradiction):
                break
            slack = found.slack * (1 + ROOM) + LEAST_ROOM
            widened = widen(widened, blocks[place], slack)
            if found.slack > LEAST_ROOM:
                records.append(_record(program, blocks[place], slack, found.x, contradiction))
        else:
            return widened, tuple(reversed(records))
    raise _infeasible(program, blocks, contradiction)


def widen(program: Program, name: str, slack: float) -> Program:
    """The program with a block's bounds wider by ``slack`` times their unit, the cone's by that share of its limit."""
    if program.cone and name == program.cone.name:
        return replace(program, cone=replace(program.cone, limit=program.cone.limit * (1 + slack)))
    by = np.where(program.owner == program.names.index(name), slack * program.unit, 0.0)
    return replace(program, low=program.low - by, high=program.high + by)


def _record(program: Program, name: str, slack: float, x: Vector, contradiction: Contradiction) -> Relaxed:
    """What a block's row asked that x misses the most, and what it is granted."""
    day, share = program.day.day, contradiction.shares.get(name, 0.0) if contradiction.shares else float("nan")
    if program.cone and name == program.cone.name:
        return Relaxed(day, name, "", program.cone.limit, program.cone.limit * (1 + slack), share)
    rows = program.of(name)
    value = program.rows[rows] @ x
    above, below = ((value - program.high[rows]) / program.unit[rows], (program.low[rows] - value) / program.unit[rows])
    row = rows[int(np.argmax(np.maximum(above, below)))]
    over = above[rows == row][0] >= below[rows == row][0]
    asked = (program.high if over else program.low)[row] + program.shift[row]
    granted = asked + slack * program.unit[row] * (1 if over else -1)
    return Relaxed(day, name, program.labels[row], float(asked), float(granted), share)


def _infeasible(program: Program, order: Sequence[str], contradiction: Contradiction) -> InfeasibleError:
    """The error: the block with the largest share that alone could resolve the contradiction, else all of them."""
    day, names = program.day.day, soft_names(program)
    by_share = sorted(names, key=lambda name: -contradiction.shares.get(name, 0.0))
    known = sorted(contradiction.shares.items(), key=lambda item: -item[1])
    shares = ", ".join(f"{name} {share:.0%}" for name, share in known if share >= LEAST_SHARE)
    head = f"No portfolio keeps all constraints on {day:%Y-%m-%d}"
    tail = f"The shares of the contradiction are {shares or 'not known'}; relax names {', '.join(order) or 'no block'}."
    for name in by_share:
        found = least_slack(program, [name])
        if not isinstance(found, Contradiction):
            record = _record(program, name, found.slack, found.x, contradiction)
            return InfeasibleError(
                f"{head}: {record.name} asks for {record.asked:.4g}, and the nearest that the others allow is "
                f"{record.granted:.4g}. {tail}",
                record,
            )
    found = least_slack(program, names) if names else contradiction
    if isinstance(found, Contradiction):
        return InfeasibleError(f"{head}, whatever gives way: too much of the account cannot be traded. {tail}", None)
    records = [_record(program, name, found.slack, found.x, contradiction) for name in by_share]
    nearest = ", ".join(f"{record.name} {record.granted:.4g} for {record.asked:.4g}" for record in records)
    return InfeasibleError(f"{head}, and none of them alone is in the way; near are {nearest}. {tail}", records[0])

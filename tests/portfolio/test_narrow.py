"""A program of few stocks has the whole one's answer, and no row of it is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.portfolio import narrow
from qlib_ext.portfolio.block import Block, Constraint
from qlib_ext.portfolio.constraints import ActiveWeight, Industries, Members, Styles, TrackingError, Turnover
from qlib_ext.portfolio.objective import Objective
from qlib_ext.portfolio.program import program_of
from qlib_ext.portfolio.solvers import Optimum, conic_optimum, linear_optimum
from tests.portfolio.days import random_day

CONSTRAINTS = [TrackingError(0.05), Styles(0.5), Industries(0.1), Members(0.5), ActiveWeight(0.05), Turnover(1.0)]


def idle_day(seed: int):
    """A day with an account of which half is in cash and many stocks outside the index."""
    day = random_day(seed, 60)
    held = np.where(np.arange(60) % 5 == 0, day.held, 0.0)
    benchmark = np.where(np.arange(60) % 3 == 0, day.benchmark, 0.0)
    return replace(day, held=held, benchmark=benchmark / benchmark.sum(), member=benchmark > 0)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), solver=st.sampled_from([linear_optimum, conic_optimum]))
def test_few_stocks_have_the_answer_of_all(seed, solver):
    program = program_of(idle_day(seed), CONSTRAINTS, Objective())
    whole, sizes = solver(program), []

    def counted(part):
        sizes.append(len(part.gain))
        return solver(part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(narrow, "MORE", 4)
        found = narrow.by_columns(program, counted)
    if not isinstance(whole, Optimum):
        assert type(found) is type(whole)
        return
    assert sizes[0] < len(program.gain)
    assert program.gain @ found.x == pytest.approx(program.gain @ whole.x, abs=1e-8)
    value = program.rows @ found.x
    assert (value >= program.low - 1e-7).all()
    assert (value <= program.high + 1e-7).all()
    assert (found.x >= program.lower - 1e-7).all()
    assert (found.x <= program.upper + 1e-7).all()
    # what could be bought and is not has no gain left at the duals
    gain = (program.gain - program.rows.T @ found.duals)[:60]
    left = narrow._idle(program)[:60] & (program.upper[:60] > 0) & (found.x[:60] < 1e-9)
    assert (gain[left] < 1e-6 * np.abs(program.gain).max()).all()


def test_stocks_of_a_small_gain_come_in_where_the_first_are_not_enough(monkeypatch):
    monkeypatch.setattr(narrow, "MORE", 1)
    program = program_of(idle_day(1), CONSTRAINTS, Objective())
    sizes = []
    narrow.by_columns(program, lambda part: sizes.append(len(part.gain)) or linear_optimum(part))
    assert len(sizes) > 1
    assert sizes == sorted(sizes)


class AtLeast(Constraint):
    """Every stock that can be bought has a weight of at least 0.001."""

    name = "at_least"

    def blocks(self, day):
        return [Block(self.name, w=np.eye(len(day.stocks)), low=np.where(day.may_buy, 0.001, 0.0))]


def test_a_stock_that_a_row_asks_for_is_never_left_out(monkeypatch):
    monkeypatch.setattr(narrow, "MORE", 1)
    day = idle_day(2)
    program = program_of(day, [AtLeast()], Objective())
    found = narrow.by_columns(program, linear_optimum)
    assert (found.x[:60][day.may_buy] >= 0.001 - 1e-9).all()

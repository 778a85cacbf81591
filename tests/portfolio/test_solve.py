"""The solve equals an independent formulation, keeps every bound, and says what each of them costs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from qlib_ext.errors import InfeasibleError
from qlib_ext.portfolio.constraints import ActiveWeight, Industries, Members, Styles, TrackingError, Turnover
from qlib_ext.portfolio.day import Day
from qlib_ext.portfolio.objective import Objective
from qlib_ext.portfolio.program import program_of
from qlib_ext.portfolio.solve import solve
from qlib_ext.portfolio.solvers import least_slack
from tests.portfolio.days import random_day

LIMITS = {"te": 0.05, "style": 0.5, "industry": 0.05, "share": 0.8, "active": 0.05, "delta": 0.2}
OBJECTIVE = Objective()


def constraints_of(te, style, industry, share, active, delta, two_sided=False) -> list:
    turnover = Turnover(two_sided=delta) if two_sided else Turnover(one_sided=delta)
    return [TrackingError(te), Styles(style), Industries(industry), Members(share), ActiveWeight(active), turnover]


def by_cvxpy(day: Day, te, style, industry, share, active, delta, two_sided=False, cost=OBJECTIVE) -> tuple:
    """The largest objective and its weights, written down again as the specification has it; None where none is."""
    n = len(day.stocks)
    w, buys, sells = (cp.Variable(n, nonneg=True) for _ in range(3))
    y = day.risk.exposures.T @ (w - day.benchmark)
    root = np.linalg.cholesky(day.risk.covariance + 1e-16 * np.eye(len(day.factors)))
    of_industry = [name.startswith("industry") for name in day.factors]
    alpha = cost.ic * day.score * day.risk.specific * np.sqrt(5 / 252)
    rules = [
        w - day.held == buys - sells,
        cp.sum(w) + cost.buy * cp.sum(buys) + cost.sell * cp.sum(sells) == 1 - cost.buffer,
        cp.norm(cp.hstack([root.T @ y, cp.multiply(day.risk.specific, w - day.benchmark)])) <= te,
        cp.abs(y[[name in day.styles for name in day.factors]]) <= style,
        cp.abs(y[of_industry]) <= industry,
        day.member @ w >= share,
        w <= np.maximum(day.benchmark + active, day.held),
        w >= np.minimum(np.maximum(day.benchmark - active, 0), day.held),
    ]
    rules += [cp.sum(buys) + cp.sum(sells) <= delta] if two_sided else [cp.sum(buys) <= delta, cp.sum(sells) <= delta]
    if (~day.tradable).any():
        rules.append(w[~day.tradable] == day.held[~day.tradable])
    if (~day.may_buy).any():
        rules.append(w[~day.may_buy] <= day.held[~day.may_buy])
    gain = alpha @ w - cost.buy * cp.sum(buys) - cost.sell * cp.sum(sells)
    problem = cp.Problem(cp.Maximize(gain), rules)
    tight = {f"tol_{name}": 1e-11 for name in ("gap_abs", "gap_rel", "feas")}
    try:
        problem.solve(cp.CLARABEL, **tight)
    except cp.SolverError:
        reject()  # at the edge of what is feasible the oracle finds neither an answer nor a contradiction
    return (problem.value, w.value) if problem.status in ("optimal", "optimal_inaccurate") else None


@st.composite
def days(draw) -> Day:
    seed, n = draw(st.integers(0, 10_000)), draw(st.integers(12, 60))
    random = np.random.default_rng(seed)
    tradable = random.random(n) > draw(st.sampled_from([0.0, 0.1]))
    may_buy = tradable & (random.random(n) > draw(st.sampled_from([0.0, 0.2])))
    return random_day(seed, n, tradable=tradable, may_buy=may_buy)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    day=days(),
    te=st.sampled_from([0.01, 0.03, 0.05, 0.2]),
    style=st.sampled_from([0.1, 0.5]),
    industry=st.sampled_from([0.02, 0.1]),
    share=st.sampled_from([0.5, 0.9]),
    active=st.sampled_from([0.02, 0.2]),
    delta=st.sampled_from([0.05, 0.2, 0.6]),
    two_sided=st.booleans(),
)
def test_the_objective_is_that_of_an_independent_formulation(day, two_sided, **limits):
    expected = by_cvxpy(day, **limits, two_sided=two_sided)
    constraints = constraints_of(**limits, two_sided=two_sided)
    if expected is None:
        with pytest.raises(InfeasibleError):
            solve(day, constraints, OBJECTIVE, relax=[])
        return
    found = solve(day, constraints, OBJECTIVE, relax=[])
    assert found.objective == pytest.approx(expected[0], abs=1e-7)
    assert found.relaxed == ()
    assert_kept(day, found, two_sided=two_sided, **limits)


def assert_kept(day: Day, found, te, style, industry, share, active, delta, two_sided=False, within=1e-6) -> None:
    w, cost = found.weights, OBJECTIVE
    y = day.active_exposures(w)
    styles, industries = (np.array([name.startswith(s) for name in day.factors]) for s in (day.styles, "industry"))
    assert (w >= 0).all()
    assert w.sum() + cost.buy * found.buys.sum() + cost.sell * found.sells.sum() <= 1 - cost.buffer + within
    assert found.tracking_error <= te + within
    assert np.abs(y[styles]).max() <= style + within
    assert np.abs(y[industries]).max() <= industry + within
    assert w[day.member].sum() >= share - within
    assert (w <= np.maximum(day.benchmark + active, day.held) + within).all()
    assert (w >= np.minimum(np.maximum(day.benchmark - active, 0), day.held) - within).all()
    traded = found.buys.sum() + found.sells.sum() if two_sided else max(found.buys.sum(), found.sells.sum())
    assert traded <= delta + within
    assert (w[~day.tradable] == day.held[~day.tradable]).all()
    assert (w[~day.may_buy] <= day.held[~day.may_buy]).all()
    np.testing.assert_allclose(day.held + found.buys - found.sells, w, atol=1e-15)


def test_the_linear_solver_prints_nothing():
    code = "from qlib_ext.portfolio.solvers import QuietHighs; QuietHighs()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == ""


@pytest.mark.parametrize(("te", "status"), [(0.3, "lp"), (0.02, "socp")])
def test_the_cone_is_asked_only_where_the_linear_optimum_misses_it(te, status):
    assert solve(random_day(3), constraints_of(**LIMITS | {"te": te}), OBJECTIVE).status == status


@pytest.mark.parametrize("te", [0.02, 0.3])
def test_a_shadow_price_is_what_the_objective_gains_from_a_wider_bound(te):
    day, limits = random_day(5), LIMITS | {"te": te, "style": 0.05, "industry": 0.02, "delta": 0.1}
    found, step = solve(day, constraints_of(**limits), OBJECTIVE, relax=[]), 1e-3
    block_of = {"te": "tracking_error", "style": "styles", "industry": "industries", "delta": "turnover"}
    assert sum(found.shadow_prices[block] > 1e-6 for block in block_of.values()) >= 2
    for name, block in block_of.items():
        wider = solve(day, constraints_of(**limits | {name: limits[name] * (1 + step)}), OBJECTIVE, relax=[])
        assert (wider.objective - found.objective) / step == pytest.approx(
            found.shadow_prices[block], rel=0.05, abs=1e-6
        )


def test_what_does_not_trade_keeps_its_weight_and_new_stocks_are_not_bought():
    day = random_day(7)
    suspended, new = np.arange(40) % 5 == 0, np.arange(40) % 7 == 0
    day = replace(day, tradable=~suspended, may_buy=~suspended & ~new)
    found = solve(day, constraints_of(**LIMITS), OBJECTIVE, relax=[])
    assert (found.weights[suspended] == day.held[suspended]).all()
    assert (found.buys[new] == 0).all()
    assert found.buys.sum() > 0.01


def test_the_first_day_buys_the_whole_portfolio():
    day = random_day(8, held=np.zeros(40))
    found = solve(day, constraints_of(**LIMITS), OBJECTIVE, relax=[])
    assert_kept(day, found, **LIMITS | {"delta": 1.0})
    assert found.weights.sum() == pytest.approx(0.997 / 1.001, abs=1e-6)


def test_at_the_edge_of_what_is_feasible_a_looser_answer_is_taken_and_named():
    """Of the least tracking error that the others allow Clarabel mostly finds nothing to 1e-8, not even that."""
    limits, found = LIMITS | {"delta": 0.05}, []
    for seed in range(8):
        day = random_day(seed)
        tight = program_of(day, constraints_of(**limits | {"te": 1e-3}), OBJECTIVE)
        least = 1e-3 * (1 + least_slack(tight, ["tracking_error"]).slack)
        found.append(solve(day, constraints_of(**limits | {"te": least}), OBJECTIVE))
        assert found[-1].tracking_error == pytest.approx(least, rel=1e-3)
        assert solve(day, constraints_of(**limits | {"te": 1.01 * least}), OBJECTIVE).status == "socp"
    assert sum(each.status == "socp_loose" for each in found) >= 4

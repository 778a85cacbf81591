"""Seconds to decide a week's portfolio, beside cvxpy and Qlib's own optimiser. Prints a table of seconds and ratios.

The days are random: 10 styles, 31 industries, an index of 500 stocks, what was held drifted for a week from an optimum.
LP: the tracking error does not bind; SOCP: it does. cvxpy has the same constraints, as constants, compiled each week,
and as parameters (DPP), compiled once, where memory allows; both solve with Clarabel. Qlib's optimiser asks for ECOS,
which cvxpy no longer installs, and then returns what was held: here Clarabel stands in for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pandas as pd
from qlib.contrib.strategy.optimizer import EnhancedIndexingOptimizer

from benchmarks.measure import in_fresh_process, machine, peak_bytes, table, target, timed, times
from qlib_ext.portfolio.constraints import ActiveWeight, Industries, Members, Styles, TrackingError, Turnover
from qlib_ext.portfolio.day import Day
from qlib_ext.portfolio.objective import Objective
from qlib_ext.portfolio.solve import solve
from qlib_ext.risk.bias import FactorRisk

SIZES = (300, 1000, 3000, 5000)
INDUSTRIES, STYLES, MEMBERS = 31, 10, 500
LOOSE, TIGHT = 0.5, 0.03  # tracking errors that do not bind, and that do
TARGETS = {3000: 0.35, 5000: 0.6}  # seconds
MOST_PARAMETERS = 1000  # stocks; DPP takes 13 GB for 3,000
ROUNDS = 5
HEADER = ("stocks", "LP", "SOCP", "cvxpy", "DPP, first", "DPP, again", "Qlib", "peak GB", "target, seconds")
OBJECTIVE = Objective()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    sizes = parser.parse_args().sizes
    print(machine(1), end="\n\n")
    rows = [in_fresh_process(row_of, size) for size in sizes]
    print(table(HEADER, rows))


def row_of(size: int) -> tuple[str, ...]:
    """A row of the table: ours in seconds, the others in seconds and as multiples of ours."""
    day = drifted(size)
    linear, conic = (seconds(lambda te=te: solve(day, constraints(te), OBJECTIVE)) for te in (LOOSE, TIGHT))
    peak = peak_bytes() / 1e9
    expected = solve(day, constraints(TIGHT), OBJECTIVE)
    assert (solve(day, constraints(LOOSE), OBJECTIVE).status, expected.status) == ("lp", "socp")
    problem = formulated(day)
    constants = seconds(lambda: formulated(day).solve(cp.CLARABEL), 3)
    problem.solve(cp.CLARABEL)
    assert abs(problem.value - expected.objective) < 1e-6, (problem.value, expected.objective)
    first, again = parametrised(day) if size <= MOST_PARAMETERS else (float("nan"), float("nan"))
    cp.ECOS = cp.CLARABEL
    optimiser = EnhancedIndexingOptimizer(lamb=1, delta=0.4, b_dev=0.01, f_dev=None, scale_return=False)
    alpha, risk = OBJECTIVE.alpha(day), day.risk
    own = seconds(
        lambda: optimiser(alpha, risk.exposures, risk.covariance, risk.specific**2, day.held, day.benchmark), 1
    )
    others = [
        f"{took:.2f} s, {times(took / conic)}" if np.isfinite(took) else "not run"
        for took in (constants, first, again, own)
    ]
    met = target(TARGETS.get(size), max(linear, conic), at_least=False)
    return f"{size:,}", f"{linear:.3f} s", f"{conic:.3f} s", *others, f"{peak:.2f}", met


def seconds(what: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median of some rounds."""
    return float(np.median([timed(what) for _ in range(rounds)]))


def constraints(te: float) -> list:
    return [TrackingError(te), Styles(0.5), Industries(0.02), Members(0.8), ActiveWeight(0.01), Turnover(one_sided=0.2)]


def drifted(size: int) -> Day:
    """A week after the optimum of another score was bought."""
    random = np.random.default_rng(size)
    day = random_day(size, random)
    found = solve(replace(day, held=np.zeros(size)), constraints(TIGHT), OBJECTIVE)
    held = np.where(found.weights > 1e-6, found.weights, 0.0) * (1 + 0.04 * random.standard_normal(size))
    score = 0.7 * day.score + 0.7 * random.standard_normal(size)
    return replace(day, held=0.997 * held / held.sum(), score=score)


def random_day(size: int, random: np.random.Generator) -> Day:
    """Stocks of which some make up an index, with styles and industries."""
    industry = random.integers(1, INDUSTRIES + 1, size)
    dummies = (industry[:, None] == np.arange(1, INDUSTRIES + 1)).astype(float)
    x = np.column_stack([np.ones(size), dummies, random.standard_normal((size, STYLES))])
    styles = tuple(f"style_{place}" for place in range(STYLES))
    factors = ("market", *(f"industry_{code}" for code in range(1, INDUSTRIES + 1)), *styles)
    deviation = np.array([0.2, *([0.08] * INDUSTRIES), *([0.04] * STYLES)])
    returns = random.standard_normal((len(factors), 252)) * deviation[:, None]
    member = np.arange(size) < min(MEMBERS, size // 2)
    weight = np.where(member, random.lognormal(0, 0.6, size), 0.0)
    every = np.ones(size, dtype=bool)
    return Day(
        day=pd.Timestamp("2020-01-03"),
        stocks=tuple(f"SH{600000 + place}" for place in range(size)),
        held=np.zeros(size),
        benchmark=weight / weight.sum(),
        score=random.standard_normal(size),
        risk=FactorRisk(x, returns @ returns.T / 252, random.uniform(0.2, 0.5, size)),
        factors=factors,
        styles=styles,
        industry=industry,
        member=member,
        tradable=every,
        may_buy=every,
    )


def formulated(day: Day, te: float = TIGHT) -> cp.Problem:
    """The same problem in cvxpy, with the day's numbers as constants."""
    return problem_of(
        day, day.risk.exposures, day.root, day.risk.specific, OBJECTIVE.alpha(day), day.held, day.benchmark, te
    )


def parametrised(day: Day) -> tuple[float, float]:
    """Seconds of the first solve of the problem with parameters, which compiles it, and of the next."""
    values = [day.risk.exposures, day.root, day.risk.specific, OBJECTIVE.alpha(day), day.held, day.benchmark]
    parameters = [cp.Parameter(value.shape, value=value) for value in values]
    problem = problem_of(day, *parameters, TIGHT)
    return timed(problem.solve, cp.CLARABEL), timed(problem.solve, cp.CLARABEL)


def problem_of(day, x, root, specific, alpha, held, benchmark, te) -> cp.Problem:
    n, cost = len(day.stocks), OBJECTIVE
    w, buys, sells = (cp.Variable(n, nonneg=True) for _ in range(3))
    active, y = cp.Variable(n), cp.Variable(len(day.factors))
    styles = [name in day.styles for name in day.factors]
    industries = [name.startswith("industry") for name in day.factors]
    limit = 0.01
    # the bounds of the holdings are numbers of the week, as max of parameters is no DPP
    high, low = np.maximum(day.benchmark + limit, day.held), np.minimum(np.maximum(day.benchmark - limit, 0), day.held)
    rules = [
        active == w - benchmark,
        y == x.T @ active,
        w - held == buys - sells,
        cp.sum(w) + cost.buy * cp.sum(buys) + cost.sell * cp.sum(sells) == 1 - cost.buffer,
        cp.norm(cp.hstack([root.T @ y, cp.multiply(specific, active)])) <= te,
        cp.abs(y[styles]) <= 0.5,
        cp.abs(y[industries]) <= 0.02,
        day.member @ w >= 0.8,
        w <= high,
        w >= low,
        cp.sum(buys) <= 0.2,
        cp.sum(sells) <= 0.2,
    ]
    return cp.Problem(cp.Maximize(alpha @ w - cost.buy * cp.sum(buys) - cost.sell * cp.sum(sells)), rules)


if __name__ == "__main__":
    main()

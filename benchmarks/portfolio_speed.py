"""Seconds to decide a week's portfolio, beside cvxpy and Qlib's own optimiser. Prints a table of seconds and ratios.

The days are random: 10 styles, 31 industries, an index of 500 stocks, what was held drifted for a week from an optimum.
LP: the tracking error does not bind; SOCP: it does. cvxpy has the same constraints, as constants, compiled each week,
and as parameters (DPP), compiled once, where memory allows; both solve with Clarabel. Qlib's optimiser asks for ECOS,
which cvxpy no longer installs, and then returns what was held: here Clarabel stands in for it. skfolio, where it is
installed, has neither buys and sells of their own nor a limit of all that is traded: both solve the problem without
costs and turnover there, and come to the same objective.
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
MOST_STOCKS = 1000  # of DPP, which takes 13 GB for 3,000, and of skfolio, whose tracking error is one of dense returns
ROUNDS = 5
HEADER = ("stocks", "LP", "SOCP", "cvxpy", "DPP, first", "DPP, again", "Qlib", "skfolio", "peak GB", "target, seconds")
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
    first, again = parametrised(day) if size <= MOST_STOCKS else (float("nan"), float("nan"))
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
    others.append(beside_skfolio(day) if size <= MOST_STOCKS else "not run")
    met = target(TARGETS.get(size), max(linear, conic), at_least=False)
    return f"{size:,}", f"{linear:.3f} s", f"{conic:.3f} s", *others, f"{peak:.2f}", met


def beside_skfolio(day: Day) -> str:
    """Seconds of skfolio's MeanRisk, and how many times ours of the same problem."""
    try:
        from skfolio.optimization import MeanRisk, ObjectiveFunction
        from skfolio.prior import BasePrior, ReturnDistribution
    except ImportError:
        return "not installed"

    class Known(BasePrior):
        """Expected returns that are not estimated."""

        def __init__(self): ...

        def fit(self, X, y=None, **others):
            self.return_distribution_ = ReturnDistribution(mu=alpha, covariance=root.T @ root, returns=np.asarray(X))
            return self

    free, rules = Objective(buy=0, sell=0), constraints(TIGHT)[:-1]
    alpha, exposures = free.alpha(day), day.risk.exposures
    # returns whose deviation from the benchmark's is the tracking error that is foreseen
    root = np.vstack([(exposures @ day.root).T, np.diag(day.risk.specific)])
    returns = np.sqrt(len(root) - 1) * root
    left, right = linear_rules(day)
    model = MeanRisk(
        ObjectiveFunction.MAXIMIZE_RETURN,
        prior_estimator=Known(),
        min_weights=np.minimum(np.maximum(day.benchmark - 0.01, 0), day.held),
        max_weights=np.maximum(day.benchmark + 0.01, day.held),
        budget=1 - free.buffer,
        left_inequality=left,
        right_inequality=right,
        max_tracking_error=TIGHT,
    )
    took, ours = timed(model.fit, returns, returns @ day.benchmark), seconds(lambda: solve(day, rules, free))
    found, expected = float(alpha @ model.weights_), solve(day, rules, free).objective
    assert abs(found - expected) < 1e-7, (found, expected)
    return f"{took:.2f} s, {times(took / ours)}"


def linear_rules(day: Day) -> tuple[np.ndarray, np.ndarray]:
    """Styles, industries and members as ``left w <= right``."""
    exposures = day.risk.exposures.T
    index, left, right = exposures @ day.benchmark, [], []
    for place, name in enumerate(day.factors[1:], start=1):
        limit = 0.02 if name.startswith("industry") else 0.5
        left += [exposures[place], -exposures[place]]
        right += [index[place] + limit, limit - index[place]]
    return np.vstack([*left, -day.member.astype(float)]), np.array([*right, -0.8])


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

"""Where no portfolio keeps all constraints the blocks give way in the order asked for, by the least, and say so."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from qlib_ext.errors import InfeasibleError, SolverError
from qlib_ext.portfolio import solve as solving
from qlib_ext.portfolio import solvers
from qlib_ext.portfolio.constraints import ActiveWeight, Industries, Members, Styles, TrackingError, Turnover
from qlib_ext.portfolio.day import Day
from qlib_ext.portfolio.objective import Objective
from qlib_ext.portfolio.program import program_of
from qlib_ext.portfolio.setting import ORDER
from qlib_ext.portfolio.solve import solve
from tests.portfolio.days import random_day

OBJECTIVE = Objective()
RULES = [TrackingError(0.2), Styles(2.0), Members(0.8), ActiveWeight(0.5), Turnover(one_sided=0.1)]


def after_an_index_change(share_held: float = 0.6, **changes) -> Day:
    """A day on which members are 60 % of what is held."""
    day = random_day(1)
    held = np.where(day.member, share_held / 20, (0.997 - share_held) / 20)
    return random_day(1, held=held, **changes)


def test_turnover_gives_way_by_what_the_members_need():
    found = solve(after_an_index_change(), RULES, OBJECTIVE, relax=["turnover", "members"])
    (relaxed,) = found.relaxed
    assert (relaxed.block, relaxed.asked) == ("turnover", pytest.approx(0.1))
    # 0.2 must be bought of members, and sold of others with the costs on top
    assert relaxed.granted == pytest.approx(0.2006, abs=5e-4)
    assert relaxed.row == "sells"
    assert 0 < relaxed.share < 1
    assert found.weights[:20].sum() == pytest.approx(0.8, abs=1e-6)
    assert found.sells.sum() <= relaxed.granted + 1e-6


def test_the_order_is_the_users():
    found = solve(after_an_index_change(), RULES, OBJECTIVE, relax=["members", "turnover"])
    (relaxed,) = found.relaxed
    assert (relaxed.block, relaxed.asked) == ("members", 0.8)
    assert relaxed.granted == pytest.approx(0.7, abs=2e-3)
    assert found.weights[:20].sum() >= relaxed.granted - 1e-6
    assert found.sells.sum() <= 0.1 + 1e-6


def test_the_second_gives_way_where_the_first_is_not_enough():
    tradable = np.arange(40) < 26  # of the others 14 are suspended, with 0.278 of the account
    day = after_an_index_change(tradable=tradable, may_buy=tradable)
    found = solve(day, RULES, OBJECTIVE, relax=["turnover", "members", "styles"])
    turnover, members = found.relaxed
    assert [turnover.block, members.block] == ["turnover", "members"]
    most = 0.997 - 0.397 * 14 / 20
    assert members.granted == pytest.approx(most, abs=2e-3)
    assert found.weights[:20].sum() >= members.granted - 1e-6
    assert (found.weights[26:] == day.held[26:]).all()


@pytest.mark.parametrize("te", [1e-4, 1e-2])
def test_the_cone_gives_way_to_the_least_tracking_error(te):
    tradable = np.arange(40) < 20
    day = random_day(1, held=np.full(40, 0.997 / 40), tradable=tradable, may_buy=tradable)
    found = solve(day, [TrackingError(te)], OBJECTIVE, relax=["tracking_error"])
    (relaxed,) = found.relaxed
    assert relaxed.asked == te
    assert found.tracking_error == pytest.approx(relaxed.granted, rel=1e-3)
    with pytest.raises(InfeasibleError):
        solve(day, [TrackingError(0.99 * relaxed.granted)], OBJECTIVE, relax=[])
    assert solve(day, [TrackingError(1.01 * relaxed.granted)], OBJECTIVE, relax=[]).relaxed == ()


def test_without_leave_the_clash_is_named():
    message = (
        r"on 2020-01-03: members asks for 0\.8, and the nearest that the others allow is 0\.69\d*\. The shares of the "
        r"contradiction are members \d+%.* turnover \d+%.*; relax names no block\."
    )
    with pytest.raises(InfeasibleError, match=message) as raised:
        solve(after_an_index_change(), RULES, OBJECTIVE, relax=[])
    assert raised.value.relaxed.granted == pytest.approx(0.7, abs=2e-3)
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (str(copy), copy.relaxed) == (str(raised.value), raised.value.relaxed)


@pytest.mark.parametrize(("seed", "delta"), [(3, 0.02), (10, 0.05), (11, 0.05)])
def test_a_contradiction_of_which_clarabel_has_no_proof_is_one(seed, delta):
    """Of these, with a small tracking error, Clarabel 0.11 ends with a numerical error."""
    day = random_day(seed, 150)
    rules = [
        TrackingError(0.003),
        Styles(0.5),
        Industries(0.05),
        Members(0.8),
        ActiveWeight(0.5),
        Turnover(one_sided=delta),
    ]
    found = solve(day, rules, OBJECTIVE, relax=["tracking_error"])
    (relaxed,) = found.relaxed
    assert 0 < relaxed.share < 1
    assert found.tracking_error == pytest.approx(relaxed.granted, rel=1e-3)
    with pytest.raises(InfeasibleError, match=r"tracking_error \d+%"):
        solve(day, [TrackingError(0.99 * relaxed.granted), *rules[1:]], OBJECTIVE)


def test_shares_of_a_contradiction_are_those_of_a_proof():
    """The dual of the least widening is a certificate: whoever keeps the bounds would have to be below 0."""
    program = program_of(after_an_index_change(), RULES, OBJECTIVE)
    found = solvers._proof(program, solvers.soft_names(program))
    direct = solvers.contradiction_of(program)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert {"members", "turnover"} <= {name for name, share in found.shares.items() if share > 0.05}
    assert {"members", "turnover"} <= {name for name, share in direct.shares.items() if share > 0.05}
    kept = program_of(after_an_index_change(), RULES[:3], OBJECTIVE)
    assert solvers._proof(kept, solvers.soft_names(kept)) is None


def test_what_cannot_be_traded_never_gives_way():
    stuck = np.zeros(40, dtype=bool)
    day = after_an_index_change(tradable=stuck, may_buy=stuck)
    with pytest.raises(InfeasibleError, match="whatever gives way"):
        solve(random_day(1, held=0.5 * day.held, tradable=stuck, may_buy=stuck), RULES, OBJECTIVE, relax=ORDER)


def test_a_failure_of_the_solver_is_another_error(monkeypatch):
    monkeypatch.setattr("qlib_ext.portfolio.solvers.MOST_STEPS", 2)
    with pytest.raises(SolverError, match="Clarabel ended with MaxIterations on 2020-01-03"):
        solving.solve(random_day(3), [TrackingError(0.02)], OBJECTIVE)


def test_where_clarabel_has_no_certificate_for_what_highs_refuses_the_shares_are_not_known(monkeypatch):
    """As on 2020-07-03 with CSI500 and a turnover of .1: the blocks give way all the same."""
    known = solve(after_an_index_change(), RULES, OBJECTIVE, relax=["turnover"])

    def fails(program):
        raise SolverError("NumericalError")

    monkeypatch.setattr(solvers, "conic_optimum", fails)
    found = solve(after_an_index_change(), RULES, OBJECTIVE, relax=["turnover"])
    (relaxed,) = found.relaxed
    assert np.isnan(relaxed.share)
    assert relaxed.granted == pytest.approx(known.relaxed[0].granted, abs=1e-9)
    np.testing.assert_allclose(found.weights, known.weights, atol=1e-9)
    with pytest.raises(InfeasibleError, match="contradiction are not known"):
        solve(after_an_index_change(), RULES, OBJECTIVE)

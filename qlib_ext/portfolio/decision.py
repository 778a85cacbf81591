"""A decision: what is known at a close, solved, and rounded to orders; and tables of many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import DataError
from qlib_ext.portfolio.attribution import risk_shares
from qlib_ext.portfolio.boards import Boards
from qlib_ext.portfolio.day import Vector
from qlib_ext.portfolio.days import Days
from qlib_ext.portfolio.foresight import outcome_of, scale_of
from qlib_ext.portfolio.orders import LEAST_WEIGHT, in_order, traded_shares
from qlib_ext.portfolio.setting import Setting
from qlib_ext.portfolio.solution import Solution
from qlib_ext.portfolio.solve import solve


@dataclass(frozen=True)
class Decision:
    """What was decided at the close of ``day`` for ``traded``, the trading day after it; n stocks.

    value           of the account at the close; held: weights then [n]
    shares          [n] what is bought, or sold where below 0; order: places of the orders, in which they are given
    active          [n] w - b of what was decided; exposures: its y = X'(w - b) [factors]; risk: the factors' and the
                    specific share of its tracking error
    member_share    of the decided weights
    before          what became until this close of the decision before, see ``outcome_of``; NaN for the first
    te_scale        by which a tracking error that asks for it was divided, see ``scale_of``
    """

    day: pd.Timestamp
    traded: pd.Timestamp
    stocks: tuple[str, ...]
    value: float
    held: Vector
    shares: Vector
    order: NDArray[np.int_]
    solution: Solution
    active: Vector
    exposures: pd.Series
    risk: pd.Series
    member_share: float
    before: float
    te_scale: float


@dataclass(frozen=True)
class Lots:
    """The boards whose lots amounts are multiples of, and the lot of a stock of no board."""

    boards: Boards
    unit: float

    def of(self, stocks: Sequence[str]) -> Vector:
        """[stocks] shares as traded."""
        lots = self.boards.lots(stocks)
        return np.where(np.isnan(lots), self.unit, lots)


def decide(
    days: Days,
    setting: Setting,
    day: pd.Timestamp,
    traded: pd.Timestamp,
    score: pd.Series,
    held: pd.Series,
    value: float,
    lots: Lots | None,
    past: Sequence[Decision] = (),
) -> Decision:
    """Decide at the close of a day from that day's score.

    held     weights of the account by stock; value: of the account, yuan; lots: None for any amount
    past     the account's decisions before, the oldest first

    Raises what ``Days.at``, ``solve`` and ``traded_shares`` raise.
    """
    known = days.at(day, score, held)
    before, scale = _foresight(days, past, known.day)
    known = replace(known, te_scale=scale)
    found = solve(known, setting.constraints, setting.objective, setting.relax)
    price = days.closes(day, known.stocks)
    lot = None if lots is None else lots.of(known.stocks) / days.factors(day, known.stocks)
    shares = traded_shares(known, found.weights, value, price, lot)
    return Decision(
        known.day,
        traded,
        known.stocks,
        value,
        known.held,
        shares,
        in_order(shares, price),
        found,
        found.weights - known.benchmark,
        pd.Series(known.active_exposures(found.weights), list(known.factors)),
        risk_shares(known, found.weights),
        float(found.weights[known.member].sum()),
        before,
        scale,
    )


def _foresight(days: Days, past: Sequence[Decision], day: pd.Timestamp) -> tuple[float, float]:
    """The outcome of the last decision at the close of a day, and the scale of those of the year before."""
    if not past:
        return float("nan"), 1.0
    last = past[-1]
    outcome = outcome_of(days, last.active, last.stocks, last.solution.tracking_error, last.day, day)
    outcomes = [*(each.before for each in past[1:]), outcome]
    return outcome, scale_of(outcomes, [each.day for each in past], day)


def no_score(missing: Sequence[pd.Timestamp], traded: pd.Timestamp) -> DataError:
    """The error for days of decision that have no score, the first of them for the trading day ``traded``."""
    return DataError(
        f"There is no score on {len(missing)} days of decision, first {missing[0]:%Y-%m-%d}, for {traded:%Y-%m-%d}; "
        "score every day of the backtest and the day before it."
    )


def decision_tables(decisions: Sequence[Decision]) -> dict[str, pd.DataFrame]:
    """Tables of decisions by the day on which they were traded.

    decisions      day, tracking_error (of a year, foreseen), te_scale, transfer_coefficient, buys, sells (one-sided,
                   fractions of the account), names, member_share, objective, status, relaxed (how many blocks gave way)
    exposures      [decisions, factors]; risk: [decisions, factors and specific]; NaN for a factor that is none yet
    shadow_prices  [decisions, blocks], of a period
    relaxed        a row each, "day block": asked, granted, share
    """
    traded = pd.DatetimeIndex([each.traded for each in decisions], name="datetime")
    rows = [
        {
            "day": each.day,
            "tracking_error": each.solution.tracking_error,
            "te_scale": each.te_scale,
            "transfer_coefficient": each.solution.transfer_coefficient,
            "buys": float(each.solution.buys.sum()),
            "sells": float(each.solution.sells.sum()),
            "names": int((each.solution.weights > LEAST_WEIGHT).sum()),
            "member_share": each.member_share,
            "objective": each.solution.objective,
            "status": each.solution.status,
            "relaxed": len(each.solution.relaxed),
        }
        for each in decisions
    ]
    relaxed = {
        f"{each.traded:%Y-%m-%d} {block.block}": {
            "asked": block.asked,
            "granted": block.granted,
            "share": block.share,
        }
        for each in decisions
        for block in each.solution.relaxed
    }
    return {
        "decisions": pd.DataFrame(rows, traded),
        "exposures": pd.DataFrame([each.exposures for each in decisions]).set_axis(traded),
        "risk": pd.DataFrame([each.risk for each in decisions]).set_axis(traded),
        "shadow_prices": pd.DataFrame([each.solution.shadow_prices for each in decisions], traded),
        "relaxed": pd.DataFrame.from_dict(relaxed, "index", columns=["asked", "granted", "share"]),
    }

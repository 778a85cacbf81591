"""Was the risk of what was decided foreseen? By how much to tighten the tracking error where it was not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qlib_ext.portfolio.day import Vector
from qlib_ext.portfolio.days import Days
from qlib_ext.provider.calendar import DAYS_PER_YEAR

WINDOW = pd.Timedelta(weeks=52)
LEAST_OUTCOMES = 12  # of fewer a deviation says little
NARROWEST, WIDEST = 0.8, 1.6  # of the scale


def outcome_of(
    days: Days, active: Vector, stocks: Sequence[str], foreseen: float, decided: pd.Timestamp, day: pd.Timestamp
) -> float:
    """What became of active weights from one close to a later one, in units of the risk that was foreseen for them.

    ``d'r / (TE sqrt(h / 252))``, r the returns of the h trading days between, of a suspended stock to its last close.
    Its standard deviation over many decisions is 1 where the risk was foreseen well. NaN without an active weight.

    active     d [n] of the n stocks; foreseen: TE, of a year
    decided    the day at whose close they were decided; day: the later one
    """
    concerned = np.flatnonzero(active)
    if not len(concerned) or not foreseen > 0:
        return float("nan")
    names = [stocks[int(place)] for place in concerned]
    returns = np.nan_to_num(days.last_closes(day, names) / days.last_closes(decided, names) - 1)
    length = days.days_between(decided, day)
    return float(active[concerned] @ returns) / (foreseen * np.sqrt(length / DAYS_PER_YEAR))


def scale_of(outcomes: Sequence[float], since: Sequence[pd.Timestamp], day: pd.Timestamp) -> float:
    """B, the standard deviation of the outcomes of the 52 weeks to a day, within .8 and 1.6; 1 for fewer than 12.

    since   the day on which each outcome's decision was taken
    """
    known = [
        outcome for outcome, begun in zip(outcomes, since, strict=True) if begun >= day - WINDOW and outcome == outcome
    ]
    if len(known) < LEAST_OUTCOMES:
        return 1.0
    return float(np.clip(np.std(known, ddof=1), NARROWEST, WIDEST))

"""How far the portfolio may stray from its index."""

from __future__ import annotations

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_types
from qlib_ext.portfolio.block import Cone, Constraint
from qlib_ext.portfolio.day import Day


class TrackingError(Constraint):
    """``sqrt((w - b)' V (w - b)) <= limit``, or ``limit / te_scale``.

    limit      of a year, 0.05 for 5 %; above 0, as only the index itself has none
    te_scale   whether the limit is divided by B of the account's own 52 weeks before, the realised over the foreseen
               risk, within .8 and 1.6, so that the limit is nearer to what comes; see ``qlib_ext.portfolio.foresight``
    """

    name = "tracking_error"

    def __init__(self, limit: float, te_scale: bool = False) -> None:
        check_types(TrackingError.__init__, locals())
        if not 0 < limit <= 1:
            raise ConfigError(f"limit of TrackingError, TE of a workflow, is above 0 and at most 1, not {limit}.")
        self.limit, self.te_scale = limit, te_scale

    def blocks(self, day: Day) -> list[Cone]:
        return [Cone(self.name, self.limit / day.te_scale if self.te_scale else self.limit)]

"""How far the portfolio may stray from its index."""

from __future__ import annotations

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_types
from qlib_ext.portfolio.block import Cone, Constraint
from qlib_ext.portfolio.day import Day


class TrackingError(Constraint):
    """``sqrt((w - b)' V (w - b)) <= limit``.

    limit   of a year, 0.05 for 5 %; above 0, as only the index itself has none
    """

    name = "tracking_error"

    def __init__(self, limit: float) -> None:
        check_types(TrackingError.__init__, locals())
        if not 0 < limit <= 1:
            raise ConfigError(f"limit of TrackingError is above 0 and at most 1, not {limit}.")
        self.limit = limit

    def blocks(self, day: Day) -> list[Cone]:
        return [Cone(self.name, self.limit)]

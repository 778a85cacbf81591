"""How much of the portfolio may be traded."""

from __future__ import annotations

import numpy as np

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_types
from qlib_ext.portfolio.block import Block, Constraint
from qlib_ext.portfolio.day import Day


class Turnover(Constraint):
    """``sum buys <= one_sided`` and ``sum sells <= one_sided``, or ``sum buys + sum sells <= two_sided``.

    one_sided, two_sided   fractions of the account, above 0; one of the two

    Without holdings, on the first day, there is no turnover to speak of, and no limit.
    """

    name = "turnover"

    def __init__(self, one_sided: float | None = None, two_sided: float | None = None) -> None:
        check_types(Turnover.__init__, locals())
        if (one_sided is None) == (two_sided is None):
            raise ConfigError("Turnover takes one limit, one_sided or two_sided.")
        self.one_sided, self.two_sided = one_sided, two_sided
        self.limit = float(one_sided or two_sided or 0)
        if not self.limit > 0:
            raise ConfigError(
                f"The limit of Turnover, DELTA of a workflow, is above 0, not {self.limit:g}: "
                "nothing could ever be traded."
            )

    def blocks(self, day: Day) -> list[Block]:
        if not day.held.any():
            return []
        one, zero = np.ones(len(day.stocks)), np.zeros(len(day.stocks))
        if self.one_sided is None:
            return [Block(self.name, buys=one, sells=one, high=self.limit)]
        buys, sells = np.stack([one, zero]), np.stack([zero, one])
        return [Block(self.name, buys=buys, sells=sells, high=self.limit, labels=("buys", "sells"))]

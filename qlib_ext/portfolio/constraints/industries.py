"""How far the portfolio's industries may be from those of its index."""

from __future__ import annotations

import numpy as np

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_types
from qlib_ext.portfolio.block import Block, Constraint
from qlib_ext.portfolio.day import Day
from qlib_ext.risk.days import INDUSTRY


class Industries(Constraint):
    """``|sum over an industry's stocks of w - b| <= limit``, for each industry of the day.

    limit   a weight, 0.02 for 2 %
    """

    name = "industries"

    def __init__(self, limit: float) -> None:
        check_types(Industries.__init__, locals())
        if not 0 <= limit <= 1:
            raise ConfigError(f"limit of Industries is from 0 to 1, not {limit}.")
        self.limit = limit

    def blocks(self, day: Day) -> list[Block]:
        names = [name for name in day.factors if name.startswith(INDUSTRY)]
        if not names:
            raise ConfigError(
                f"No factor of {day.day:%Y-%m-%d} is an industry, which Industries needs; give the risk model one."
            )
        columns = np.eye(len(day.factors))[[day.factors.index(name) for name in names]]  # [industries, k]
        return [Block(self.name, y=columns, low=-self.limit, high=self.limit, labels=tuple(names))]

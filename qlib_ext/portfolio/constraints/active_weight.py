"""How far a stock's weight may be from its weight in the index."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_types
from qlib_ext.portfolio.block import Block, Constraint
from qlib_ext.portfolio.day import Day


class ActiveWeight(Constraint):
    """``|w_i - b_i| <= limit``, widened to the weight held, so that what drifted out need not be traded back at once.

    limit   a weight, 0.01 for 1 %
    """

    name = "active_weight"

    def __init__(self, limit: float) -> None:
        check_types(ActiveWeight.__init__, locals())
        if not 0 < limit <= 1:
            raise ConfigError(f"limit of ActiveWeight is above 0 and at most 1, not {limit}.")
        self.limit = limit

    def blocks(self, day: Day) -> list[Block]:
        low = np.minimum(day.benchmark - self.limit, day.held)
        low = np.where(low > 0, low, -np.inf)  # long positions are never below 0, at no price of this constraint
        high = np.maximum(day.benchmark + self.limit, day.held)
        each = sp.eye_array(len(day.stocks))
        return [Block(self.name, w=each, low=low, high=high, labels=day.stocks, unit=self.limit)]

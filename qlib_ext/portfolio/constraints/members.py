"""How much of the portfolio is to be in the index."""

from __future__ import annotations

import numpy as np

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_types
from qlib_ext.portfolio.block import Block, Constraint
from qlib_ext.portfolio.day import Day


class Members(Constraint):
    """``sum over members of w >= share``, a fraction of the account; of a share of 1, nothing else is held but cash.

    share   from 0, which asks for none, to 1
    """

    name = "members"

    def __init__(self, share: float) -> None:
        check_types(Members.__init__, locals())
        if not 0 <= share <= 1:
            raise ConfigError(f"share of Members, CPCT of a workflow, is from 0 to 1, not {share}.")
        self.share = share

    def blocks(self, day: Day) -> list[Block]:
        if self.share == 0:
            return []
        if self.share == 1:
            return [Block(self.name, w=np.where(day.member, 0.0, 1.0), high=0.0)]
        return [Block(self.name, w=day.member.astype(float), low=self.share)]

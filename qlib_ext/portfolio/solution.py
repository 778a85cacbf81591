"""What a solve says: the weights, what was traded for them, what was relaxed and what each constraint cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Status = Literal["lp", "socp", "socp_loose"]


@dataclass(frozen=True)
class Relaxed:
    """A block that could not be kept on a day.

    row      the label of the row that misses its bound the most, empty where a block has no labels
    asked    that row's bound; granted: what became of it
    share    of the contradiction, by the solver's certificate: the shares of all blocks sum to 1; NaN where Clarabel
             failed to find one for what HiGHS says is a contradiction
    """

    day: pd.Timestamp
    block: str
    row: str
    asked: float
    granted: float
    share: float

    @property
    def name(self) -> str:
        """The block, and the row where it has a label."""
        return f"{self.block} ({self.row})" if self.row else self.block


@dataclass(frozen=True)
class Solution:
    """The answer for a day; n stocks in the day's order, weights as fractions of the account.

    buys, sells            [n], not below 0: weights = held + buys - sells
    relaxed                what was given up, empty in most weeks
    shadow_prices          block -> by how much the objective rises where the block's bounds widen by their own size,
                           of a rebalancing period: dual times bound, 0 for a block that does not bind
    tracking_error         of a year, as foreseen
    transfer_coefficient   see ``Day.transfer_coefficient``
    objective              ``alpha'w - c_b buys - c_s sells``
    status                 "lp" where the optimum without the cone keeps it, else "socp"; "socp_loose" where Clarabel
                           found it to 1e-6 alone, and not to 1e-8
    """

    weights: Vector
    buys: Vector
    sells: Vector
    tracking_error: float
    transfer_coefficient: float
    objective: float
    status: Status
    shadow_prices: dict[str, float] = field(default_factory=dict)
    relaxed: tuple[Relaxed, ...] = ()

"""What a portfolio is to make the most of: the return that the score promises, less the costs of getting there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_types
from qlib_ext.portfolio.day import Day, Vector
from qlib_ext.provider.calendar import DAYS_PER_YEAR


@dataclass(frozen=True)
class Objective:
    """``alpha'w - c_b buys - c_s sells``, with ``alpha_i = IC z_i s_i``.

    ic             the information coefficient that the score is expected to have
    buy, sell      costs, as fractions of what is traded
    buffer         the fraction of the account that stays cash
    horizon_days   trading days of a rebalancing period, of which alpha is the return

    z is the score and s the specific risk of the horizon. Source: Grinold and Kahn, Active Portfolio Management,
    chapter 10. Raises ConfigError for what is out of range.
    """

    ic: float = 0.05
    buy: float = 0.001
    sell: float = 0.002
    buffer: float = 0.003
    horizon_days: int = 5

    def __post_init__(self) -> None:
        check_types(Objective, vars(self))
        for name, low, high in (("ic", 0, 1), ("buy", 0, 0.1), ("sell", 0, 0.1), ("buffer", 0, 0.5)):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} of the objective is from {low} to {high}, not {getattr(self, name)}.")
        if self.horizon_days < 1:
            raise ConfigError(f"horizon_days of the objective is at least 1, not {self.horizon_days}.")

    def alpha(self, day: Day) -> Vector:
        """The return of the horizon that is expected of each stock beyond its factors [n]."""
        return self.ic * day.score * day.risk.specific * np.sqrt(self.horizon_days / DAYS_PER_YEAR)

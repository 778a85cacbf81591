"""How far the portfolio's styles may be from those of its index."""

from __future__ import annotations

import numpy as np

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_type, refuse_unknown
from qlib_ext.portfolio.block import Block, Constraint
from qlib_ext.portfolio.day import Day


class Styles(Constraint):
    """``|y_style| <= limit``: y = X'(w - b), in standard deviations across stocks.

    limit     of all styles, or of those without a limit of their own; None: the others are free
    by_name   limits by style: size=0.2

    Raises ConfigError for a name that the day's risk model does not have.
    """

    name = "styles"

    def __init__(self, limit: float | None = None, **by_name: float) -> None:
        limits = by_name | ({} if limit is None else {"limit": limit})
        if not limits:
            raise ConfigError("Styles has no limit; give limit for all of them, or limits by name, such as size: 0.2.")
        for name, value in limits.items():
            check_type(name, value, float)
            if value < 0:
                raise ConfigError(f"{name} of Styles is not below 0, and it is {value}.")
        self.limit, self.by_name = limit, by_name

    def blocks(self, day: Day) -> list[Block]:
        refuse_unknown(self.by_name, day.styles, f"On {day.day:%Y-%m-%d} Styles")
        names = [name for name in day.styles if name in self.by_name or self.limit is not None]
        bounds = np.array([self.by_name.get(name, self.limit) for name in names], dtype=float)
        columns = np.eye(len(day.factors))[[day.factors.index(name) for name in names]]  # [styles, k]
        return [Block(self.name, y=columns, low=-bounds, high=bounds, labels=tuple(names))] if names else []

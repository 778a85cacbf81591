"""Days of random stocks, for tests of what is decided on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from qlib_ext.portfolio.day import Day
from qlib_ext.risk.bias import FactorRisk

INDUSTRIES, STYLES = 4, ("size", "beta", "momentum")


def random_day(seed: int = 0, n: int = 40, **changes: Any) -> Day:
    """A day of n stocks, half of them members, holdings near the index; ``changes`` are fields of the day."""
    random = np.random.default_rng(seed)
    industry = random.integers(1, INDUSTRIES + 1, n)
    dummies = (industry[:, None] == np.arange(1, INDUSTRIES + 1)).astype(float)
    x = np.column_stack([np.ones(n), dummies, random.standard_normal((n, len(STYLES)))])
    factors = ("market", *(f"industry_{code}" for code in range(1, INDUSTRIES + 1)), *STYLES)
    deviation = np.array([0.2, *([0.08] * INDUSTRIES), 0.06, 0.08, 0.05])
    mixed = random.standard_normal((len(factors), 60)) * deviation[:, None]
    member = np.arange(n) < n // 2
    weight = np.where(member, random.uniform(0.5, 2.0, n), 0.0)
    score = random.standard_normal(n)
    held = np.maximum(weight / weight.sum() + 0.3 / n * random.standard_normal(n), 0)
    given = {
        "day": pd.Timestamp("2020-01-03"),
        "stocks": tuple(f"SH{600000 + place}" for place in range(n)),
        "held": 0.997 * held / held.sum(),
        "benchmark": weight / weight.sum(),
        "score": (score - score.mean()) / score.std(ddof=1),
        "risk": FactorRisk(x, mixed @ mixed.T / 60, random.uniform(0.2, 0.5, n)),
        "factors": factors,
        "styles": STYLES,
        "industry": industry,
        "member": member,
        "tradable": np.ones(n, dtype=bool),
        "may_buy": np.ones(n, dtype=bool),
    }
    return replace(Day(**given), **changes)

"""Random matrices [days, stocks] with holes, for the tests of the analysis."""

from __future__ import annotations

import numpy as np
import pandas as pd


def random_frame(days=60, stocks=23, seed=0, holes=0.1, ties=False):
    """Standard normal numbers by day and stock, a share missing; with ties, of few different values."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 6, (days, stocks)).astype(float) if ties else random.standard_normal((days, stocks))
    values[random.random(values.shape) < holes] = np.nan
    columns = pd.Index([f"SH{600000 + i}" for i in range(stocks)], name="instrument")
    return pd.DataFrame(values, pd.bdate_range("2019-12-02", periods=days, name="datetime"), columns)


def random_prices(days=60, stocks=23, seed=1, holes=0.05):
    """Prices that drift apart; a suspended stock has none that day."""
    moves = random_frame(days, stocks, seed, holes=0.0)
    prices = 10 * np.exp(0.02 * moves.cumsum())
    return prices.mask(random_frame(days, stocks, seed + 1, holes=holes).isna())

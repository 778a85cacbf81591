"""The stocks that a risk model covers on a day, kept small enough that years of days stay in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from sys import intern

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from qlib_ext.risk.days import MARKET, industry_name
from qlib_ext.risk.files import styles_in
from qlib_ext.risk.regression import design
from qlib_ext.risk.styles import Panel


@dataclass(frozen=True)
class Covered:
    """The n covered stocks of a day and what makes their exposures at its close.

    stocks    [n] instruments; industry [n] codes; cap [n]
    styles    [n, styles] float32; names: of the styles
    """

    stocks: NDArray[np.object_]
    industry: NDArray[np.int32]
    cap: Panel
    styles: NDArray[np.float32]
    names: tuple[str, ...]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Covered:
        """Those of the rows of a day, as ``RiskFiles.stocks`` has them."""
        names, rows = styles_in(rows), rows.filter(pl.col("industry") > 0)
        return cls(
            np.array([intern(stock) for stock in rows["instrument"]], dtype=object),
            rows["industry"].to_numpy(),
            rows["cap"].to_numpy(),
            rows.select(names).to_numpy().astype(np.float32).reshape(len(rows), len(names)),
            tuple(names),
        )

    def __len__(self) -> int:
        return len(self.stocks)

    @property
    def index(self) -> pd.Index:
        """The instruments, for frames and series."""
        return pd.Index(self.stocks, dtype=object, name="instrument")

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """The industries, ascending."""
        return tuple(np.unique(self.industry).tolist())

    @property
    def factors(self) -> tuple[str, ...]:
        """The names of the columns of ``matrix``."""
        return (MARKET, *map(industry_name, self.codes), *self.names)

    def matrix(self, places: NDArray[np.int_] | slice = slice(None)) -> Panel:
        """X at the close: [stocks, factors] of all or some of them; market 1, industries 0 or 1, styles.

        Factor by factor in memory, as X'd sums over stocks.
        """
        return np.asfortranarray(
            design(self.industry[places].astype(int), self.codes, self.styles[places].astype(np.float64))
        )

    def places_of(self, stocks: Sequence[str] | NDArray[np.object_]) -> NDArray[np.int_]:
        """Where each of some stocks stands, -1 for one that is not covered."""
        return np.asarray(self.index.get_indexer(pd.Index(stocks, dtype=object)), dtype=int)

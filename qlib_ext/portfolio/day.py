"""What is known at the close of a day: all that a decision on what to hold reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import DataError
from qlib_ext.risk.bias import FactorRisk

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Day:
    """The stocks that may be held, and everything known of them at the close of a day; n stocks, k factors.

    Weights are fractions of the account. A stock that is not ``tradable`` keeps its weight, one that is not
    ``may_buy`` at most keeps it.
    """

    day: pd.Timestamp
    stocks: tuple[str, ...]  # [n]
    held: Vector  # [n] w0: weights of the holdings at this close, the rest of 1 is cash
    benchmark: Vector  # [n] b: weights of the index at this close, 0 for non-members, sum 1
    score: Vector  # [n] z-score over the stocks that have one, 0 for the others
    risk: FactorRisk  # exposures X [n, k], covariance F [k, k] and specific s [n], of a year
    factors: tuple[str, ...]  # [k] the columns of X
    styles: tuple[str, ...]  # those of the factors that are styles
    industry: NDArray[np.int_]  # [n] the code, 0 for none
    member: Mask  # [n] is in the index
    tradable: Mask  # [n] trades: neither suspended nor gone
    may_buy: Mask  # [n] tradable, seasoned and scored
    te_scale: float = 1.0  # by how much the risk of the account's past year was above what was foreseen

    def __post_init__(self) -> None:
        n = len(self.stocks)
        for name in ("held", "benchmark", "score", "industry", "member", "tradable", "may_buy"):
            shape = getattr(self, name).shape
            if shape != (n,):
                raise DataError(f"{name} of {self.day:%Y-%m-%d} has the shape {shape}, for {n} stocks.")
        for name, values in {"held": self.held, "benchmark": self.benchmark, "score": self.score}.items():
            self._refuse_missing(name, values)
        self._refuse_missing("the exposures", self.risk.exposures.sum(1))
        self._refuse_missing("the specific risk", self.risk.specific)

    def _refuse_missing(self, name: str, values: Vector) -> None:
        if not np.isfinite(values).all():
            wrong = np.flatnonzero(~np.isfinite(values))
            raise DataError(
                f"{name} of {len(wrong)} stocks is no number on {self.day:%Y-%m-%d}, first {self.stocks[wrong[0]]}."
            )

    @cached_property
    def root(self) -> Vector:
        """L [k, k] with ``F = L L'``, of the eigenvectors, so that a factor without variance does no harm."""
        values, vectors = np.linalg.eigh(self.risk.covariance)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))

    def with_holdings(self, held: pd.Series) -> Day:
        """The same day of another account: weights by stock; raises DataError for a stock that the day lacks."""
        unknown = held.index.difference(list(self.stocks))
        if len(unknown):
            raise DataError(
                f"{len(unknown)} stocks that are held are not among those of {self.day:%Y-%m-%d}, first {unknown[0]}."
            )
        return replace(self, held=held.reindex(list(self.stocks), fill_value=0.0).to_numpy(dtype=float))

    def active_exposures(self, weights: Vector) -> Vector:
        """``y = X'(w - b)`` [k]."""
        return np.asarray(self.risk.exposures.T @ (weights - self.benchmark))

    def tracking_error(self, weights: Vector) -> float:
        """``sqrt((w - b)' V (w - b))``, the standard deviation of the excess return of a year that is foreseen."""
        active = weights - self.benchmark
        return float(np.sqrt(active @ self.risk.times(active[:, None])[:, 0]))

    def transfer_coefficient(self, weights: Vector, alpha: Vector) -> float:
        """``alpha'd / sqrt(alpha'V^-1 alpha  d'V d)``, d = w - b; 1 where no constraint keeps a view from its weight.

        NaN without an active weight or a view. Source: Clarke, de Silva and Thorley (2006), The Fundamental Law of
        Active Portfolio Management, equation 10.
        """
        unconstrained = float(alpha @ self.risk.solve(alpha[:, None])[:, 0])
        tracking_error = self.tracking_error(weights)
        if not unconstrained > 0 or not tracking_error > 0:
            return float("nan")
        return float(alpha @ (weights - self.benchmark)) / (np.sqrt(unconstrained) * tracking_error)

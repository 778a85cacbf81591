"""The factors that a search has found, and what a further one adds to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from qlib_ext.search.evaluation import Measured
from qlib_ext.search.statistics import bar_of, icir, parts_of_sign, t_of_ic
from qlib_ext.search.tree import Node

NOTHING = 1e-3  # of a norm: what float32 leaves of a direction that is there already


@dataclass(frozen=True)
class Rules:
    """When a factor is taken into the pool.

    margin       beyond ``sqrt(2 ln n)``, of t
    parts        of the four of the training in which the mean IC has the same sign, at least
    valid_share  of the training's ICIR that the validation is to show
    coverage     share of stocks and days with a value, at least
    correlation  with a factor of the pool, at most; a closer one takes its place if its ICIR is higher by ``better``
    pool         factors at most
    """

    margin: float = 0.5
    parts: int = 3
    valid_share: float = 0.5
    coverage: float = 0.8
    correlation: float = 0.7
    better: float = 0.2
    pool: int = 200


@dataclass(frozen=True)
class Factor:
    """A factor of the pool, its figures those of the days on which it was found.

    rank_ic, icir, t     of the training: mean, mean over standard deviation, Newey-West
    valid_rank_ic, valid_icir
    residual_t           Newey-West t of the Rank IC of what is left of it after those that were in the pool before
    """

    node: Node
    rank_ic: float
    icir: float
    t: float
    valid_rank_ic: float
    valid_icir: float
    residual_t: float
    coverage: float
    turnover: float

    def to_json(self) -> dict[str, Any]:
        """For json."""
        return asdict(replace(self, node=self.node.to_json()))  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> Factor:
        """The factor of what ``to_json`` gave."""
        return cls(**written | {"node": Node.from_json(written["node"])})


class Pool:
    """Factors in the order in which they were taken, and the part of the labels that they leave.

    labels  [grid days, stocks]: the labels' ranks, mean 0 and norm 1 on each day, 0 where there is none
    lags    over which ICs are correlated: in days, and in days of the grid
    """

    def __init__(self, labels: np.ndarray, rules: Rules, lags: tuple[int, int]) -> None:
        self.rules, self.lags, self.labels = rules, lags, labels
        self.factors: list[Factor] = []
        self.ranks: list[np.ndarray] = []
        self._clear()

    def _clear(self) -> None:
        self.basis: list[np.ndarray] = []
        self.residual = self.labels

    def left_of(self, ranks: np.ndarray) -> np.ndarray:
        """What is left of ranks, [days, stocks], on each day beside all that is linear in the pool; norm 1 or 0."""
        left = ranks
        for direction in self.basis:
            left = left - (left * direction).sum(1, keepdims=True) * direction
        return unit(left, ranks)

    def residual_ic(self, ranks: np.ndarray) -> np.ndarray:
        """The daily Rank IC of what is left, ``<left_t, labels_t>``; NaN where nothing is."""
        left = self.left_of(ranks)
        ic = (left * self.labels).sum(1, dtype=np.float64)
        return np.where((left != 0).any(1), ic, np.nan)

    def correlations(self, ranks: np.ndarray) -> np.ndarray:
        """Mean over days of the rank correlation with each factor of the pool."""
        return np.array([(ranks * own).sum(1, dtype=np.float64).mean() for own in self.ranks])

    def offer(self, node: Node, found: Measured, train: int, tried: int) -> str:
        """Take a factor, or say by which rule it fails; ``train``: how many of its ICs are of the training."""
        rules, ic, valid_ic = self.rules, found.ic[:train], found.ic[train:]
        figures = {
            "rank_ic": float(np.nanmean(ic)),
            "icir": icir(ic),
            "t": t_of_ic(ic, self.lags[0]),
            "valid_rank_ic": float(np.nanmean(valid_ic)),
            "valid_icir": icir(valid_ic),
            "coverage": found.coverage,
            "turnover": found.turnover,
        }
        bar = bar_of(tried, rules.margin)
        if not found.coverage >= rules.coverage:
            return "coverage"
        if parts_of_sign(ic) < rules.parts:
            return "signs"
        if not abs(figures["t"]) > bar:
            return "t"
        if not figures["valid_icir"] * np.sign(figures["icir"]) >= rules.valid_share * abs(figures["icir"]):
            return "validation"
        close = np.flatnonzero(np.abs(self.correlations(found.ranks)) > rules.correlation)
        if any(abs(figures["icir"]) < (1 + rules.better) * abs(self.factors[place].icir) for place in close):
            return "correlation"
        without = [place for place in range(len(self.factors)) if place not in close]
        rest = self if not len(close) else self._of(without)
        residual_t = t_of_ic(rest.residual_ic(found.ranks), self.lags[1])
        if not abs(residual_t) > bar:
            return "residual"
        if len(without) >= rules.pool:
            return "full"
        self.factors, self.ranks, self.basis, self.residual = rest.factors, rest.ranks, rest.basis, rest.residual
        self.add(Factor(node, residual_t=residual_t, **figures), found.ranks)
        return ""

    def add(self, factor: Factor, ranks: np.ndarray) -> None:
        """Take a factor without asking."""
        left = self.left_of(ranks)
        self.factors, self.ranks, self.basis = [*self.factors, factor], [*self.ranks, ranks], [*self.basis, left]
        self.residual = self.residual - (self.residual * left).sum(1, keepdims=True) * left

    def _of(self, places: Sequence[int]) -> Pool:
        pool = Pool(self.labels, self.rules, self.lags)
        for place in places:
            pool.add(self.factors[place], self.ranks[place])
        return pool


def unit(left: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """``left`` with norm 1 on each day; 0 where rounding is all that is left of the ranks."""
    norm = np.sqrt((left * left).sum(1, keepdims=True))
    kept = norm > NOTHING * np.sqrt((ranks * ranks).sum(1, keepdims=True))
    return np.divide(left, norm, out=np.zeros_like(left), where=kept)

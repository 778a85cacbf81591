"""One evolution: generations of expressions, screened on a sample, the best of them measured on everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qlib_ext.cross_section.ic import cross_sectional_rank
from qlib_ext.search.canonical import Memory
from qlib_ext.search.evaluation import Ground, Measured, Measuring, Screening, measure, screen, unit_ranks
from qlib_ext.search.grammar import Grammar
from qlib_ext.search.market import SearchMarket
from qlib_ext.search.pool import Factor, Pool, Rules
from qlib_ext.search.statistics import icir, parts_of_sign, t_of_ic
from qlib_ext.search.tree import Node
from qlib_ext.search.variation import next_generation

STEP = 5  # every fifth stock and every fifth day are screened
FIRST = 25  # every 25th stock before: most expressions fall there
PASSING = 0.3  # of a generation, to the fifth of the stocks
SCREENED_T = 2.0  # on the sample, of what is measured on everything
FEWEST = 100  # stocks of a sample, where there are as many
ALIKE = 0.9  # correlation of daily ICs, above which of two expressions of a generation one is measured
MEASURED_TOGETHER = 5

Work = Callable[[Any, Any], Any]
Map = Callable[[Work, Sequence[Any]], list[Any]]  # (work, jobs) -> results of work(ground, job), in any order


@dataclass(frozen=True)
class Plan:
    """What an evolution does.

    size      expressions of a generation
    measured  of them that are measured on everything, at most
    chunk     expressions that are screened together, sharing subtrees
    parsimony what a node costs of the ICIR
    """

    grammar: Grammar
    rules: Rules
    horizon: int
    seed: int
    size: int = 1000
    measured: int = 20
    chunk: int = 250
    parsimony: float = 0.004


@dataclass
class Generation:
    """What happened in one generation.

    icir, fitness  [expressions] on the larger sample, NaN for those that the smaller one was enough for
    candidates     places of those that were measured on everything
    outcomes       how many of them were taken, and by which rule the others failed
    """

    nodes: list[Node]
    icir: np.ndarray
    fitness: np.ndarray
    candidates: list[int] = field(default_factory=list)
    outcomes: Counter = field(default_factory=Counter)


def ground_of(market: SearchMarket, labels: Mapping[str, np.ndarray], seed: int) -> Ground:
    """The ground of evolutions with these labels, [days, stocks] each; the seed draws the stocks that are screened."""
    days = np.concatenate([market.train, market.valid])
    order = np.random.default_rng([seed, 2]).permutation(len(market.stocks))
    few, more = (np.sort(order[: max(len(order) // share, FEWEST)]) for share in (FIRST, STEP))
    bars = market.bars.chosen(few), market.bars.chosen(more), market.bars
    grid = np.arange(0, len(market.train), STEP)
    ranks = {name: cross_sectional_rank(own[days]) for name, own in labels.items()}
    return Ground(bars, (few, more), days, len(market.train), grid, ranks)


class Evolution:
    """Generations of expressions for the labels of one name, which for the control are shuffled within the day."""

    def __init__(self, ground: Ground, name: str, plan: Plan) -> None:
        self.ground, self.name, self.plan, self.ranks = ground, name, plan, ground.labels[name]
        lag = 2 * plan.horizon
        self.pool = Pool(unit_ranks(self.ranks[ground.grid]), plan.rules, (lag, -(-lag // STEP)))
        self.memory = Memory()
        self.parents: list[Node] = []
        self.fitness = np.zeros(0)
        self.done = 0

    def step(self, map_chunks: Map) -> Generation | None:
        """Breed, screen and measure one more generation; None where the grammar has no more expressions."""
        rng = np.random.default_rng([self.plan.seed, 3, self.done])
        found = [factor.node for factor in self.pool.factors]  # they breed as often as a middling parent
        parents = [*self.parents, *found]
        fitness = np.concatenate([self.fitness, np.full(len(found), np.median(self.fitness) if parents else 0.0)])
        nodes = next_generation(rng, self.plan.grammar, parents, fitness, self.memory, self.plan.size)
        if not nodes:
            return None
        generation = self._screened(nodes, map_chunks)
        self._measure(generation, map_chunks)
        self.breed_from(nodes, generation.fitness)
        self.done += 1
        return generation

    def breed_from(self, nodes: Sequence[Node], fitness: np.ndarray) -> None:
        """Let those of a generation that have a fitness be the parents of the next."""
        known = np.flatnonzero(~np.isnan(fitness))
        self.parents, self.fitness = [nodes[int(place)] for place in known], fitness[known]

    def _screened(self, nodes: list[Node], map_chunks: Map) -> Generation:
        """The ICs of a generation with the labels that the pool leaves."""
        plan, ranks = self.plan, self.ranks[self.ground.grid]
        few, more = (
            np.where(np.isnan(ranks[:, stocks]), np.nan, self.pool.residual[:, stocks])
            for stocks in self.ground.sampled
        )
        jobs = [
            Screening(low, tuple(own), (few, more), PASSING, plan.rules.coverage, plan.parsimony)
            for low, own in _chunks(nodes, plan.chunk)
        ]
        found = sorted(map_chunks(screen, jobs), key=lambda each: each.number)
        places = np.concatenate([each.number + each.places for each in found])
        ic, fitness = (np.concatenate([getattr(each, name) for each in found]) for name in ("ic", "fitness"))
        generation = Generation(nodes, *np.full((2, len(nodes)), np.nan))
        generation.icir[places] = [abs(icir(own)) for own in ic]
        generation.fitness[places] = fitness
        best_first = np.argsort(-fitness, kind="stable")
        generation.candidates = self._candidates(places[best_first], ic[best_first])
        return generation

    def _candidates(self, places: np.ndarray, ic: np.ndarray) -> list[int]:
        """The best, in order, whose daily ICs are significant, of one sign over the years, and unlike each other's."""
        chosen: list[int] = []
        series: list[np.ndarray] = []
        for place, own in zip(places, ic, strict=True):
            if len(chosen) == self.plan.measured:
                break
            significant = abs(t_of_ic(own, self.pool.lags[1])) > SCREENED_T
            if not significant or parts_of_sign(own) < self.plan.rules.parts:
                continue
            filled = np.nan_to_num(own - np.nanmean(own))
            filled /= np.linalg.norm(filled)
            if all(abs(filled @ other) <= ALIKE for other in series):
                chosen.append(int(place))
                series.append(filled)
        return chosen

    def _measure(self, generation: Generation, map_chunks: Map) -> None:
        """Measure the candidates on everything, and offer them to the pool, the best first."""
        nodes = [generation.nodes[place] for place in generation.candidates]
        for node, found in zip(nodes, self.measured(nodes, map_chunks), strict=True):
            generation.outcomes[self.pool.offer(node, found, self.ground.train, len(self.memory)) or "taken"] += 1

    def resume(
        self,
        tried: Sequence[Sequence[str]],
        last: tuple[list[Node], np.ndarray],
        factors: list[Factor],
        map_chunks: Map,
    ) -> None:
        """Stand where an earlier run stood: what it tried, generation by generation, the last one, and its pool."""
        self.done = len(tried)
        self.memory = Memory(text for generation in tried for text in generation)
        self.breed_from(*last)
        for factor, found in zip(factors, self.measured([each.node for each in factors], map_chunks), strict=True):
            self.pool.add(factor, found.ranks)

    def measured(self, nodes: Sequence[Node], map_chunks: Map, grid: np.ndarray | None = None) -> list[Measured]:
        """Each expression on all stocks and days, with its ranks on the days of ``grid``, or on those screened."""
        days = self.ground.grid if grid is None else grid
        jobs = [Measuring(low, tuple(own), self.name, days, STEP) for low, own in _chunks(nodes, MEASURED_TOGETHER)]
        found = dict(map_chunks(measure, jobs)) if jobs else {}
        return [each for job in jobs for each in found[job.number]]


def _chunks(nodes: Sequence[Node], size: int) -> list[tuple[int, Sequence[Node]]]:
    return [(low, nodes[low : low + size]) for low in range(0, len(nodes), size)]

"""The values of many expressions at once, and what each is worth: on a sample first, then on all stocks and days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qlib_ext.cross_section.ic import cross_sectional_rank, information_coefficient
from qlib_ext.expressions.operators import expression_of
from qlib_ext.expressions.program import NotNative, Program
from qlib_ext.search.market import Bars
from qlib_ext.search.statistics import icir
from qlib_ext.search.tree import Node


def values_of(nodes: Sequence[Node], bars: Bars, days: np.ndarray) -> np.ndarray:
    """The expressions on some days, in order, each subtree computed once a stock: [expressions, stocks, days] float32.

    NaN where a stock has no bar yet or any more, and where the value is infinite.
    """
    program = Program([expression_of(node.text) for node in nodes])
    stocks = bars.values.shape[1]
    values = np.full((len(nodes), stocks, len(days)), np.nan, dtype=np.float32)
    for stock in range(stocks):
        first, last = np.searchsorted(days, bars.spans[stock])
        if first < last:
            rows = days[first:last] - bars.spans[stock, 0]
            with np.errstate(over="ignore"):
                for place, result in enumerate(_run(program, nodes, bars.of(stock))):
                    values[place, stock, first:last] = result[rows]
    values[np.isinf(values)] = np.nan
    return values


def _run(program: Program, nodes: Sequence[Node], bars: dict[str, np.ndarray]) -> list[np.ndarray]:
    try:
        return program.run(bars)
    except NotNative:  # a provider's own infinity below a line: the expressions that read it have no value
        rows = len(next(iter(bars.values())))
        return [_alone(node, bars, rows) for node in nodes]


def _alone(node: Node, bars: dict[str, np.ndarray], rows: int) -> np.ndarray:
    try:
        return Program([expression_of(node.text)]).run(bars)[0]
    except NotNative:
        return np.full(rows, np.nan)


@dataclass(frozen=True)
class Sample:
    """Stocks and days on which expressions are compared with a label.

    bars    of the stocks
    days    places among the days of the bars
    labels  [days, stocks] float64, what the ranks are correlated with; NaN where there is no label
    """

    bars: Bars
    days: np.ndarray
    labels: np.ndarray

    def ranks(self, values: np.ndarray) -> np.ndarray:
        """Ranks among the day's stocks with a label of one expression, [stocks, days] -> [days, stocks]; NaN kept."""
        known = np.where(np.isnan(self.labels), np.nan, values.T)
        return cross_sectional_rank(known)


@dataclass(frozen=True)
class Ground:
    """What a search evaluates expressions on, the same for all its generations.

    bars     of few stocks, of more, and of all
    sampled  places among all stocks of the few and of the more
    days     places among the days of the bars: those of the training, then those of the validation
    train    how many of them are of the training
    grid     which of them are screened
    labels   by evolution: [days, all stocks] float64 ranks of the labels, NaN where there is none
    """

    bars: tuple[Bars, Bars, Bars]
    sampled: tuple[np.ndarray, np.ndarray]
    days: np.ndarray
    train: int
    grid: np.ndarray
    labels: Mapping[str, np.ndarray]

    def whole(self, evolution: str) -> Sample:
        """All stocks on all days."""
        return Sample(self.bars[2], self.days, self.labels[evolution])


@dataclass(frozen=True)
class Screening:
    """Expressions that one worker screens together, on few stocks and then on more.

    labels     [days of the grid, stocks] of both
    passing    share of the expressions that come from one to the other
    coverage   that an expression must have
    parsimony  what a node costs of the ICIR
    """

    noun: ClassVar[str] = "chunk of expressions"
    number: int
    nodes: tuple[Node, ...]
    labels: tuple[np.ndarray, np.ndarray]
    passing: float
    coverage: float
    parsimony: float


@dataclass(frozen=True)
class Screened:
    """What the samples say of the expressions of a chunk.

    places   in the chunk, of those that came to the larger sample and have the coverage there
    ic       [places, days]
    fitness  [places] ``|ICIR| - parsimony * size``
    """

    number: int
    places: np.ndarray
    ic: np.ndarray
    fitness: np.ndarray


def screen(ground: Ground, job: Screening) -> Screened:
    """The fittest of a chunk, by the IC of ranks with the labels as they are: on few stocks first, then on more."""
    places = np.arange(len(job.nodes))
    for stage, (bars, labels) in enumerate(zip(ground.bars[:2], job.labels, strict=True)):
        nodes = [job.nodes[place] for place in places]
        ic, coverage = ic_and_coverage(Sample(bars, ground.days[ground.grid], labels), nodes)
        fitness = np.abs([icir(own) for own in ic]) - job.parsimony * np.array([node.size for node in nodes])
        fitness[coverage < job.coverage] = np.nan
        known = int(np.count_nonzero(~np.isnan(fitness)))
        if stage == 0:
            known = min(known, max(int(job.passing * len(job.nodes)), 1))
        kept = np.sort(np.argsort(-fitness, kind="stable")[:known])  # NaN comes last
        places, ic, fitness = places[kept], ic[kept], fitness[kept]
    return Screened(job.number, places, ic, fitness)


def ic_and_coverage(sample: Sample, nodes: Sequence[Node]) -> tuple[np.ndarray, np.ndarray]:
    """Each expression's daily IC, ``[expressions, days]``, and the share of the labels that it has a value for."""
    ic, coverage = np.full((len(nodes), len(sample.days)), np.nan), np.zeros(len(nodes))
    if not len(nodes):
        return ic, coverage
    labelled = np.count_nonzero(~np.isnan(sample.labels))
    for place, values in enumerate(values_of(nodes, sample.bars, sample.days)):
        ranks = sample.ranks(values)
        ic[place] = information_coefficient(ranks, sample.labels)
        coverage[place] = np.count_nonzero(~np.isnan(ranks)) / labelled
    return ic, coverage


@dataclass(frozen=True)
class Measured:
    """What all stocks and days say of one expression.

    ic        [days of train and valid] Rank IC
    coverage  share of the labels for whose stock and day it has a value
    turnover  mean over every ``step``-th day of 1 - the rank correlation with itself so many days before
    ranks     [grid days, stocks] float32: each day's ranks, mean 0 and norm 1; 0 where there is none
    """

    ic: np.ndarray
    coverage: float
    turnover: float
    ranks: np.ndarray


@dataclass(frozen=True)
class Measuring:
    """Expressions that one worker measures together.

    evolution  whose labels
    grid       the days whose ranks are wanted
    step       days over which the turnover is counted
    """

    noun: ClassVar[str] = "chunk of expressions"
    number: int
    nodes: tuple[Node, ...]
    evolution: str
    grid: np.ndarray
    step: int


def measure(ground: Ground, job: Measuring) -> tuple[int, list[Measured]]:
    """Each expression on all stocks and days. The label is ranked once, among all stocks that have one."""
    sample, step = ground.whole(job.evolution), job.step
    values = values_of(job.nodes, sample.bars, sample.days)
    labelled = np.count_nonzero(~np.isnan(sample.labels))
    found = []
    for own in values:
        ranks = sample.ranks(own)
        again = information_coefficient(ranks[step::step], ranks[:-step:step])
        found.append(
            Measured(
                information_coefficient(ranks, sample.labels),
                np.count_nonzero(~np.isnan(ranks)) / labelled,
                1 - float(np.nanmean(again)) if np.isfinite(again).any() else np.nan,
                unit_ranks(ranks[job.grid]),
            )
        )
    return job.number, found


def unit_ranks(ranks: np.ndarray) -> np.ndarray:
    """Each day's ranks less their mean, of norm 1, 0 where there is none: [days, stocks] float32."""
    known = ~np.isnan(ranks)
    count = np.maximum(known.sum(1, keepdims=True), 1)
    filled = np.where(known, ranks, 0.0)
    centred = np.where(known, filled - filled.sum(1, keepdims=True) / count, 0.0)
    norm = np.sqrt((centred * centred).sum(1, keepdims=True))
    return np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 0).astype(np.float32)

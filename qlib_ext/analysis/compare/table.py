"""The Model Zoo's table of experiments: one row an experiment, one section for each test."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from qlib_ext.analysis.compare import zoo
from qlib_ext.analysis.compare.alike import apart
from qlib_ext.analysis.compare.caveats import caveats
from qlib_ext.analysis.compare.differences import difference_lines
from qlib_ext.analysis.compare.runs import METRICS, PERCENT, RunSummary, Setup, read_runs
from qlib_ext.analysis.compare.texts import LINES
from qlib_ext.errors import DataError


@dataclass(frozen=True)
class Cell:
    """A figure as printed: mean, standard deviation (empty for a single run), and whether no other mean is better."""

    mean: str
    spread: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One experiment, or a row that the Model Zoo published; its cells are in the order of METRICS."""

    name: str
    runs: int
    cells: list[Cell]
    published: str = ""  # universe and dates of the published row


@dataclass(frozen=True)
class Section:
    """The rows of one test, the only ones that compete for the best mark."""

    setup: Setup
    rows: list[Row]


@dataclass(frozen=True)
class Table:
    """What the renderers print: sections, then caveats of one line each."""

    sections: list[Section]
    caveats: list[str]


def comparison(store: str, experiments: Sequence[str], last: int = 1, with_zoo: bool = False) -> Table:
    """The last runs of each experiment: means and standard deviations over runs that differ in their seeds alone.

    Runs of one experiment that were not the same test are not averaged: each test has its own section. Nor are runs of
    other parameters: each has a row of its own, and a line says in what they differ. With ``with_zoo`` the Model Zoo's
    published row stands below each experiment. Raises DataError as read_runs does, and for published rows beside runs
    on a simulated market.
    """
    table = table_of({experiment: read_runs(store, experiment, last) for experiment in experiments}, last, with_zoo)
    return Table(table.sections, [*table.caveats, *difference_lines(store, experiments, LINES["en"])])


def table_of(found: dict[str, list[RunSummary]], last: int = 1, with_zoo: bool = False, lang: str = "en") -> Table:
    """As ``comparison``, of runs that were read before, its lines in English or Chinese."""
    simulated = [name for name, runs in found.items() if any(run.setup.simulated for run in runs)]
    if with_zoo and simulated:
        raise DataError(
            f"{', '.join(simulated)} ran on a SIMULATED market, whose figures say nothing beside those that Qlib's "
            "Model Zoo published for the real one. Leave --zoo out, or name runs on real data."
        )
    tests: dict[Setup, dict[str, list[RunSummary]]] = {}
    for experiment, runs in found.items():
        for run in runs:
            tests.setdefault(run.setup, {}).setdefault(experiment, []).append(run)
    sections = []
    for setup, experiments in tests.items():
        rows = {row: of for name, runs in experiments.items() for row, of in apart(name, runs).items()}
        sections.append(Section(setup, list(_rows(setup, rows, with_zoo))))
    return Table(sections, caveats(tests, last, with_zoo, LINES[lang]))


def _rows(setup: Setup, experiments: dict[str, list[RunSummary]], with_zoo: bool) -> Iterator[Row]:
    figures = {name: pd.DataFrame([run.metrics for run in runs]) for name, runs in experiments.items()}
    # skipna: a mean over fewer runs than the row says would not be that row's
    means = pd.DataFrame({name: metrics.mean(skipna=False) for name, metrics in figures.items()})
    compete = setup.known & (means.notna().sum(axis=1) > 1)
    best = means.eq(means.max(axis=1), axis=0).mul(compete, axis=0)  # also of the drawdown, which is negative
    for name, runs in experiments.items():
        spreads = figures[name].std(skipna=False)
        cells = [_cell(m, means.at[m, name], spreads[m], bool(best.at[m, name])) for m in METRICS]
        yield Row(name, len(runs), cells)
        if with_zoo:
            yield from map(_published, zoo.published(runs[0].params))


def _cell(metric: str, mean: float, spread: float, best: bool) -> Cell:
    pattern = "{:.2%}" if metric in PERCENT else "{:.4f}"
    figures = ["" if math.isnan(figure) else pattern.format(figure) for figure in (mean, spread)]
    return Cell(figures[0] or "-", figures[1], best)


def _published(row: zoo.Published) -> Row:
    cells = [_published_cell(metric, *row.figures.get(metric, ("", ""))) for metric in METRICS]
    return Row(
        f"Model Zoo {row.model}, {row.features} features", zoo.RUNS, cells, f"{zoo.SETUP.universe}, {zoo.SETUP.test}"
    )


def _published_cell(metric: str, mean: str, spread: str) -> Cell:
    if not mean:
        return Cell("-")
    return Cell(f"{float(mean):.2%}", f"{float(spread):.0%}") if metric in PERCENT else Cell(mean, spread)

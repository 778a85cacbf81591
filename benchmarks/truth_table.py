"""The table of ``python -m benchmarks.truth --table``: all on the same days and stocks, compared day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measure import newey_west, table
from benchmarks.truth_runs import COMBINATIONS, Dates, Job, Run, configuration, folds_of
from benchmarks.truth_train import ALL, INDICES, REACH, daily_ic, of_test, of_valid, read_truth, top_excess
from qlib_ext.cross_section.matrix import to_matrix
from qlib_ext.errors import DataError

PUBLISHED = Path(__file__).resolve().with_name("published.csv")
HEADER_OF_PART = ("Rank IC", "ICIR", "best twentieth", "less {against}")
HEADER_OF_TEST = (*HEADER_OF_PART, "by year", "CSI300, 500, 1000")
HEADER = ("model", "data", "label", "loss", "seeds", "validation: Rank IC", *HEADER_OF_PART[1:])
HEADER += ("test: Rank IC", *HEADER_OF_TEST[1:], "the report's")


@dataclass(frozen=True)
class Line:
    """What a line of the table is made of: one run, each seed by itself, or a sum of the ranks of runs and seeds."""

    name: str
    members: tuple[Run, ...]
    about: tuple[str, str, str] = ("", "", "")  # data, label, loss of one run

    @property
    def is_sum(self) -> bool:
        return self.about == ("", "", "")


Part = Mapping[str, list[pd.DataFrame]]  # name of a line -> scores [days, stocks], one frame a seed
Truth = Mapping[str, pd.DataFrame]  # as read_truth gives it


def summary(results: pd.DataFrame, folder: Path, provider: str, runs: Sequence[Run], dates: Dates, against: str) -> str:
    """One line a run and a combination. Validation is that of the first seed, over the days of all folds.

    The rows are those that all lines have. Differences are those of days, their standard errors by Newey and West with
    as many lags as the label has days. Raises DataError where nothing has the scores of all folds.
    """
    known = results[results["provider"] == Path(provider).name]
    scores = Scores(folder / Path(provider).name, known, dates)
    rows = scores.folder / f"rows_{dates.start}_{dates.end}.parquet"
    every = lines_of(runs)
    validated = [line for line in every if all(scores.validated(run) for run in line.members)]
    if not validated:
        raise DataError(f"No run has rows of all of the folds {dates.folds}; ask for --folds that have.")
    truth = read_truth(rows)
    validation = held_to_all({line.name: [scores.valid(line)] for line in validated}, truth[ALL])
    tested = {line.name: found for line in every if (found := scores.test(line))}
    test = held_to_all(tested, truth[ALL]) if tested else {}
    published = pd.read_csv(PUBLISHED).set_index(["model", "figure", "period"])["value"]
    shown = [line for line in every if line.name in {*validation, *test}]
    cells = [cells_of(line, validation, test, truth, against, published) for line in shown]
    left_out = [run.name for run in runs if run.name not in validation]
    text = table(tuple(name.format(against=against) for name in HEADER), cells)
    rows_text = " and ".join(f"{next(iter(p.values()))[0].notna().sum().sum():,}" for p in (validation, test) if p)
    text += f"\n\nHeld to the {rows_text} rows of all; folds {', '.join(map(str, dates.folds))}."
    return text + (f" Without all folds: {', '.join(left_out)}." if left_out else "")


def lines_of(runs: Sequence[Run]) -> list[Line]:
    known = {run.name: run for run in runs}
    lines = []
    for run in runs:
        model, dataset = configuration(Job(run, Dates().folds[-1], run.seeds[0], Dates()))
        about = (dataset["kwargs"]["handler"]["class"], run.label, model["kwargs"].get("loss", "its own"))
        lines.append(Line(run.name, (run,), about))
    for name, members in COMBINATIONS.items():
        if all(member in known for member in members):
            lines.append(Line(name, tuple(known[member] for member in members)))
    return lines


@dataclass(frozen=True)
class Scores:
    """The scores that were kept, of the trainings that have a row."""

    folder: Path
    known: pd.DataFrame
    dates: Dates

    def validated(self, run: Run) -> bool:
        """Whether the run's first seed has a row of every fold."""
        own = self.known[self.known["run"] == run.name]
        if not len(own):
            return False
        return set(self.dates.folds) <= set(own.loc[own["seed"] == run.seeds[0], "fold"])

    def valid(self, line: Line) -> pd.DataFrame:
        """Scores of the validation days of all folds, of the first seeds."""

        def of_run(run: Run) -> pd.DataFrame:
            jobs = [Job(run, fold, run.seeds[0], self.dates) for fold in self.dates.folds]
            return pd.concat([of_valid(self._read(job), job.fold) for job in jobs])

        return mean_of_ranks([of_run(run) for run in line.members])

    def test(self, line: Line) -> list[pd.DataFrame]:
        """Scores of the test days: a frame for each seed of a run, one for a sum; none where a member has none."""
        seeds = [self._tested(run) for run in line.members]
        if not line.is_sum:
            return seeds[0]
        return [mean_of_ranks([mean_of_ranks(own) for own in seeds])] if all(seeds) else []

    def _tested(self, run: Run) -> list[pd.DataFrame]:
        """The test scores of each seed that has all of its rows."""
        own, folds = self.known[self.known["run"] == run.name], tested_folds(run, self.dates)
        if "test_rank_ic" not in own or not folds:
            return []
        own = own[own["test_rank_ic"].notna()]
        seeds = [seed for seed in sorted(own["seed"].unique()) if set(folds) <= set(own["fold"][own["seed"] == seed])]
        return [pd.concat([self._test(Job(run, fold, seed, self.dates)) for fold in folds]) for seed in seeds]

    def _test(self, job: Job) -> pd.DataFrame:
        return of_test(self._read(job), job)

    def _read(self, job: Job) -> pd.DataFrame:
        file = self.folder / job.file
        if not file.exists():
            raise DataError(f"{file} is not there, but its row is: give the --scores of its run, or run it again.")
        return matrix_of(file)


@cache
def matrix_of(file: Path) -> pd.DataFrame:
    return to_matrix(pd.read_parquet(file)["score"], "score")


def tested_folds(run: Run, dates: Dates) -> list[int]:
    return [fold for fold in folds_of(run, dates) if Job(run, fold, run.seeds[0], dates).tested]


def mean_of_ranks(scores: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The mean of the ranks, from 0 to 1, that several scores give the stocks that all of them know; one as it is."""
    if len(scores) == 1:
        return scores[0]
    ranks = [own.rank(axis=1, pct=True) for own in on_common_cells(scores)]
    return sum(ranks[1:], ranks[0]) / len(ranks)


def on_common_cells(scores: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The same frames where all of them have a value, with the same days and stocks; NaN elsewhere."""
    days = reduce(pd.Index.intersection, (score.index for score in scores))
    stocks = reduce(pd.Index.intersection, (score.columns for score in scores))
    every = [score.reindex(index=days, columns=stocks) for score in scores]
    known = np.logical_and.reduce([score.notna().to_numpy() for score in every])
    return [score.where(known) for score in every]


def held_to_all(part: Part, label: pd.DataFrame) -> dict[str, list[pd.DataFrame]]:
    """The same scores on the rows that all of them have and whose label is known, in one order."""
    held = iter(on_common_cells([*(score for seeds in part.values() for score in seeds), label]))
    own = {name: [next(held) for _ in seeds] for name, seeds in part.items()}
    if not next(held).notna().any(axis=None):
        raise DataError(f"The scores of {', '.join(part)} have no day and stock in common.")
    return own


def cells_of(
    line: Line,
    validation: Part,
    test: Part,
    truth: Truth,
    against: str,
    published: pd.Series,
) -> tuple[str, ...]:
    seeds = "all" if line.is_sum else str(len(test.get(line.name, [None])))
    cells = [line.name, *line.about, seeds]
    cells += (
        part_cells(line.name, validation, truth, against) if line.name in validation else [""] * len(HEADER_OF_PART)
    )
    if line.name not in test:
        return (*cells, *[""] * (len(HEADER_OF_TEST) + 1))
    cells += test_cells(line.name, test, truth, against)
    model = "" if line.is_sum else line.members[0].published
    figures = [published.get((model, name, "all")) for name in ("Rank IC", "ICIR")]
    return (*cells, "" if figures[0] is None else f"{figures[0]:.3f}, {figures[1]:.2f}")


def test_cells(name: str, test: Part, truth: Truth, against: str) -> list[str]:
    """Those of a part, the Rank IC of each year, and that among the members of each index."""
    ic = mean_over_seeds(test[name], truth[ALL])
    by_year = " ".join(f"{own.mean():.3f}" for _, own in ic.groupby(ic.index.year))
    of_indices = " ".join(index_cell(test[name], truth[index]) for index in INDICES if index in truth)
    return [*part_cells(name, test, truth, against), by_year, of_indices]


def part_cells(name: str, part: Part, truth: Truth, against: str) -> list[str]:
    """Rank IC, with the standard deviation over the seeds; ICIR; best twentieth in percent; difference."""
    label = truth[ALL]
    daily = [daily_ic(score, label) for score in part[name]]
    means = [ic.mean() for ic in daily]
    spread = f" ± {np.std(means, ddof=1):.4f}" if len(means) > 1 else ""
    top = np.mean([top_excess(score, label).mean() for score in part[name]])
    cells = [f"{np.mean(means):.4f}{spread}", f"{np.mean([ic.mean() / ic.std() for ic in daily]):.2f}", f"{top:.2%}"]
    if name == against or against not in part:
        return [*cells, ""]
    mean, error = paired(mean_over_seeds(part[name], label), mean_over_seeds(part[against], label))
    return [*cells, f"{mean:+.4f} ± {error:.4f}"]


def paired(own: pd.Series, other: pd.Series) -> tuple[float, float]:
    """The mean difference of two series by day, and its standard error by Newey and West."""
    difference = (own - other).dropna()
    return float(difference.mean()), newey_west(difference.to_numpy(), REACH)


def mean_over_seeds(scores: Sequence[pd.DataFrame], label: pd.DataFrame) -> pd.Series:
    """The Rank IC of each day, its mean over the seeds."""
    return pd.concat([daily_ic(score, label) for score in scores], axis=1).mean(axis=1)


def index_cell(scores: Sequence[pd.DataFrame], label: pd.DataFrame) -> str:
    """The Rank IC of the stocks that have a label: the members of an index."""
    ic = mean_over_seeds(scores, label)
    return f"{ic.mean():.3f}" if len(ic) else "-"

"""Weightings of the whole market's scores: equal, by ICIR, by trees over them, each found on earlier days alone.

    python -m benchmarks.truth_weights --data PROVIDER [--scores .data/truth] [--sources NAME ...] [--risk FOLDER]

The sources are the test scores of runs of ``benchmarks.truth``, the ranks of a run's seeds added. As in the workflows
market_model0 and its kin each 20 days have a weighting of their own, found on 240 days before them whose labels are
known by then; the first of those days are history for all, and no weighting is scored on them. With --risk, weightings
by long-only returns and by the market's state, as market_families_state, see benchmarks/truth_state.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import lightgbm
import numpy as np
import pandas as pd

from benchmarks.measure import table
from benchmarks.truth import chosen
from benchmarks.truth_kept import kept_options, kept_parser, kept_scores, kept_truth
from benchmarks.truth_runs import RUNS
from benchmarks.truth_state import by_long_only_and_state
from benchmarks.truth_table import HEADER_OF_TEST, Line, held_to_all, mean_of_ranks, test_cells
from benchmarks.truth_train import ALL, REACH
from qlib_ext.cross_section.ic import cross_sectional_rank, rank_information_coefficient
from qlib_ext.cross_section.zscore import zscore_of_all
from qlib_ext.workflows.table.market import LIGHTGBM

TRAIN, STEP, VALID = 240, 20, 0.2  # days; the last fifth of the days stops the trees, as in market_model0.yaml
NOT_OF_TREES = ("loss", "num_boost_round", "early_stopping_rounds")
TREES = {name: value for name, value in LIGHTGBM.options.items() if name not in NOT_OF_TREES}
Array = np.ndarray  # features [sources, days, stocks], labels and scores [days, stocks]; NaN where nothing is
EQUAL = "equal"


def main() -> None:
    parser = kept_parser("truth_weights", __doc__)
    parser.add_argument("--sources", nargs="+", metavar="NAME", help="these runs (default: all that are tested)")
    parser.add_argument("--risk", metavar="FOLDER", help="of `qlib-ext risk`: weightings by the market's state as well")
    options = kept_options(parser)
    print(weightings(options))


def weightings(options: argparse.Namespace) -> str:
    """One line a weighting, all on the same days and stocks."""
    scores, truth = kept_scores(options), kept_truth(options)
    runs = [run for run in chosen(RUNS, options.sources) if len(run.seeds) > 1]  # those that were chosen
    sources = {run.name: found for run in runs if (found := scores.test(Line(run.name, (run,))))}
    held = [mean_of_ranks(seeds) for seeds in held_to_all(sources, truth[ALL]).values()]
    days, stocks = held[0].index, held[0].columns
    features = np.stack([zscore_of_all(score.to_numpy(), score.notna().to_numpy()) for score in held])
    label = truth[ALL].reindex(index=days, columns=stocks).to_numpy()
    weighted = {name: walked(features, label, weigh) for name, weigh in WEIGHTINGS.items()}
    if options.risk:
        windows = range(TRAIN + REACH, len(label), STEP)
        weighted |= by_long_only_and_state(features, label, days, options.risk, windows, TRAIN, VALID)
    scored = days[-len(weighted[EQUAL]) :]
    part = {name: [pd.DataFrame(score, scored, stocks)] for name, score in weighted.items()}
    cells = [(name, *test_cells(name, part, truth, EQUAL)) for name in part]
    text = table(("weighting", *(name.format(against=EQUAL) for name in HEADER_OF_TEST)), cells)
    return f"{text}\n\n{scored[0]:%Y-%m-%d} to {scored[-1]:%Y-%m-%d}; sources: {'; '.join(sources)}."


def walked(features: Array, label: Array, weigh: Callable[[Array, Array, Array], Array]) -> Array:
    """The weighted score of all days after the history, found anew every ``STEP`` days: [days, stocks]."""
    scored = []
    for first in range(TRAIN + REACH, len(label), STEP):
        known = slice(first - TRAIN - REACH, first - REACH)  # their labels look at no day from ``first`` on
        scored.append(weigh(features[:, known], label[known], features[:, first : first + STEP]))
    return np.concatenate(scored)


def equally(known: Array, label: Array, now: Array) -> Array:
    return now.mean(axis=0)


def by_icir(known: Array, label: Array, now: Array) -> Array:
    """Weights ``mean_t IC / std_t IC`` of the known days, as ``ICIRWeight``."""
    daily = [rank_information_coefficient(score, label) for score in known]
    weights = [np.nanmean(ic) / np.nanstd(ic, ddof=1) for ic in daily]
    return np.tensordot(weights, now, 1)


def by_trees(known: Array, label: Array, now: Array) -> Array:
    """LightGBM over the sources, which learns the label's rank in its day."""
    rank = cross_sectional_rank(label) / np.isfinite(label).sum(axis=1, keepdims=True) - 0.5
    split = int(len(label) * (1 - VALID))

    def rows(days: slice) -> lightgbm.Dataset:
        there = np.isfinite(rank[days])
        return lightgbm.Dataset(known[:, days][:, there].T, rank[days][there])

    trees = lightgbm.train(
        {"num_threads": 1, "verbose": -1, "objective": "mse", **TREES},
        rows(slice(split - REACH)),
        LIGHTGBM.options["num_boost_round"],
        [rows(slice(split, None))],
        callbacks=[lightgbm.early_stopping(LIGHTGBM.options["early_stopping_rounds"], verbose=False)],
    )
    score, there = np.full(now.shape[1:], np.nan), np.isfinite(now).all(axis=0)
    score[there] = trees.predict(now[:, there].T)
    return score


WEIGHTINGS = {EQUAL: equally, "by ICIR": by_icir, "trees": by_trees}


if __name__ == "__main__":
    main()

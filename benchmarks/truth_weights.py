"""Weightings of the whole market's scores: equal, by ICIR, and trees over them, each found on earlier days alone.

    python -m benchmarks.truth_weights --data PROVIDER [--scores .data/truth] [--sources NAME ...]

The sources are the test scores of runs of ``benchmarks.truth``, the ranks of a run's seeds added. As in the workflows
market_model0 and its kin each 20 days have a weighting of their own, found on 240 days before them whose labels are
known by then; the first of those days are history for all, and no weighting is scored on them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd

from benchmarks.measure import table
from benchmarks.truth import RESULTS, chosen, read_results, scores_of
from benchmarks.truth_runs import RUNS, Dates
from benchmarks.truth_table import HEADER_OF_TEST, Line, Scores, held_to_all, test_cells
from benchmarks.truth_train import REACH
from qlib_ext.cross_section.ic import daily_rank_ic
from qlib_ext.cross_section.zscore import zscore_or_mean
from qlib_ext.workflows.table.market import LIGHTGBM

TRAIN, STEP, VALID = 240, 20, 0.2  # days; the last fifth of the days stops the trees, as in market_model0.yaml
TREES = {name: value for name, value in LIGHTGBM.options.items() if name not in ("loss", "early_stopping_rounds")}
EQUAL = "equal"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.truth_weights",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", default=os.environ.get("QLIB_DATA"), metavar="DIR", help="provider ($QLIB_DATA)")
    parser.add_argument("--scores", type=Path, default=Path(".data/truth"), metavar="DIR", help="of benchmarks.truth")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="rows (benchmarks/truth.csv)")
    parser.add_argument("--sources", nargs="+", metavar="NAME", help="these runs (default: all that are tested)")
    options = parser.parse_args()
    if not options.data:
        parser.error("name a provider folder with --data or QLIB_DATA")
    print(weightings(options))


def weightings(options: argparse.Namespace) -> str:
    """One line a weighting, all on the same days and stocks."""
    dates, folder = Dates(), scores_of(options.scores, options.data)
    scores = Scores(folder, read_results(options.results), dates)
    runs = [run for run in chosen(RUNS, options.sources) if len(run.seeds) > 1]  # those that were chosen
    sources = {run.name: found for run in runs if (found := scores.test(Line(run.name, (run,))))}
    truth = pd.read_parquet(folder / f"rows_{dates.start}_{dates.end}.parquet")
    held = held_to_all(sources, truth)
    features = zscore_or_mean(pd.DataFrame({name: score for name, (score,) in held.items()}))
    label = truth["label"].reindex(features.index)
    weighted = {name: [walked(features, label, weigh)] for name, weigh in WEIGHTINGS.items()}
    cells = [(name, *test_cells(name, weighted, truth, EQUAL)) for name in weighted]
    days = weighted[EQUAL][0].index.unique("datetime")
    text = table(("weighting", *(name.format(against=EQUAL) for name in HEADER_OF_TEST)), cells)
    return f"{text}\n\n{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}; sources: {'; '.join(sources)}."


def walked(
    features: pd.DataFrame, label: pd.Series, weigh: Callable[[pd.DataFrame, pd.Series, pd.DataFrame], pd.Series]
) -> pd.Series:
    """The weighted score of all days after the history, found anew every ``STEP`` days."""
    days, scored = features.index.unique("datetime").sort_values(), []
    day = features.index.get_level_values("datetime")
    for first in range(TRAIN + REACH, len(days), STEP):
        known = (day >= days[first - TRAIN - REACH]) & (day < days[first - REACH])
        now = (day >= days[first]) & (day <= days[min(first + STEP, len(days)) - 1])
        scored.append(weigh(features[known], label[known], features[now]))
    return pd.concat(scored).rename("score")


def equally(known: pd.DataFrame, label: pd.Series, now: pd.DataFrame) -> pd.Series:
    return now.mean(axis=1)


def by_icir(known: pd.DataFrame, label: pd.Series, now: pd.DataFrame) -> pd.Series:
    """Weights ``mean_t IC / std_t IC`` of the known days, as ``ICIRWeight``."""
    daily = [daily_rank_ic(score, label) for _, score in known.items()]
    return now @ np.array([ic.mean() / ic.std() for ic in daily])


def by_trees(known: pd.DataFrame, label: pd.Series, now: pd.DataFrame) -> pd.Series:
    """LightGBM over the sources, which learns the label's rank in its day."""
    rank = label.groupby(level="datetime").rank(pct=True) - 0.5
    days = known.index.unique("datetime").sort_values()
    day = known.index.get_level_values("datetime")
    split = int(len(days) * (1 - VALID))
    train, valid = day < days[split - REACH], day >= days[split]
    rounds = {"num_threads": 1, "verbose": -1, "objective": "mse", **TREES}
    trees = lightgbm.train(
        {name: value for name, value in rounds.items() if name != "num_boost_round"},
        lightgbm.Dataset(known[train].to_numpy(), rank[train].to_numpy()),
        rounds["num_boost_round"],
        [lightgbm.Dataset(known[valid].to_numpy(), rank[valid].to_numpy())],
        callbacks=[lightgbm.early_stopping(LIGHTGBM.options["early_stopping_rounds"], verbose=False)],
    )
    return pd.Series(trees.predict(now.to_numpy()), now.index)


WEIGHTINGS = {EQUAL: equally, "by ICIR": by_icir, "trees": by_trees}


if __name__ == "__main__":
    main()

"""What the whole market's test scores owe to the factors of the risk model, and how they rank without them.

    python -m benchmarks.truth_factors --data PROVIDER --risk FOLDER [--scores .data/truth] [--only NAME ...]

Every tenth day, which the label's ten days do not overlap. A score is the sum of the ranks of a run's seeds; without
factors: what a regression on the day's exposures leaves of it (``qlib_ext.analysis.risk_factors``).
"""

from __future__ import annotations

import pandas as pd
import qlib

from benchmarks.measure import table
from benchmarks.truth import chosen
from benchmarks.truth_kept import kept_options, kept_parser, kept_scores, kept_truth
from benchmarks.truth_runs import RUNS
from benchmarks.truth_table import lines_of, mean_of_ranks
from benchmarks.truth_train import ALL
from qlib_ext.analysis.risk_factors import risk_frames

SPACED = 10  # days between two that are looked at
LARGEST = 4  # exposures in a line
HEADER = ("model", "Rank IC", "ICIR", "explained by factors", "without them: Rank IC", "ICIR", "largest exposures")


def main() -> None:
    parser = kept_parser("truth_factors", __doc__)
    parser.add_argument("--risk", required=True, metavar="DIR", help="the folder of qlib-ext risk")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these runs alone")
    options = kept_options(parser)
    qlib.init(provider_uri=options.data, region="cn", logging_level=30)
    scores, label = kept_scores(options), kept_truth(options)[ALL]
    lines = []
    for line in lines_of(chosen(RUNS, options.only)):
        if seeds := scores.test(line):
            lines.append((line.name, *cells(mean_of_ranks(seeds), label, options.risk)))
    print(table(HEADER, lines))


def cells(score: pd.DataFrame, label: pd.DataFrame, risk: str) -> list[str]:
    """Of one score: Rank IC and ICIR with and without factors, their share, and the largest mean exposures."""
    frames = risk_frames(score, label.reindex_like(score), SPACED, {"kwargs": {"folder": risk}})
    ic, exposures = frames["risk_ic.pkl"], frames["risk_exposures.pkl"].mean()
    styles = exposures[[name for name in exposures.index if not name.startswith("industry_")]]
    largest = styles[styles.abs().sort_values(ascending=False).index[:LARGEST]]
    found = []
    for name in ("rank_ic", "rank_ic_neutral"):
        found += [f"{ic[name].mean():.4f}", f"{ic[name].mean() / ic[name].std():.2f}"]
    exposed = ", ".join(f"{name.replace('_', ' ')} {value:+.2f}" for name, value in largest.items())
    return [*found[:2], f"{ic['explained'].mean():.0%}", *found[2:], exposed]


if __name__ == "__main__":
    main()

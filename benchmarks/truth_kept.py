"""What benchmarks.truth keeps, for the scripts that read it: where it lies, the test scores, the labels."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pandas as pd

from benchmarks.truth import RESULTS, read_results, scores_of
from benchmarks.truth_runs import Dates
from benchmarks.truth_table import Scores
from benchmarks.truth_train import read_truth


def kept_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser that knows where the runs lie; ``kept_options`` parses with it."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", default=os.environ.get("QLIB_DATA"), metavar="DIR", help="provider ($QLIB_DATA)")
    parser.add_argument("--scores", type=Path, default=Path(".data/truth"), metavar="DIR", help="of benchmarks.truth")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="rows (benchmarks/truth.csv)")
    return parser


def kept_options(parser: argparse.ArgumentParser) -> argparse.Namespace:
    options = parser.parse_args()
    if not options.data:
        parser.error("name a provider folder with --data or QLIB_DATA")
    return options


def kept_scores(options: argparse.Namespace) -> Scores:
    return Scores(scores_of(options.scores, options.data), read_results(options.results), Dates())


def kept_truth(options: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """The labels of all rows and of each index's members, see ``read_truth``."""
    dates = Dates()
    return read_truth(scores_of(options.scores, options.data) / f"rows_{dates.start}_{dates.end}.parquet")

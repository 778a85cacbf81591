"""``qlib-ext predict``: what a finished run does every evening."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qlib_ext.cli.parser import add_command, add_runs, day

_PREDICT = """\
Score the days that the provider has got since a run has scored its last one. Model, data set and processors
are those of the newest finished run of the experiment, as they were fitted; the provider is that of its
workflow, as it is today. The scores are appended to the run's pred.pkl, and are those that a test over the
longer time would have given, to the bit. A second call finds nothing to do and says so.

Of a second stage or a fusion, the experiments that it reads are predicted first.

A rolling model's last window scores until its step ends. Then a new window is due: the command says so and
stops at that day, with the exit code 1. With --retrain it trains that window, and no other, and goes on.

Before anything is appended the last day that was scored is scored again. If a score is no longer the same,
the past of the provider or the code has changed, and the command refuses, naming the first stock.
"""

_PREDICT_EXAMPLE = """\
examples:
  qlib-ext predict csi300_gru                                  every day up to the provider's last
  qlib-ext predict csi300_gru --out scores.csv                 and the last day's scores as a table, the best first
  qlib-ext predict market_model0 --retrain --out scores.csv    day and week are predicted first, windows trained
  qlib-ext predict csi300_gru --to 2021-12-15                  up to that day
  qlib-ext predict csi300_gru --date 2021-12-15 --out day.csv  the scores of that day, scored now or before

docs/every_evening.md tells the whole evening.
"""


def add_predict(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext predict``."""
    parser = add_command(
        commands, "predict", _predict, "score the days that are new since a run", _PREDICT, _PREDICT_EXAMPLE
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="experiment_name of a workflow")
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--date", type=day, metavar="D", help="score up to this day, of which --out gets the scores")
    until.add_argument("--to", type=day, metavar="D", help="the last day to score (default: the provider's last)")
    parser.add_argument("--retrain", action="store_true", help="train the windows of rolling models that are due")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a CSV of the last day's scores, or those of --date")
    parser.add_argument(
        "--workflows",
        type=Path,
        default=Path("workflows"),
        metavar="DIR",
        help="folder of the workflows, from which `sys: rel_path` leads to modules of your own (default: workflows)",
    )
    add_runs(parser)


def _predict(args: argparse.Namespace) -> int:
    from qlib_ext.live.prediction import predict, scores_on
    from qlib_ext.system.files import write_whole

    done = predict(args.runs, args.experiment, args.date or args.to, args.retrain, args.workflows)
    for each in done:
        if each.rows:
            print(
                f"{each.experiment}: {each.rows} scores of {len(each.days)} days, {each.days[0]:%Y-%m-%d} to "
                f"{each.last:%Y-%m-%d}, run {each.run[:8]}"
            )
        else:
            print(f"{each.experiment}: nothing to do, it is scored to {each.last:%Y-%m-%d}, run {each.run[:8]}")
        if each.due is not None:
            print(
                f"{each.experiment}: a new window is due on {each.due:%Y-%m-%d}; train it with --retrain",
                file=sys.stderr,
            )
    if args.out is not None:
        table = scores_on(args.runs, args.experiment, args.date)
        write_whole(args.out, table.to_csv(index=False).encode(), "Name another file.")
        print(f"wrote {args.out}: {len(table)} scores of {table['datetime'][0]:%Y-%m-%d}")
    return 1 if any(each.due is not None for each in done) else 0

"""``qlib-ext compare``, ``qlib-ext report`` and ``qlib-ext analyse``: what finished runs have come to."""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from qlib_ext.cli.parser import add_command, add_runs, count
from qlib_ext.system.files import write_whole

_COMPARE = """\
Print the Model Zoo's table for the last finished run of each experiment, one row an experiment:
IC, ICIR, Rank IC, Rank ICIR of the prediction, and from the backtest the annualised excess return
over the benchmark without and with cost, its information ratio and its maximum drawdown (with
cost). A run without a backtest shows "-". With --last N, mean and standard deviation over the
last N runs, for example one per seed; runs that differ in more than the seed have a row each.
Figures of the backtest are brought to a year of 252 trading days; Qlib's own, by 238, stand below.
Without an experiment the names of all that the recorder has are printed.

Experiments that were not the same test (universe, test dates, label) stand in tables of their own
and a line below says in what they differ; the best mean is marked (*) among the rows of one test.
The test dates are the days that have an IC, so they end where the data end.

Most files of a run are pickles, and reading a pickle executes what its author put into it: name runs of people
that you trust. Of other runs, --no-pickles shows the figures alone, and not on what they were tested.
"""

_COMPARE_EXAMPLE = """\
examples:
  qlib-ext compare
  qlib-ext compare csi300_lightgbm csi300_gru csi300_astgnn --last 3
  qlib-ext compare csi300_gru --each --last 5
  qlib-ext compare csi300_lightgbm csi300_gru --zoo --html results/compare.html
  qlib-ext compare csi300_lightgbm csi300_gru --markdown > compare.md
"""


def add_compare(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext compare``."""
    parser = add_command(
        commands, "compare", _compare, "print the results of experiments side by side", _COMPARE, _COMPARE_EXAMPLE
    )
    _add_runs(parser, named="*")
    parser.add_argument(
        "--zoo",
        action="store_true",
        help="add what Qlib's Model Zoo published for the same model on Alpha158 and CSI300: other dates and label",
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--html", metavar="FILE", help="write the table as a page of its own as well")


def _add_runs(parser: argparse.ArgumentParser, named: str = "+") -> None:
    parser.add_argument(
        "experiments",
        nargs=named,
        metavar="EXPERIMENT",
        help="experiment_name of a workflow; NAME@RUN is one run of it, by the beginning of its id",
    )
    add_runs(parser)
    parser.add_argument("--last", type=count, default=1, metavar="N", help="runs of each experiment (default: 1)")
    parser.add_argument("--each", action="store_true", help="show the last N runs one by one, not their mean")
    parser.add_argument("--no-pickles", action="store_true", help="read no file that could execute what others wrote")


def _named(args: argparse.Namespace) -> tuple[str, list[str], int]:
    """The store, the names to show, and how many runs of each."""
    from qlib_ext.recorder.runs import each_run, store_of

    store = store_of(args.runs)
    return (
        (store, each_run(store, args.experiments, args.last), 1) if args.each else (store, args.experiments, args.last)
    )


def _reading(args: argparse.Namespace) -> AbstractContextManager[None]:
    from qlib_ext.recorder.runs import without_pickles

    return without_pickles() if args.no_pickles else nullcontext()


def _compare(args: argparse.Namespace) -> int:
    from qlib_ext.analysis.compare import render
    from qlib_ext.analysis.compare.table import comparison
    from qlib_ext.recorder.runs import experiment_names, store_of

    if not args.experiments:
        print("\n".join(experiment_names(store_of(args.runs)) or [f"{args.runs} has no experiment yet"]))
        return 0
    store, names, last = _named(args)
    with _reading(args):
        table = comparison(store, names, last, args.zoo)
    if args.html:
        write_whole(args.html, render.to_html(table).encode(), "Name another file.")
        print(f"wrote {args.html}", file=sys.stderr)
    if args.markdown:
        print(render.to_markdown(table))
    else:
        print(render.to_text(table))
        print(f"\npictures of the last runs: qlib-ext report {' '.join(names)} --runs {args.runs} --out report.html")
        print(f"curves, parameters and files: mlflow ui --backend-store-uri {store}")
    return 0


_REPORT = """\
Write one page about the last finished run of each experiment, side by side, to open in a browser or
to send: it needs no other file and no network. It shows the table of `qlib-ext compare` (over the
last N runs with --last N), net value and excess net value of the strategy and of the groups, Rank IC
by month with its sum, tables by year, correlations, training curves, windows, and the configuration.

Most of it is what FactorRecord saved; a part that a run lacks is left out, and a line near
the top says which record to add to the workflow:

    - class: FactorRecord
      module_path: qlib_ext.analysis.records
      kwargs: {dataset: <DATASET>}

after PortAnaRecord. FactorRecord leaves the page of its own run in the recorder as
factor_analysis/report.html. A page takes about 5 MB, most of it plotly.js.

Most files of a run are pickles, and reading a pickle executes what its author put into it: name runs of people
that you trust. Of other runs, --no-pickles shows the figures, training curves and windows alone.
"""

_REPORT_EXAMPLE = """\
examples:
  qlib-ext report csi300_astgnn --out astgnn.html
  qlib-ext report csi300_lightgbm csi300_gru csi300_astgnn --last 3 --lang zh --out report.html
"""


def add_report(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext report``."""
    parser = add_command(commands, "report", _report, "write a page of pictures and tables", _REPORT, _REPORT_EXAMPLE)
    _add_runs(parser)
    parser.add_argument("--out", default="report.html", metavar="FILE", help="the page (default: report.html)")
    parser.add_argument("--lang", choices=["en", "zh"], default="en", help="English or Chinese (default: en)")


def _report(args: argparse.Namespace) -> int:
    from qlib_ext.analysis.report.page import report

    store, names, last = _named(args)
    with _reading(args):
        page = report(store, names, last, args.lang)
    write_whole(args.out, page.encode(), "Name another file.")
    print(f"wrote {args.out}")
    return 0


_ANALYSE = """\
Let FactorRecord analyse a run that has finished, the last one of an experiment or NAME@RUN, as if its
workflow had had it: Rank IC, groups, decay, price-volume factors, and the strategy where there was a
backtest. What it finds goes into the recorder, with the page of `qlib-ext report` beside it; what an
earlier analysis left is replaced. The model is not trained again.

Options that are not given are those of the FactorRecord of the run's own workflow, where it has one.

A run is read from pickles, and reading a pickle executes what its author put into it: name runs of people that you
trust.
"""

_ANALYSE_EXAMPLE = """\
examples:
  qlib-ext analyse csi300_lightgbm
  qlib-ext analyse market_model0@3f2a9c10 --universes csi300 csi500 --risk ~/risk
"""


def add_analyse(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext analyse``."""
    parser = add_command(
        commands, "analyse", _analyse, "add the factor analysis to a finished run", _ANALYSE, _ANALYSE_EXAMPLE
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="experiment_name of a workflow, or NAME@RUN")
    add_runs(parser)
    parser.add_argument("--data", metavar="PROVIDER", help="the provider's folder (default: that of the run)")
    parser.add_argument("--label", metavar="EXPRESSION", help="the return of the Rank IC (default: the run's label)")
    parser.add_argument("--universes", nargs="+", metavar="NAME", help="test the score inside these as well")
    parser.add_argument("--risk", metavar="DIR", help="folder of `qlib-ext risk`, for the score's exposures")
    parser.add_argument("--lang", choices=["en", "zh"], help="of the page (default: en)")


def _analyse(args: argparse.Namespace) -> int:
    from qlib_ext.analysis.finished import analyse

    options: dict[str, Any] = {"label": args.label, "universes": args.universes, "lang": args.lang}
    options["risk"] = None if args.risk is None else {"kwargs": {"folder": args.risk}}
    given = {name: value for name, value in options.items() if value is not None}
    print(f"wrote {analyse(args.runs, args.experiment, args.data, **given)}")
    return 0

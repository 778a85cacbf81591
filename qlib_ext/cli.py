"""The command `qlib-ext`: one subcommand, one function."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from qlib_ext.errors import QlibExtError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code: 0 done, 2 for an error, told in one line."""
    parser = argparse.ArgumentParser(prog="qlib-ext", description="Tools beside Qlib's own `qrun`.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_market(commands)
    _add_compare(commands)
    _add_report(commands)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except QlibExtError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2


def _add(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


_MARKET = """\
Write a simulated A-share market as a Qlib provider folder: day bars with splits, dividends,
suspensions, price limits, listings and a delisting, industries, float market values, and an
index (instruments csi300, bars SH000300) with dated members and weights.

Its returns hold three planted effects that a model can learn: short-term reversal, a
volatility effect, and an industry lead-lag that only a model across stocks can see. The same
parameters give the same bytes; a folder that already holds them is left as it is.
"""

_MARKET_NEXT = """\
example:
  qlib-ext market --out ~/.qlib/simulated --stocks 100 --days 750 --seed 0

what comes next:
  QLIB_DATA=~/.qlib/simulated qrun workflows/csi300_astgnn.yaml
"""


def _add_market(commands: argparse._SubParsersAction) -> None:
    parser = _add(commands, "market", _market, "write a simulated market to learn and test on", _MARKET, _MARKET_NEXT)
    parser.add_argument("--out", required=True, metavar="DIR", help="the provider folder to write")
    parser.add_argument("--stocks", type=int, default=100, help="how many stocks (default: 100)")
    parser.add_argument("--days", type=int, default=750, help="how many trading days (default: 750, three years)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another market (default: 0)")
    parser.add_argument("--start", default="2014-09-01", metavar="DATE", help="the first day (default: 2014-09-01)")
    parser.add_argument("--overwrite", action="store_true", help="replace the provider that DIR holds")


def _market(args: argparse.Namespace) -> int:
    from qlib_ext.market.simulate import write_market

    written = write_market(args.out, args.stocks, args.days, args.seed, args.start, args.overwrite)
    what = f"{args.stocks} stocks, {args.days} days, seed {args.seed}, from {args.start}"
    print(f"{args.out}: {'wrote a market of' if written else 'already holds the market of'} {what}")
    print(f"next: QLIB_DATA={args.out} qrun workflows/csi300_astgnn.yaml")
    return 0


_COMPARE = """\
Print the Model Zoo's table for the last finished run of each experiment, one row an experiment:
IC, ICIR, Rank IC, Rank ICIR of the prediction, and from the backtest the annualised excess return
over the benchmark without and with cost, its information ratio and its maximum drawdown (with
cost). A run without a backtest shows "-". With --last N, mean and standard deviation over the
last N runs, for example one per seed.

Experiments that were not the same test (universe, test dates, label) stand in tables of their own
and a line below says in what they differ; the best mean is marked (*) among the rows of one test.
The test dates are the days that have an IC, so they end where the data end.
"""

_COMPARE_EXAMPLE = """\
examples:
  qlib-ext compare csi300_lightgbm csi300_gru csi300_astgnn --last 3
  qlib-ext compare csi300_lightgbm csi300_gru --zoo --html results/compare.html
  qlib-ext compare csi300_lightgbm csi300_gru --markdown > compare.md
"""


def _add_compare(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands, "compare", _compare, "print the results of experiments side by side", _COMPARE, _COMPARE_EXAMPLE
    )
    _add_runs(parser)
    parser.add_argument(
        "--zoo",
        action="store_true",
        help="add what Qlib's Model Zoo published for the same model on Alpha158 and CSI300: other dates and label",
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--html", metavar="FILE", help="write the table as a page of its own as well")


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiments", nargs="+", metavar="EXPERIMENT", help="experiment_name of a workflow")
    parser.add_argument(
        "--runs",
        default=os.environ.get("QLIB_RUNS", "mlruns"),
        metavar="DIR",
        help="folder of the runs (default: $QLIB_RUNS, else mlruns)",
    )
    parser.add_argument("--last", type=_count, default=1, metavar="N", help="runs of each experiment (default: 1)")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"is a number of runs, at least 1, not {text!r}")
    return int(text)


def _compare(args: argparse.Namespace) -> int:
    from qlib_ext.analysis import render
    from qlib_ext.analysis.compare import comparison
    from qlib_ext.analysis.runs import store_of

    store = store_of(args.runs)
    table = comparison(store, args.experiments, args.last, args.zoo)
    if args.html:
        render.write(args.html, render.to_html(table))
        print(f"wrote {args.html}", file=sys.stderr)
    if args.markdown:
        print(render.to_markdown(table))
    else:
        print(render.to_text(table))
        names = " ".join(args.experiments)
        print(f"\npictures of the last runs: qlib-ext report {names} --runs {args.runs} --out report.html")
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
"""

_REPORT_EXAMPLE = """\
examples:
  qlib-ext report csi300_astgnn --out astgnn.html
  qlib-ext report csi300_lightgbm csi300_gru csi300_astgnn --last 3 --lang zh --out report.html
"""


def _add_report(commands: argparse._SubParsersAction) -> None:
    parser = _add(commands, "report", _report, "write a page of pictures and tables", _REPORT, _REPORT_EXAMPLE)
    _add_runs(parser)
    parser.add_argument("--out", default="report.html", metavar="FILE", help="the page (default: report.html)")
    parser.add_argument("--lang", choices=["en", "zh"], default="en", help="English or Chinese (default: en)")


def _report(args: argparse.Namespace) -> int:
    from qlib_ext.analysis import render
    from qlib_ext.analysis.report import report
    from qlib_ext.analysis.runs import store_of

    render.write(args.out, report(store_of(args.runs), args.experiments, args.last, args.lang))
    print(f"wrote {args.out}")
    return 0

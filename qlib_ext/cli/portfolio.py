"""``qlib-ext enhance``: the settings of the reports' tables of index enhancement, all at once."""

from __future__ import annotations

import argparse
import sys

from qlib_ext.cli.parser import add_command, add_data, add_runs, count

_ENHANCE = """\
Enhance indices with a recorded score: CSI300 (tracking error 4 %), CSI500 and CSI1000 (5 %), each
with one-sided turnover of 10, 20 and 30 % a week, with 80 % in members of the index or any share:
18 settings. Each runs on a ledger that makes of orders what Qlib's account does, and is kept in
the folder --out once it is finished; a run that was stopped goes on.

Printed are the excess returns over the index by year, and a summary of each setting.
qlib_ext.portfolio.results says what the kept files hold.
"""

_ENHANCE_EXAMPLE = """\
examples:
  qlib-ext enhance market_day_gru --data ~/.qlib/qlib_data/cn_data --risk ~/.qlib/risk --out grid
  qlib-ext enhance market_day_gru --data ~/.qlib/qlib_data/cn_data --risk ~/.qlib/risk --out grid \\
      --indices csi500 --turnover 0.2 --members 0.8 --limit close --first 2019-01-01
"""


def add_enhance(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext enhance``."""
    parser = add_command(
        commands, "enhance", _enhance, "hold a score as enhanced indices of many settings", _ENHANCE, _ENHANCE_EXAMPLE
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="whose last finished run's score is held")
    add_runs(parser)
    add_data(parser)
    parser.add_argument("--risk", required=True, metavar="DIR", help="a risk model of it, by `qlib-ext risk`")
    parser.add_argument("--out", required=True, metavar="DIR", help="where finished settings are kept")
    parser.add_argument("--first", metavar="DAY", help="first day of trade (default: the day after the first score)")
    parser.add_argument("--last", metavar="DAY", help="last day of trade (default: the day of the last score)")
    parser.add_argument("--indices", nargs="+", default=["csi300", "csi500", "csi1000"], metavar="NAME")
    parser.add_argument("--turnover", nargs="+", type=float, default=[0.1, 0.2, 0.3], metavar="FRACTION")
    parser.add_argument(
        "--members", nargs="+", type=_share, default=[0.8, None], metavar="SHARE", help="fractions, or any"
    )
    parser.add_argument("--limit", choices=["one_price", "close"], default="one_price", help="see BoardExchange")
    parser.add_argument("--account", type=float, default=1e8, metavar="YUAN", help="(default: 100 million)")
    parser.add_argument("--backend", choices=["serial", "loky", "ray"], default="loky")
    parser.add_argument("--n-jobs", type=count, default=2, metavar="N", help="settings at the same time (default: 2)")


def _share(text: str) -> float | None:
    if text == "any":
        return None
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"is a fraction above 0, at most 1, or any, not {text!r}")
    return share


def _enhance(args: argparse.Namespace) -> int:
    from qlib_ext.portfolio.grid import GridData, grid_jobs, grid_tables, recorded_score, run_grid
    from qlib_ext.provider.facts import ProviderFacts

    def progress(done: int, wanted: int, name: str) -> None:
        print(f"{done} of {wanted} settings: {name}", file=sys.stderr, flush=True)

    jobs = grid_jobs(args.indices, args.turnover, args.members)
    score = recorded_score(args.runs, args.experiment)
    first = args.first or f"{score.index[1]:%Y-%m-%d}"
    last = args.last or f"{score.index[-1]:%Y-%m-%d}"
    data = GridData(args.data, args.risk, first, last, score, cash=args.account, limit=args.limit)
    years, summary = grid_tables(run_grid(data, jobs, args.out, args.backend, args.n_jobs, progress))
    print(ProviderFacts.of(args.data))
    print(years.map("{:.2%}".format).T.to_string())
    print(summary.round(4).to_string())
    return 0

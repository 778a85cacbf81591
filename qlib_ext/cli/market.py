"""`qlib-ext market`, a simulated market to learn and test on; `qlib-ext fields`, a table -> fields of a provider."""

from __future__ import annotations

import argparse
import sys

from qlib_ext.cli.parser import add_command, count, tell_unknown

_MARKET = """\
Write a simulated A-share market as a Qlib provider folder: day bars with splits, dividends,
suspensions, price limits, listings and a delisting, industries, float market values, and an
index (instruments csi300, bars SH000300) with dated members and weights.

Its returns hold four planted effects that a model can learn: short-term reversal, a
volatility effect, momentum of half a year, and an industry lead-lag that only a model across
stocks can see. The same parameters give the same bytes; a folder that already holds them is left
as it is.

--ticks writes the same market's minute bars, and for the last days its trades and orders, into a
folder of its own. They add up to the day bars, and informed traders leave traces in them that the
high-frequency factors find (`qlib_ext.simulator.informed` says which).
"""

_MARKET_NEXT = """\
examples:
  qlib-ext market --out ~/.qlib/simulated --stocks 100 --days 750 --seed 0
  qlib-ext market --out ~/.qlib/simulated --ticks ~/simulated-ticks --ticks-days 20

what comes next:
  QLIB_DATA=~/.qlib/simulated qrun workflows/csi300_astgnn.yaml
  qlib-ext ticks build --minute ~/simulated-ticks/minute --out ~/.qlib/simulated
"""

_FIELDS = """\
Write columns of a table, CSV or Parquet, into a Qlib provider, so that expressions and handlers can
use them: the column pe becomes the field $pe. A row has an instrument (SH600000), a day and the values
that are known on that day.

A value stands on its own day alone, as a turnover does; with --hold until the stock's next row, as an
industry does. No expression sees a value before its day. Stocks that the provider lacks are left out
and counted. Each file is written whole or not at all; a run that was stopped is repeated with --overwrite.
"""

_FIELDS_EXAMPLE = """\
examples:
  qlib-ext fields --table industry.csv --columns industry --date start --hold --digits 2 --out ~/.qlib/qlib_data/cn_data
  qlib-ext fields --table valuation.parquet --columns float_mv turnover --out ~/.qlib/qlib_data/cn_data

what comes next:
  GRAPH_GROUP='$industry' QLIB_DATA=~/.qlib/qlib_data/cn_data qrun workflows/market_day_astgnn.yaml
"""


def add_market(commands: argparse._SubParsersAction) -> None:
    """`qlib-ext market`."""
    parser = add_command(
        commands, "market", _market, "write a simulated market to learn and test on", _MARKET, _MARKET_NEXT
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the provider folder to write")
    parser.add_argument("--stocks", type=int, default=100, help="how many stocks (default: 100)")
    parser.add_argument("--days", type=int, default=750, help="how many trading days (default: 750, three years)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another market (default: 0)")
    parser.add_argument("--start", default="2014-09-01", metavar="DATE", help="the first day (default: 2014-09-01)")
    parser.add_argument("--ticks", metavar="DIR", help="a folder for its minute bars, trades and orders")
    parser.add_argument(
        "--ticks-days",
        type=int,
        metavar="N",
        help="trades and orders of the last N days (default: 0, minute bars alone)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what --out and --ticks hold")


def _market(args: argparse.Namespace) -> int:
    from qlib_ext.errors import DataError
    from qlib_ext.simulator.simulate import write_market

    if args.ticks_days is not None and args.ticks is None:
        raise DataError("--ticks-days says how many days of trades and orders --ticks DIR gets; name that folder, too")
    same = {name: getattr(args, name) for name in ("stocks", "days", "seed", "start", "overwrite")}
    what = f"{args.stocks} stocks, {args.days} days, seed {args.seed}, from {args.start}"
    written = write_market(args.out, **same)
    print(f"{args.out}: {'wrote a market of' if written else 'already holds the market of'} {what}")
    if args.ticks is not None:
        from qlib_ext.simulator.ticks import write_ticks

        written = write_ticks(args.ticks, ticks_days=args.ticks_days or 0, **same)
        print(f"{args.ticks}: {'wrote the ticks of' if written else 'already holds the ticks of'} this market")
        print(f"next: qlib-ext ticks build --minute {args.ticks}/minute --out {args.out}")
    print(f"next: QLIB_DATA={args.out} qrun workflows/csi300_astgnn.yaml")
    return 0


def add_fields(commands: argparse._SubParsersAction) -> None:
    """`qlib-ext fields`."""
    parser = add_command(commands, "fields", _fields, "a table -> fields of a provider", _FIELDS, _FIELDS_EXAMPLE)
    parser.add_argument("--table", required=True, metavar="FILE", help="CSV or Parquet with a row a stock and day")
    parser.add_argument("--columns", required=True, nargs="+", metavar="NAME", help="the columns that become fields")
    parser.add_argument("--out", required=True, metavar="PROVIDER", help="a Qlib provider of day bars")
    parser.add_argument(
        "--date", default="date", metavar="NAME", help="the column of the day a value is known (default: date)"
    )
    parser.add_argument("--hold", action="store_true", help="a value stands until the stock's next row")
    parser.add_argument(
        "--digits",
        type=count,
        metavar="N",
        help="the first N digits of a code are the value, such as 2 for the first level of the industry 370102",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace values of fields that are there already")


def _fields(args: argparse.Namespace) -> int:
    from qlib_ext.provider.tables import add_fields, read_table

    added = add_fields(
        args.out,
        read_table(args.table),
        args.columns,
        date_column=args.date,
        hold=args.hold,
        digits=args.digits,
        overwrite=args.overwrite,
    )
    tell_unknown(added.unknown, args.out)
    if added.off_calendar:
        print(f"left out {added.off_calendar} rows outside the calendar of {args.out}", file=sys.stderr)
    named = " ".join(f"${column.lower()}" for column in args.columns)
    print(f"{args.out}: {named} of {added.instruments} instruments, {added.changed} files changed")
    return 0

"""``qlib-ext fields``: columns of a table become fields of a provider."""

from __future__ import annotations

import argparse
import sys

from qlib_ext.cli.parser import add_command, count, tell_unknown

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


def add_fields(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext fields``."""
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

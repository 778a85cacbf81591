"""``qlib-ext fields`` and ``fundamentals``: columns of a table become fields of a provider."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qlib_ext.cli.parser import add_command, add_data, count, tell_unknown
from qlib_ext.fundamentals.formulas import FORMULAS

if TYPE_CHECKING:
    from qlib_ext.provider.tables import Added  # polars, which takes its time

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
    parser = add_command(
        commands, "fields", _fields, "write columns of a table as fields of a provider", _FIELDS, _FIELDS_EXAMPLE
    )
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
    _tell(added, args.columns, args.out)
    return 0


_GROUP_MEAN = """\
Write a field that tells a stock of the others of its group: the mean of theirs on the same day, without
its own. $industry_change, the mean of $change over the others of a stock's $industry, is read by
qlib-ext search where it is there, and by any expression: Mean($industry_change, 5).
"""

_GROUP_MEAN_EXAMPLE = """\
examples:
  qlib-ext group-mean --data ~/.qlib/qlib_data/cn_data --field change --group industry

what comes next: qlib-ext search
"""


def add_group_mean(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext group-mean``."""
    parser = add_command(
        commands,
        "group-mean",
        _group_mean,
        "write the mean of a stock's group as a field of a provider",
        _GROUP_MEAN,
        _GROUP_MEAN_EXAMPLE,
    )
    add_data(parser)
    parser.add_argument("--field", required=True, metavar="NAME", help="whose mean is taken, without $, such as change")
    parser.add_argument("--group", required=True, metavar="NAME", help="the field with the group, such as industry")
    parser.add_argument("--overwrite", action="store_true", help="compute a field that is there already anew")


def _group_mean(args: argparse.Namespace) -> int:
    from qlib_ext.provider import group_means

    name, changed = group_means.add_group_mean(args.data, args.field, args.group, args.overwrite)
    print(f"${name}: {changed} files written in {args.data}")
    return 0


_FUNDAMENTALS = """\
Write what companies report into a Qlib provider as daily fields, as each day knew it. A row of the table
has an instrument, the last day of the quarter (period), the day of the announcement (announced) and the
reported values. A value is seen from the trading day after its announcement until the next one; a
restatement changes nothing before it. Without a day of the announcement a report is dated by its
deadline: 30 April for the year and the first quarter, 31 August, 31 October.

measures, each with the columns that it is made of:
{measures}
x is the reported value, q that of the quarter alone, P the latest quarter known. All of them are made of
what was known on the day, of one quarter. Statements of profit and cash add up from the first quarter of
a year on; --quarterly says that yours do not. The field of earnings is $earnings, or $earnings_ttm.
"""

_FUNDAMENTALS_EXAMPLE = """\
examples:
  qlib-ext fundamentals --table reports.parquet --latest equity --ttm earnings sales --yoy sales \\
      --out ~/.qlib/qlib_data/cn_data
  qlib-ext fundamentals --pit ~/.qlib/qlib_data/cn_data/financial --latest roewa yoyni \\
      --out ~/.qlib/qlib_data/cn_data

what comes next: $earnings_ttm / $total_mv is a column of any handler.
"""


def add_fundamentals(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext fundamentals``."""
    measures = "\n".join(f"  --{name:<8} {formula}" for name, formula in FORMULAS.items())
    parser = add_command(
        commands,
        "fundamentals",
        _fundamentals,
        "write companies' reports as fields of a provider, as each day knew them",
        _FUNDAMENTALS.format(measures=measures),
        _FUNDAMENTALS_EXAMPLE,
    )
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--table", metavar="FILE", help="CSV or Parquet with a row an announcement")
    given.add_argument("--pit", metavar="DIR", help="a folder financial of Qlib's own point-in-time data")
    for name in FORMULAS:
        parser.add_argument(f"--{name}", nargs="+", default=[], metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--out", required=True, metavar="PROVIDER", help="a Qlib provider of day bars")
    parser.add_argument(
        "--quarterly", action="store_true", help="values are of the quarter alone, not of the year so far"
    )
    parser.add_argument("--period", default="period", metavar="NAME", help="the column of the quarter's last day")
    parser.add_argument("--announced", default="announced", metavar="NAME", help="the column of the announcement's day")
    parser.add_argument("--overwrite", action="store_true", help="replace values of fields that are there already")


def _fundamentals(args: argparse.Namespace) -> int:
    from qlib_ext.errors import ConfigError
    from qlib_ext.fundamentals.fields import add_fundamentals, field_of
    from qlib_ext.fundamentals.pit import read_pit
    from qlib_ext.provider.tables import read_table

    measures = {name: getattr(args, name) for name in FORMULAS}
    columns = sorted({column for own in measures.values() for column in own})
    if not columns:
        raise ConfigError("Name what is to be written, such as --latest equity or --ttm earnings.")
    table = read_table(args.table) if args.pit is None else read_pit(args.pit, columns)
    added = add_fundamentals(
        args.out, table, measures, not args.quarterly, args.period, args.announced, overwrite=args.overwrite
    )
    _tell(added, [field_of(column, name) for name, own in measures.items() for column in own], args.out)
    return 0


def _tell(added: Added, columns: Sequence[str], out: str) -> None:
    """What came of a table, on two streams: what was left out, and what was written."""
    tell_unknown(added.unknown, out)
    if added.off_calendar:
        print(f"left out {added.off_calendar} rows outside the calendar of {out}", file=sys.stderr)
    named = " ".join(f"${column.lower()}" for column in columns)
    print(f"{out}: {named} of {added.instruments} instruments, {added.changed} files changed")

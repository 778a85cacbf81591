"""``qlib-ext factor``: the single-factor test of any expressions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qlib_ext.cli.parser import add_command, add_data, count, day

_FACTOR = """\
Test factors as the report tests its high-frequency factors (Huatai Securities, artificial intelligence
series 72, exhibits 7, 23, 26, 35, 37 and 42): every week the mean of a factor's last 20 days, clipped at
3 MADs, neutral to industry and size, standardised; its Rank IC with the return of the next week, and
five groups that are bought the next day. Whoever does not trade that day, or closes at its upper limit,
is left out. Printed is one line a factor; the page has the groups' net values, the Rank IC added up,
years and the correlations as well.

FACTOR is an expression of the provider's fields, which is quoted for the shell and does not begin with a
minus ('0 - $close', not '-$close', which is taken for an option), or one of these words:
  alpha158   the 158 price-volume features of Qlib
  highfreq   the 27 high-frequency factors that `qlib-ext ticks build` writes, turned as in the report
  styles     24 price-volume factors, or one of them by its name, such as VOL20
"""

_FACTOR_EXAMPLE = """\
examples:
  qlib-ext factor '0 - $close / Ref($close, 20)' 'Std($change, 20)' --data ~/.qlib/qlib_data/cn_data
  qlib-ext factor highfreq --data ~/.qlib/qlib_data/cn_data --start 2013-02-01 --out factors.html
  qlib-ext factor alpha158 --data ~/.qlib/qlib_data/cn_data --universe csi500 --size '$total_mv' --industry none
  qlib-ext factor --file mine.yaml --data ~/.qlib/qlib_data/cn_data --no-neutral --mean 1
"""


def add_factor(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext factor``."""
    parser = add_command(
        commands, "factor", _factor, "test factors one by one: Rank IC, groups, correlations", _FACTOR, _FACTOR_EXAMPLE
    )
    parser.add_argument("factors", nargs="*", metavar="FACTOR", help="an expression, or alpha158, highfreq, styles")
    parser.add_argument("--file", type=Path, metavar="FILE", help="YAML, a line NAME: expression for each factor")
    add_data(parser)
    parser.add_argument("--universe", default="all", metavar="NAME", help="the provider's instruments (default: all)")
    parser.add_argument("--start", type=day, metavar="D", help="first day (default: the provider's)")
    parser.add_argument("--end", type=day, metavar="D", help="last day (default: the provider's)")
    parser.add_argument("--mean", type=count, default=20, metavar="N", help="days of the mean (default: 20; 1: none)")
    parser.add_argument("--no-clip", action="store_true", help="do not clip at 3 scaled MADs")
    parser.add_argument("--no-neutral", action="store_true", help="do not take out industry and size")
    parser.add_argument("--no-zscore", action="store_true", help="do not standardise")
    parser.add_argument(
        "--industry",
        default="$industry",
        metavar="EXPR",
        help="a number for each industry, or none (default: $industry)",
    )
    parser.add_argument("--size", default="$float_mv", metavar="EXPR", help="market value (default: $float_mv)")
    parser.add_argument("--price", default="$close", metavar="FIELD", help="stocks are traded at (default: $close)")
    parser.add_argument("--groups", type=count, default=5, metavar="N", help="(default: 5)")
    parser.add_argument("--rebalance", type=count, default=5, metavar="N", help="trading days of a period (default: 5)")
    parser.add_argument(
        "--limit", type=_limit, default=0.095, metavar="R", help="return at the upper limit, or none (default: 0.095)"
    )
    parser.add_argument(
        "--turn", action="store_true", help="sell where high what has a mean Rank IC below 0, known only afterwards"
    )
    parser.add_argument("--out", metavar="FILE", help="write the page as well")
    parser.add_argument("--lang", choices=["en", "zh"], default="en", help="of the page (default: en)")
    parser.add_argument("--csv", metavar="FILE", help="write the printed table with all digits as well")


def _limit(text: str) -> float | None:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"is a return such as 0.095, or none, not {text!r}") from error


def _factor(args: argparse.Namespace) -> int:
    import qlib

    from qlib_ext.analysis.single_factor.setting import Setting
    from qlib_ext.errors import ConfigError
    from qlib_ext.provider.check import check_provider

    setting = Setting(
        universe=args.universe,
        start=args.start,
        end=args.end,
        mean_days=args.mean,
        clip=not args.no_clip,
        neutral=not args.no_neutral,
        zscore=not args.no_zscore,
        industry=None if args.industry == "none" else args.industry,
        size=args.size,
        price=args.price,
        groups=args.groups,
        rebalance=args.rebalance,
        limit=args.limit,
        turn=args.turn,
    )
    if not args.factors and args.file is None:
        raise ConfigError("No factor is named: give an expression, alpha158, highfreq, styles, or --file FILE.")
    check_provider(args.data)
    provider = Path(args.data).expanduser().absolute()
    qlib.init(provider_uri=str(provider), region="cn", logging_level=30)

    from handlers.expression_file import read_columns, refuse_future
    from qlib_ext.analysis.single_factor.names import named_factors
    from qlib_ext.analysis.single_factor.testing import factor_tests, printed_summary
    from qlib_ext.system.files import write_whole

    expressions, styles, left_out = named_factors(args.factors, provider)
    for name, expression in expressions.items():
        refuse_future(repr(name), expression)
    if args.file is not None:
        expressions |= dict(zip(*reversed(read_columns(args.file)), strict=True))
    tests = factor_tests(setting, expressions, styles, lambda name: print(f"tested {name}", file=sys.stderr))
    tests.left_out.update(left_out)
    for name, reason in tests.left_out.items():
        print(f"left out {name}: {reason}", file=sys.stderr)
    print(tests.provider)
    print(printed_summary(tests.summary))
    if args.csv:
        write_whole(args.csv, tests.summary.rename_axis("factor").to_csv().encode(), "Name another file.")
        print(f"wrote {args.csv}", file=sys.stderr)
    if args.out:
        from qlib_ext.analysis.single_factor.page import factor_page

        write_whole(args.out, factor_page(tests, setting, args.lang).encode(), "Name another file.")
        print(f"wrote {args.out}", file=sys.stderr)
    return 0

"""``qlib-ext relations``: who is related to whom, kept beside a provider."""

from __future__ import annotations

import argparse

from qlib_ext.cli.parser import add_command, count, tell_unknown

_RELATIONS = """\
Keep one kind of relation between stocks beside a Qlib provider, so that handlers can ask for it by
name (relations: [$industry, suppliers, neighbours]) and nets such as RSR hear of related stocks. Stocks
of one value of a field, such as $industry, are related without a table.

  --table FILE    CSV or Parquet: memberships (instrument, group, from, to), stocks of one group being
                  related, or edges (source, target, weight, from, to), the target hearing of the source
  --neighbours K  the K stocks whose values of the last days are most like those of a stock, made anew
                  on the first day of each month or week: values of --expressions

A relation is seen from its first day to its last, never before; an empty "to" means to the end.
Instruments that the provider lacks are left out and counted.
"""

_EXAMPLES = """\
examples:
  qlib-ext relations --table concepts.csv --kind concept --out ~/.qlib/qlib_data/cn_data
  qlib-ext relations --table suppliers.csv --kind suppliers --out ~/.qlib/qlib_data/cn_data
  qlib-ext relations --neighbours 20 --expressions '$close/Ref($close,1)-1' --days 240 \\
      --instruments csi300 --kind neighbours --out ~/.qlib/qlib_data/cn_data
  qlib-ext relations --neighbours 15 --expressions ROE BP SP SALES_GROWTH DEBT_TO_ASSETS --percentiles 0.6 \\
      --similarity cosine --kind financial --out ~/.qlib/qlib_data/cn_data

what comes next:
  QLIB_DATA=~/.qlib/qlib_data/cn_data qrun workflows/csi300_rsr.yaml
"""


def add_relations(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext relations``."""
    parser = add_command(
        commands, "relations", _relations, "write relations between stocks beside a provider", _RELATIONS, _EXAMPLES
    )
    parser.add_argument("--kind", required=True, metavar="NAME", help="what handlers call it, such as industry")
    parser.add_argument("--out", required=True, metavar="PROVIDER", help="a Qlib provider of day bars")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--table", metavar="FILE", help="CSV or Parquet of memberships or edges")
    given.add_argument("--neighbours", type=count, metavar="K", help="how many nearest neighbours of each stock")
    parser.add_argument(
        "--expressions",
        nargs="+",
        metavar="EXPR",
        help="whose values make neighbours; ROE and the other indicators of handlers.fundamentals by their name",
    )
    parser.add_argument(
        "--percentiles",
        type=float,
        metavar="SHARE",
        help="take percentiles of the day, of stocks that have this share of the values; what is missing is the middle",
    )
    parser.add_argument("--days", type=count, default=1, metavar="N", help="of how many last days (default: 1)")
    parser.add_argument("--every", default="month", help="month or week (default: month)")
    parser.add_argument("--similarity", default="correlation", help="correlation or cosine (default: correlation)")
    parser.add_argument("--instruments", default="all", metavar="NAME", help="among whom (default: all)")
    parser.add_argument("--overwrite", action="store_true", help="replace what the provider has of this kind")


def _relations(args: argparse.Namespace) -> int:
    from qlib_ext.errors import DataError
    from qlib_ext.provider.tables import read_table
    from qlib_ext.relations.tables import write_relations

    if (args.neighbours is None) != (args.expressions is None):
        raise DataError("--neighbours K and --expressions EXPR belong together; give both.")
    if args.table is not None:
        table = read_table(args.table)
    else:
        import qlib

        from qlib_ext.factors.fundamentals import FIELDS, INDICATORS
        from qlib_ext.provider.check import check_provider
        from qlib_ext.relations.neighbours import nearest_neighbours, read_values

        check_provider(args.out)
        qlib.init(provider_uri=args.out, region="cn", logging_level=30)
        expressions = [INDICATORS[name].expression(FIELDS) if name in INDICATORS else name for name in args.expressions]
        values = read_values(expressions, args.instruments)
        table = nearest_neighbours(values, args.neighbours, args.days, args.every, args.similarity, args.percentiles)
    written = write_relations(args.out, table, args.kind, args.overwrite)
    tell_unknown(written.unknown, args.out)
    print(f"{args.out}: {written.rows} rows of {args.kind} relate {written.instruments} instruments")
    return 0

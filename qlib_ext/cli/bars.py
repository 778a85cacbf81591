"""``qlib-ext provider``: a table of day bars becomes a provider."""

from __future__ import annotations

import argparse
import sys

from qlib_ext.cli.parser import add_command

_PROVIDER = """\
Write a Qlib provider of a table of day bars, CSV (UTF-8 or GBK) or Parquet, and check it. A row is a
stock on a day: instrument (SH600000, 600000.SH or 600000), date, open, high, low, close, volume; also
vwap, amount, factor, and any other number, each of which becomes a field.

With a column factor, prices are as traded: they are written times the factor, volume divided by it, as
Qlib wants them. Without one they are taken as adjusted. vwap, where there is none, is amount / volume,
of yuan and shares. Prices are empty on days without trading.

--members csi300=FILE has rows instrument, start and end (empty: until now), also of members of the
past. What cannot be right is an error that names the row; what only looks wrong is counted on stderr.
"""

_PROVIDER_EXAMPLE = """\
examples:
  qlib-ext provider --bars bars.csv --index SH000300 --members csi300=csi300.csv --out ~/.qlib/my_data
  qlib-ext provider --bars bars.parquet --index SH000300 SH000905 --out ~/.qlib/my_data --overwrite

what comes next:
  QLIB_DATA=~/.qlib/my_data qrun workflows/csi300_gru.yaml
"""


def add_provider(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext provider``."""
    parser = add_command(
        commands, "provider", _provider, "make a provider of a table of day bars", _PROVIDER, _PROVIDER_EXAMPLE
    )
    parser.add_argument("--bars", required=True, metavar="FILE", help="CSV or Parquet with a row a stock and day")
    parser.add_argument(
        "--index", nargs="+", default=[], metavar="CODE", help="instruments of the bars that are indices: SH000300"
    )
    parser.add_argument(
        "--members", nargs="+", default=[], metavar="NAME=FILE", help="the stocks of a universe, and from when to when"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the provider folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the provider that --out holds")


def _provider(args: argparse.Namespace) -> int:
    from qlib_ext.errors import ConfigError
    from qlib_ext.provider.bars import write_bars
    from qlib_ext.provider.tables import read_table

    members = {}
    for text in args.members:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise ConfigError(f"--members is NAME=FILE, such as csi300=csi300.csv, not {text!r}.")
        members[name] = read_table(path)
    written = write_bars(args.out, read_table(args.bars), members, args.index, args.overwrite)
    for warning in written.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"wrote {written.facts}")
    print(f"next: QLIB_DATA={args.out} qrun workflows/csi300_gru.yaml")
    return 0

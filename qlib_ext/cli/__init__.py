"""The command `qlib-ext`: a file for the subcommands of each room, a function for each subcommand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from qlib_ext.cli.analysis import add_compare, add_report
from qlib_ext.cli.market import add_fields, add_market
from qlib_ext.cli.ticks import add_ticks
from qlib_ext.errors import QlibExtError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code: 0 done, 2 for an error, told in one line."""
    parser = argparse.ArgumentParser(prog="qlib-ext", description="Tools beside Qlib's own `qrun`.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_market(commands)
    add_fields(commands)
    add_compare(commands)
    add_report(commands)
    add_ticks(commands)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except QlibExtError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2

"""The command ``qlib-ext``: a file for the subcommands of each room, a function for each subcommand."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from qlib_ext.cli.analysis import add_analyse, add_compare, add_report
from qlib_ext.cli.bars import add_provider
from qlib_ext.cli.factor import add_factor
from qlib_ext.cli.live import add_check, add_orders, add_predict
from qlib_ext.cli.portfolio import add_enhance
from qlib_ext.cli.provider import add_fields, add_fundamentals, add_group_mean
from qlib_ext.cli.relations import add_relations
from qlib_ext.cli.risk import add_risk, add_weights
from qlib_ext.cli.search import add_search
from qlib_ext.cli.simulator import add_market
from qlib_ext.cli.ticks import add_ticks
from qlib_ext.cli.workflows import add_init, add_run, add_workflows
from qlib_ext.errors import QlibExtError
from qlib_ext.system.quiet import quieten


class Parser(argparse.ArgumentParser):
    """Says of an expression that was taken for an option how it is written."""

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: -") and "$" in message:
            message += "; an expression that begins with a minus is taken for an option: write '0 - $close'"
        super().error(message)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all subcommands."""
    parser = Parser(prog="qlib-ext", description="Tools beside Qlib's own `qrun`.")
    parser.add_argument("--version", action="version", version=f"qlib_ext {version('qlib_ext')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        add_market,
        add_provider,
        add_fields,
        add_fundamentals,
        add_group_mean,
        add_relations,
        add_ticks,
        add_weights,
        add_risk,
        add_enhance,
        add_factor,
        add_search,
        add_workflows,
        add_init,
        add_run,
        add_check,
        add_predict,
        add_orders,
        add_analyse,
        add_compare,
        add_report,
    ):
        add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code: 0 done, 2 for an error, which one line explains, 130 for Ctrl-C."""
    args = make_parser().parse_args(argv)
    quieten()
    try:
        code: int = args.run(args)
        sys.stdout.flush()  # what is left of the output meets a reader that is gone here, not after the last line
        return code
    except QlibExtError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `qlib-ext workflows | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130

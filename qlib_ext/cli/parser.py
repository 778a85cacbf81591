"""What subcommands share: how they come to the parser, types of arguments, lines on stderr."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import date


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], int] | None,
    summary: str,
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """A subcommand whose help shows description and epilog as they are written.

    ``run`` returns its exit code; None where it has subcommands of its own.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_runs(parser: argparse.ArgumentParser) -> None:
    """The option ``--runs``."""
    parser.add_argument(
        "--runs",
        default=os.environ.get("QLIB_RUNS", "mlruns"),
        metavar="DIR",
        help="folder of the runs (default: $QLIB_RUNS, else mlruns)",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """The option ``--data``."""
    known = os.environ.get("QLIB_DATA")
    parser.add_argument(
        "--data",
        default=known,
        required=not known,
        metavar="PROVIDER",
        help="a Qlib provider of day bars (default: $QLIB_DATA)",
    )


def count(text: str) -> int:
    """A number of things that is at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"is a number, at least 1, not {text!r}")
    return int(text)


def day(text: str) -> str:
    """A date such as 2023-02-01."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"it is a date such as 2023-02-01, not {text!r}") from error


def tell_unknown(instruments: Sequence[str], provider: str) -> None:
    """Say which instruments a command left out because the provider does not have them."""
    if instruments:
        print(f"left out {len(instruments)} instruments unknown to {provider}, first {instruments[0]}", file=sys.stderr)

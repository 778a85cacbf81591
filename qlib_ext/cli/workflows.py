"""``qlib-ext workflows``, ``qlib-ext init`` and ``qlib-ext run``: what workflows there are, their files, running."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from qlib_ext.cli.parser import add_command, add_runs

_WORKFLOWS = """\
Print what workflows there are: what each is, what it needs of the provider or of other runs, and the
variables of the environment that it takes. With names, these alone, with the defaults of their variables.

csi300_*  one universe and one data set, the same test for every model: begin here
yahoo_*   the same by data without $vwap, such as Qlib's public ones: traded at the close
market_*  the whole market, as the reports have it: data sets, several frequencies, and what weights them
"""

_WORKFLOWS_EXAMPLE = """\
examples:
  qlib-ext workflows
  qlib-ext workflows csi300_gru 'market_model*'

what comes next:
  qlib-ext init workflows
  QLIB_DATA=~/.qlib/qlib_data/cn_data TEST=2018-01-01 qrun workflows/csi300_gru.yaml
"""

_INIT = """\
Write the files of all workflows into a folder. Each reads from top to bottom and needs no other file:
change it, copy it under another experiment_name, and run it with qrun or with `qlib-ext run`. Files that
are there already as they would be written are left as they are; if one is another, nothing is written.
"""

_INIT_EXAMPLE = """\
examples:
  qlib-ext init workflows
  qlib-ext init workflows --overwrite

what comes next:
  QLIB_DATA=~/.qlib/qlib_data/cn_data qrun workflows/csi300_astgnn.yaml
"""

_RUN = """\
Run workflows with qrun one after the other, each after those that it reads: market_model0 weights what
market_day_gru and market_week_resnet_gru left, so they run first. In the end write one page on which all
stand side by side.

A workflow is not run again while its last finished run is of the same configuration and provider and no
older than what it read. One that the provider does not suffice for, or that reads a run which is not
there, is left out with one line that says why. A file that cannot be read stops the command only where it
is asked for, or read by one that is. What a run prints goes into DIR/logs/NAME.log.

The variables that `qlib-ext workflows` lists hold for all that run. The exit code is 1 where one failed.
"""

_RUN_EXAMPLE = """\
examples:
  qlib-ext run market_model0 --data ~/.qlib/qlib_data/cn_data
  EPOCHS=5 STEP=1Y qlib-ext run 'csi300_*_rolling'
  qlib-ext run 'market_*'
"""


def add_workflows(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext workflows``."""
    parser = add_command(
        commands, "workflows", _list, "list the workflows and what they take", _WORKFLOWS, _WORKFLOWS_EXAMPLE
    )
    parser.add_argument("names", nargs="*", metavar="WORKFLOW", help="a name, or a pattern such as 'market_*'")


def _list(args: argparse.Namespace) -> int:
    from qlib_ext.workflows.listing import details, overview
    from qlib_ext.workflows.reading import select
    from qlib_ext.workflows.table import TABLE

    names = [name for pattern in args.names for name in select(TABLE, pattern)]
    print("\n\n\n".join(details(name) for name in dict.fromkeys(names)) if names else overview())
    return 0


def add_init(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext init``."""
    parser = add_command(commands, "init", _init, "write the files of the workflows", _INIT, _INIT_EXAMPLE)
    parser.add_argument("folder", type=Path, metavar="DIR", help="where they go, such as workflows")
    parser.add_argument("--overwrite", action="store_true", help="replace files that were changed")


def _init(args: argparse.Namespace) -> int:
    from qlib_ext.workflows.files import write_workflows
    from qlib_ext.workflows.table import TABLE

    written = write_workflows(args.folder, args.overwrite)
    print(f"{args.folder}: {len(TABLE)} workflows, of which {len(written)} were written")
    print(f"next: QLIB_DATA=DIR qrun {args.folder}/csi300_astgnn.yaml, and `qlib-ext workflows` says what they take")
    return 0


def add_run(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext run``."""
    parser = add_command(commands, "run", _run, "run workflows in their order, and report on them", _RUN, _RUN_EXAMPLE)
    parser.add_argument(
        "names", nargs="*", metavar="WORKFLOW", help="a name, or a pattern such as 'market_*' (default: all)"
    )
    parser.add_argument(
        "--workflows", type=Path, default=Path("workflows"), metavar="DIR", help="their folder (default: workflows)"
    )
    parser.add_argument(
        "--data", metavar="PROVIDER", help="the provider's folder (default: $QLIB_DATA, else that of the file)"
    )
    add_runs(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: report.html beside the runs)")


def _run(args: argparse.Namespace) -> int:
    from qlib_ext.errors import DataError
    from qlib_ext.workflows.reading import in_order, read_workflows
    from qlib_ext.workflows.running import run_all, write_pages

    runs = Path(args.runs)
    environment = {**os.environ, "QLIB_RUNS": str(runs)}
    if args.data is not None:
        environment["QLIB_DATA"] = args.data
    found = read_workflows(args.workflows, environment)
    workflows = in_order(found, args.names)
    for other in found.values():
        if isinstance(other, DataError):
            print(f"passed over, as it is not asked for: {other}", flush=True)
    finished, failed = run_all(workflows, runs, environment)
    write_pages(runs, finished, args.out or runs / "report.html")
    return 1 if failed else 0

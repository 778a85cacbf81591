"""Runs the workflows of the reports one after the other: `make reports DATA=DIR`.

A workflow whose handler reads what others recorded runs after them. What the recorder holds is not run again, and what
the provider cannot give is left out, each with one line. In the end all stand side by side in report.html.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml
from mlflow.entities import Run
from qlib.utils import flatten_dict

from qlib_ext.analysis.report.drawing import PALETTE
from qlib_ext.analysis.report.page import report
from qlib_ext.data.intraday import MINUTES
from qlib_ext.errors import DataError, ProviderError, QlibExtError
from qlib_ext.expressions.engine import RAW_FIELD
from qlib_ext.provider.check import check_features, check_provider
from qlib_ext.recorder.runs import find_runs, load, store_of
from qlib_ext.system.files import write_whole
from qlib_ext.ticks.factors import GROUPS


@dataclass(frozen=True)
class Workflow:
    """A file of workflows/ as qrun reads it, and the experiments that its handler reads."""

    path: Path
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of its experiment."""
        return str(self.config["experiment_name"])

    @property
    def handler(self) -> dict[str, Any]:
        """The configuration of its handler."""
        handler: dict[str, Any] = self.config["task"]["dataset"]["kwargs"]["handler"]
        return handler

    @property
    def inputs(self) -> list[str]:
        """The experiments that are to be finished before it."""
        return list(self.handler["kwargs"].get("experiments", []))


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is wanted and write the pages; 0 done, 1 where a workflow failed, 2 for an error."""
    parser = argparse.ArgumentParser(prog="python -m qlib_ext.cli.run", description=__doc__)
    parser.add_argument("data", help="the provider folder")
    parser.add_argument("models", nargs="*", help="workflows, which run with what they read (default: all market_*)")
    parser.add_argument("--workflows", type=Path, default=Path("workflows"), metavar="DIR")
    parser.add_argument("--runs", default=os.environ.get("QLIB_RUNS", "mlruns"), metavar="DIR")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page (default: report.html beside the runs)")
    args = parser.parse_args(argv)
    environment = {**os.environ, "QLIB_DATA": args.data, "QLIB_RUNS": args.runs}
    try:
        check_provider(args.data)
        wanted = in_order(read_workflows(args.workflows, environment), args.models)
        there, failed = run_all(wanted, Path(args.data), environment)
        write_pages(args.runs, there, args.out or Path(args.runs) / "report.html")
    except QlibExtError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if failed else 0


def read_workflows(folder: Path, environment: Mapping[str, str]) -> dict[str, Workflow]:
    """The workflows market_*.yaml of a folder by name, filled in as qrun fills them in."""
    found = {}
    for path in sorted(folder.glob("market_*.yaml")):
        config = yaml.safe_load(jinja2.Template(path.read_text(encoding="utf-8")).render(environment))
        found[config["experiment_name"]] = Workflow(path, config)
    if not found:
        raise DataError(
            f"{folder.absolute()} has no market_*.yaml; start in the project's folder, or give --workflows."
        )
    return found


def in_order(workflows: Mapping[str, Workflow], names: Sequence[str] = ()) -> list[Workflow]:
    """The named workflows, or all, each after those that it reads; those that read none come first."""
    unknown = [name for name in names if name not in workflows]
    if unknown:
        raise DataError(f"There is no workflow {unknown[0]!r}; there are {', '.join(workflows)}.")
    ordered: dict[str, Workflow] = {}

    def add(name: str) -> None:
        if name in workflows:
            for needed in workflows[name].inputs:
                add(needed)
            ordered[name] = workflows[name]

    for name in names or workflows:
        add(name)
    return sorted(ordered.values(), key=lambda workflow: bool(workflow.inputs))


def run_all(wanted: Sequence[Workflow], provider: Path, environment: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Run each that is to be run, saying so; the names of those that are there, and of those that failed."""
    there: dict[str, Run] = {}
    failed = []
    for number, workflow in enumerate(wanted, 1):
        head = f"[{number}/{len(wanted)}] {workflow.name}:"
        reason = lacking(workflow, provider) or unread(workflow, there)
        run = None if reason else held(workflow, environment["QLIB_RUNS"], there)
        if run is None and not reason:
            reason = start(workflow, environment, head)
            failed += [workflow.name] * bool(reason)
            run = None if reason else last_run(workflow, environment["QLIB_RUNS"])
        elif run is not None:
            print(f"{head} the recorder holds it, run {run.info.run_id[:8]}", flush=True)
        if run is None:
            print(f"{head} left out, {reason}", flush=True)
        else:
            there[workflow.name] = run
            print(f"{head} Rank IC {run.data.metrics.get('Rank IC', float('nan')):.4f}", flush=True)
    return list(there), failed


def lacking(workflow: Workflow, provider: Path) -> str:
    """What the provider lacks for the workflow; empty where it lacks nothing."""
    handler = workflow.handler
    if handler["class"] == "MsNew" and not any((provider / f"calendars/{n}min.txt").is_file() for n in MINUTES):
        return f"the provider {provider} has no bars of {', '.join(map(str, MINUTES))} minutes"
    fields = {field for text in flatten_dict(handler["kwargs"]).values() for field in RAW_FIELD.findall(str(text))}
    if handler["class"] in ("HighFreq27", "FusedBars"):
        groups = handler["kwargs"].get("groups", list(GROUPS))
        without = handler["kwargs"].get("without", ())
        fields |= {f"hf_{name}" for group in groups for name in GROUPS[group] if name not in without}
    try:
        check_features(provider, sorted(fields), [folder.name for folder in (provider / "features").iterdir()])
    except ProviderError as error:
        return str(error)
    return ""


def unread(workflow: Workflow, there: Mapping[str, Run]) -> str:
    """Which experiments that the workflow reads are not there; empty where all are."""
    absent = [name for name in workflow.inputs if name not in there]
    return f"it reads {', '.join(absent)}, which the recorder does not hold" if absent else ""


def held(workflow: Workflow, runs: str, there: Mapping[str, Run]) -> Run | None:
    """The last finished run, if it is of the same task and provider, and later than the runs that it read."""
    run = last_run(workflow, runs)
    if run is None:
        return None
    (task, _), (config, _) = load(run, "task"), load(run, "config")
    if task != workflow.config["task"] or config is None or provider_of(config) != provider_of(workflow.config):
        return None
    read_later = any(there[name].info.end_time > run.info.start_time for name in workflow.inputs)
    return None if read_later else run


def provider_of(config: Mapping[str, Any]) -> Path:
    """The provider's folder, however it was written."""
    return Path(config["qlib_init"]["provider_uri"]).expanduser().resolve()


def last_run(workflow: Workflow, runs: str) -> Run | None:
    """The last finished run of the workflow's experiment; None where there is none."""
    try:
        return find_runs(store_of(runs), workflow.name)[0]
    except DataError:
        return None


def start(workflow: Workflow, environment: Mapping[str, str], head: str) -> str:
    """qrun the workflow, its output into a file; why it failed, or nothing."""
    log = Path(environment["QLIB_RUNS"]) / "logs" / f"{workflow.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"{head} runs since {time.strftime('%H:%M')}, tail -f {log}", flush=True)
    began = time.monotonic()
    with log.open("w") as file:
        command = [Path(sys.executable).with_name("qrun"), workflow.path]
        code = subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT).returncode
    print(f"{head} {'done' if code == 0 else 'stopped'} after {time.monotonic() - began:.0f} s", flush=True)
    said = log.read_text(errors="replace").strip().splitlines()
    return f"it failed: {said[-1] if said else 'qrun said nothing'}; see {log}" if code else ""


def write_pages(runs: str, names: Sequence[str], out: Path) -> None:
    """All experiments side by side, as many on a page as can be told apart: report.html, report_2.html and so on."""
    if not names:
        raise DataError("No workflow has a finished run, so there is nothing to report; the lines above say why.")
    for number, low in enumerate(range(0, len(names), len(PALETTE)), 1):
        page = out if number == 1 else out.with_stem(f"{out.stem}_{number}")
        write_whole(page, report(store_of(runs), names[low : low + len(PALETTE)]).encode(), "name another file")
        print(f"wrote {page}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

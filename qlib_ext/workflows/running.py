"""Runs workflows one after the other, each after those that it reads, and puts their results side by side.

What the recorder holds is not run again, and what the provider cannot give is left out, each with one line.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from qlib_ext.analysis.report.drawing import PALETTE
from qlib_ext.analysis.report.page import report
from qlib_ext.errors import DataError
from qlib_ext.provider.check import check_provider
from qlib_ext.recorder.runs import find_runs, load, store_of
from qlib_ext.system.files import require_writable, write_whole
from qlib_ext.workflows.checks import findings
from qlib_ext.workflows.fingerprint import TAG, fingerprint_of
from qlib_ext.workflows.reading import Workflow


def run_all(workflows: Sequence[Workflow], runs: Path, environment: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Run each workflow that is to be run, and print what becomes of it.

    Returns the names of those that have a finished run, and of those that failed. Raises ProviderError for a provider
    that is none, OutputError for runs that cannot be written.
    """
    for provider in {workflow.provider for workflow in workflows}:
        check_provider(provider)
    require_writable(runs, "--runs names another folder.")
    names, failed = [workflow.name for workflow in workflows], []
    own = {name for workflow in workflows for name in workflow.inputs if name not in names}  # the user's experiments
    finished = {name: run for name in own if (run := last_run(name, runs)) is not None}
    for number, workflow in enumerate(workflows, 1):
        head = f"[{number}/{len(workflows)}] {workflow.name}:"
        reason, warnings = findings(workflow)
        reason = reason or missing_runs(workflow, finished)
        run = None if reason else finished_run(workflow, runs, finished)
        if run is not None:
            print(f"{head} is finished, run {run.info.run_id[:8]}", flush=True)
        elif not reason:
            for warning in warnings:
                print(f"{head} warning, {warning}", flush=True)
            reason = start(workflow, runs, environment, head)
            if reason:
                failed.append(workflow.name)
            else:
                run = last_run(workflow.name, runs)
        if run is None:
            print(f"{head} left out, {reason}", flush=True)
        else:
            finished[workflow.name] = run
            print(f"{head} Rank IC {run.data.metrics.get('Rank IC', float('nan')):.4f}", flush=True)
    return [name for name in names if name in finished], failed


def missing_runs(workflow: Workflow, finished: Mapping[str, Run]) -> str:
    """Which experiments that a workflow reads have no finished run; empty where all have."""
    missing = [name for name in workflow.inputs if name not in finished]
    return f"it reads {', '.join(missing)}, which no run has finished" if missing else ""


def finished_run(workflow: Workflow, runs: Path, finished: Mapping[str, Run]) -> Run | None:
    """The last finished run, if it is of the same task, provider, data and code, and no older than the runs it read.

    Of a run that qrun was started with alone nobody knows the data and the code: it does not count.
    """
    run = last_run(workflow.name, runs)
    if run is None or run.data.tags.get(TAG) != fingerprint_of(workflow):
        return None
    (task, _), (config, _) = load(run, "task"), load(run, "config")
    if (
        task != workflow.config["task"]
        or config is None
        or Workflow(workflow.path, config).provider != workflow.provider
    ):
        return None
    outdated = any(finished[name].info.end_time > run.info.start_time for name in workflow.inputs)
    return None if outdated else run


def last_run(experiment: str, runs: Path) -> Run | None:
    """The last finished run of an experiment; None where there is none."""
    try:
        return find_runs(store_of(runs), experiment)[0]
    except DataError:
        return None


def start(workflow: Workflow, runs: Path, environment: Mapping[str, str], head: str) -> str:
    """qrun a workflow, its output into a file; why it failed, or nothing."""
    log = runs / "logs" / f"{workflow.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"{head} runs since {time.strftime('%H:%M')}, tail -f {log}", flush=True)
    began, fingerprint = time.monotonic(), fingerprint_of(workflow)
    with log.open("w") as file:
        command = [sys.executable, "-m", "qlib.cli.run", str(workflow.path)]
        code = subprocess.run(command, env=dict(environment), stdout=file, stderr=subprocess.STDOUT).returncode
    print(f"{head} {'done' if code == 0 else 'stopped'} after {time.monotonic() - began:.0f} s", flush=True)
    if code == 0:
        run = last_run(workflow.name, runs)
        if run is not None:
            MlflowClient(tracking_uri=store_of(runs)).set_tag(run.info.run_id, TAG, fingerprint)
        return ""
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"it failed: {lines[-1] if lines else 'qrun printed nothing'}; see {log}"


def write_pages(runs: Path, names: Sequence[str], out: Path) -> None:
    """All experiments side by side, as many on a page as can be told apart: report.html, report_2.html and so on.

    Raises DataError where there is none.
    """
    if not names:
        raise DataError("No workflow has a finished run, so there is nothing to report; the lines above say why.")
    for number, low in enumerate(range(0, len(names), len(PALETTE)), 1):
        page = out if number == 1 else out.with_stem(f"{out.stem}_{number}")
        write_whole(page, report(store_of(runs), names[low : low + len(PALETTE)]).encode(), "Name another file.")
        print(f"wrote {page}", flush=True)

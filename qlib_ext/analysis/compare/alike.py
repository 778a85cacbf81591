"""Which runs of an experiment are one experiment: those that differ in their seeds alone."""

from __future__ import annotations

from collections.abc import Sequence

from qlib_ext.analysis.compare.runs import RunSummary
from qlib_ext.recorder.runs import SHORT

COMMAND, SEEDS = "cmd-sys.argv", ("seed", "seeds")  # params in which runs of one experiment may differ
PROVIDER = "provider"
LONGEST_VALUE = 30  # characters of a value that is named


def differing(runs: Sequence[RunSummary]) -> dict[str, list[str]]:
    """The params other than seeds in which runs differ, and their values, each once; the provider is one of them.

    Runs that logged no params are left out: nothing can be said of them.
    """
    known = [_without_seeds(run) for run in runs if run.params]
    names = sorted({name for params in known for name in params})
    values = {name: list(dict.fromkeys(params.get(name, "-") for params in known)) for name in names}
    return {name: found for name, found in values.items() if len(found) > 1}


def apart(name: str, runs: list[RunSummary]) -> dict[str, list[RunSummary]]:
    """The runs whose figures may be averaged, by name: all of them, or each under ``NAME@RUN`` where they differ."""
    if not differing(runs):
        return {name: runs}
    return {f"{name}@{run.run_id[:SHORT]}": [run] for run in runs}


def printed(params: dict[str, list[str]]) -> list[str]:
    """The params and their values, where these are short."""
    return [
        f"{name} ({', '.join(values)})" if all(len(value) <= LONGEST_VALUE for value in values) else name
        for name, values in params.items()
    ]


def _without_seeds(run: RunSummary) -> dict[str, str]:
    params = {
        name: value
        for name, value in run.params.items()
        if name != COMMAND and not (name.startswith("model.") and name.rpartition(".")[2] in SEEDS)
    }
    return params if run.provider is None else params | {PROVIDER: str(run.provider)}

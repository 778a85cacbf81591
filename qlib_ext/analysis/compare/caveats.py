"""What a reader of a comparison must know, so that nobody compares what is not comparable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields

from qlib_ext.analysis.compare import zoo
from qlib_ext.analysis.compare.runs import PERCENT, RunSummary, Setup

# the params in which runs of one experiment may differ
ARGV, SEEDS = "cmd-sys.argv", ("model.kwargs.seed", "model.kwargs.seeds")

SHOWN: dict[object, str] = {True: "yes", False: "no"}

Tests = dict[Setup, dict[str, list[RunSummary]]]  # the runs of each experiment, apart by what was tested


def caveats(tests: Tests, last: int, with_zoo: bool) -> list[str]:
    """One line for each thing that a reader of the table must know."""
    found: dict[str, list[RunSummary]] = {}
    for experiments in tests.values():
        for name, runs in experiments.items():
            found.setdefault(name, []).extend(runs)
    lines = [*_different_tests(tests), *_problems(found), *_different_runs(tests), *_few_runs(found, last)]
    lines += _facts("segments", [(name, run.segments) for name, runs in found.items() for run in runs])
    lines += _facts("backtest", [(name, run.backtest) for name, runs in found.items() for run in runs])
    lines += _waited(found)
    provider = [
        (name, "" if run.provider is None else str(run.provider)) for name, runs in found.items() for run in runs
    ]
    lines += _facts("provider", provider)
    return lines + (_zoo(found) if with_zoo else [])


def _different_tests(tests: Tests) -> Iterator[str]:
    """The line that names the experiments that cannot be compared, and in what they differ."""
    if len(tests) == 1:
        return
    differences = []
    for field in fields(Setup):
        values: dict[str, list[str]] = {}
        for setup, experiments in tests.items():
            values.setdefault(getattr(setup, field.name), []).extend(experiments)
        if len(values) > 1:
            each = " and ".join(f"{SHOWN.get(value, value)} ({_names(names)})" for value, names in values.items())
            differences.append(f"{field.name} {each}")
    yield f"Not the same test, not to be compared: {'; '.join(differences)}."


def _problems(found: dict[str, list[RunSummary]]) -> Iterator[str]:
    for name, runs in found.items():
        for problem in dict.fromkeys(run.problem for run in runs if run.problem):
            yield f"{name}: universe and label are unknown, because {problem}."


def _different_runs(tests: Tests) -> Iterator[str]:
    """Lines for means over runs that are not one experiment, or that count one run twice."""
    for experiments in tests.values():
        for name, runs in experiments.items():
            params = [{key: value for key, value in run.params.items() if key != ARGV} for run in runs if run.params]
            keys = {key for of in params for key in of if key not in SEEDS}
            differing = sorted(key for key in keys if len({of.get(key) for of in params}) > 1)
            if differing:
                yield f"{name}: its {len(runs)} runs, of which this is the mean, differ in {', '.join(differing)}."
            repeats = len(params) - len({frozenset(of.items()) for of in params})
            if repeats:
                yield f"{name}: {repeats} of its {len(runs)} runs repeat the parameters and the seed of another."


def _few_runs(found: dict[str, list[RunSummary]], last: int) -> Iterator[str]:
    for name, runs in found.items():
        if len(runs) < last:
            yield f"{name}: {len(runs)} finished {'run' if len(runs) == 1 else 'runs'}, not the {last} asked for."


def _waited(found: dict[str, list[RunSummary]]) -> Iterator[str]:
    """What Qlib's own figures of a backtest are, which count days on which nothing was held yet."""
    for name, runs in found.items():
        logged = [run.logged for run in runs if run.logged]
        if logged:
            days = sorted({f"{day:%Y-%m-%d}" for run in runs for day in run.waited})
            means = {key: sum(each[key] for each in logged) / len(logged) for key in logged[0]}
            figures = ", ".join(f"{key} {f'{v:.2%}' if key in PERCENT else f'{v:.4f}'}" for key, v in means.items())
            yield (
                f"{name}: the backtest is counted from the first day on which a score could be traded, without "
                f"{', '.join(days)}, when nothing was held; Qlib's own figures count it: {figures}."
            )


def _facts(title: str, facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """One line for each value, naming the experiments that have it."""
    values: dict[str, list[str]] = {}
    for name, value in facts:
        values.setdefault(value, []).append(name)
    for value, names in values.items():
        if value:
            yield f"{title}: {value}{'' if len(values) == 1 else f' ({_names(names)})'}"


def _zoo(found: dict[str, list[RunSummary]]) -> list[str]:
    lines = [
        f"Model Zoo rows are published figures of another test, mean and standard deviation of {zoo.RUNS} runs: "
        f"universe {zoo.SETUP.universe}, test {zoo.SETUP.test}, label {zoo.SETUP.label}, {zoo.SEGMENTS}, "
        f"{zoo.BACKTEST}; {zoo.SOURCE}."
    ]
    without = [name for name, runs in found.items() if not any(zoo.published(run.params) for run in runs)]
    return [*lines, f"The Model Zoo publishes no such model: {_names(without)}."] if without else lines


def _names(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))

"""What a reader of a comparison must know, so that nobody compares what is not comparable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields

from qlib_ext.analysis.compare import zoo
from qlib_ext.analysis.compare.alike import COMMAND, differing, printed
from qlib_ext.analysis.compare.runs import PERCENT, RunSummary, Setup
from qlib_ext.analysis.compare.texts import Texts, in_language
from qlib_ext.analysis.reasons import reason_in
from qlib_ext.provider.facts import ProviderFacts

SHOWN: dict[object, str] = {True: "yes", False: "no"}

Tests = dict[Setup, dict[str, list[RunSummary]]]  # the runs of each experiment, apart by what was tested


def caveats(tests: Tests, last: int, with_zoo: bool, texts: Texts) -> list[str]:
    """One line for each thing that a reader of the table must know."""
    found: dict[str, list[RunSummary]] = {}
    for experiments in tests.values():
        for name, runs in experiments.items():
            found.setdefault(name, []).extend(runs)
    lines = [*_different_tests(tests, texts), *_problems(found, texts)]
    lines += [*_different_runs(tests, texts), *_few_runs(found, last, texts)]
    every = [(name, run) for name, runs in found.items() for run in runs]
    lines += _facts("segments", [(name, _segments(run, texts)) for name, run in every], texts)
    lines += _facts("backtest", [(name, run.backtest) for name, run in every], texts)
    if any(run.logged for _, run in every):
        lines += [texts["year"], *_qlib(found, texts)]
    lines += _facts("provider", [(name, provider_line(run.provider, texts)) for name, run in every], texts)
    return lines + (_zoo(found) if with_zoo else [])


def provider_line(provider: ProviderFacts | None, texts: Texts) -> str:
    """What a provider held, in one line; empty where it is not known."""
    if provider is None:
        return ""
    mark = f"{texts['SIMULATED']} " if provider.simulated else ""
    return mark + texts["provider_facts"].format(**asdict(provider))


def _different_tests(tests: Tests, texts: Texts) -> Iterator[str]:
    """The line that names the experiments that cannot be compared, and in what they differ."""
    if len(tests) == 1:
        return
    differences = []
    for field in fields(Setup):
        values: dict[object, list[str]] = {}
        for setup, experiments in tests.items():
            values.setdefault(getattr(setup, field.name), []).extend(experiments)
        if len(values) > 1:
            each = texts["and"].join(
                texts["named"].format(text=_value(value, texts), names=_names(names, texts))
                for value, names in values.items()
            )
            differences.append(f"{texts[field.name]} {each}")
    yield texts["different_tests"].format(differences="; ".join(differences))


def _value(value: object, texts: Texts) -> str:
    return texts[SHOWN[value]] if isinstance(value, bool) else in_language(str(value), texts)


def _problems(found: dict[str, list[RunSummary]], texts: Texts) -> Iterator[str]:
    for name, runs in found.items():
        for problem in dict.fromkeys(run.problem for run in runs if run.problem):
            yield texts["problem"].format(name=name, problem=reason_in(problem, texts))


def _different_runs(tests: Tests, texts: Texts) -> Iterator[str]:
    """Lines for runs that are not one experiment, that may not be, and that repeat another one."""
    for experiments in tests.values():
        for name, runs in experiments.items():
            if params := differing(runs):
                yield texts["apart"].format(name=name, runs=len(runs), params=texts["list"].join(printed(params)))
            logged = [frozenset(_without_command(run)) for run in runs if run.params]
            counts = {"no_params": len(runs) - len(logged), "repeats": len(logged) - len({*logged})}
            for what, count in counts.items():
                if count and len(runs) > 1:
                    yield texts[what].format(name=name, runs=len(runs), count=count)


def _without_command(run: RunSummary) -> Iterator[tuple[str, str]]:
    return ((key, value) for key, value in run.params.items() if key != COMMAND)


def _few_runs(found: dict[str, list[RunSummary]], last: int, texts: Texts) -> Iterator[str]:
    for name, runs in found.items():
        if len(runs) < last:
            yield texts["few_runs"].format(name=name, runs=len(runs), last=last)


def _segments(run: RunSummary, texts: Texts) -> str:
    return texts["list"].join(f"{texts.get(name, name)} {in_language(span, texts)}" for name, span in run.segments)


def _qlib(found: dict[str, list[RunSummary]], texts: Texts) -> Iterator[str]:
    """Qlib's own figures of a backtest, by its own year, and of days on which nothing could be held yet."""
    for name, runs in found.items():
        logged = [run for run in runs if run.logged]
        if logged:
            means = {key: sum(run.logged[key] for run in logged) / len(logged) for key in logged[0].logged}
            figures = [f"{texts[key]} {f'{v:.2%}' if key in PERCENT else f'{v:.4f}'}" for key, v in means.items()]
            step = logged[0].step
            yield texts["qlib"].format(
                name=name, steps=f"{step.qlib_a_year:g}", step=texts[step.unit], figures=texts["list"].join(figures)
            )


def _facts(title: str, facts: Iterable[tuple[str, str]], texts: Texts) -> Iterator[str]:
    """One line for each value, naming the experiments that have it."""
    values: dict[str, list[str]] = {}
    for name, value in facts:
        values.setdefault(value, []).append(name)
    for value, names in values.items():
        if value:
            line = texts["fact"].format(title=texts[title], value=value)
            yield line if len(values) == 1 else texts["named"].format(text=line, names=_names(names, texts))


def _zoo(found: dict[str, list[RunSummary]]) -> list[str]:
    lines = [
        f"Model Zoo rows are published figures of another test, mean and standard deviation of {zoo.RUNS} runs: "
        f"universe {zoo.SETUP.universe}, test {zoo.SETUP.test}, label {zoo.SETUP.label}, {zoo.SEGMENTS}, "
        f"{zoo.BACKTEST}; by Qlib's year of 238 days, which makes its returns a twentieth less; {zoo.SOURCE}."
    ]
    without = [name for name, runs in found.items() if not any(zoo.published(run.params) for run in runs)]
    return [*lines, f"The Model Zoo publishes no such model: {', '.join(without)}."] if without else lines


def _names(names: Iterable[str], texts: Texts) -> str:
    return texts["list"].join(dict.fromkeys(names))

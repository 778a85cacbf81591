"""An experiment and those that it reads, as recorded, checked against their providers before data is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow.entities import Run

from qlib_ext.errors import DataError
from qlib_ext.provider.check import check_provider
from qlib_ext.recorder.runs import find_runs, load
from qlib_ext.workflows.checks import missing_data
from qlib_ext.workflows.reading import Workflow, in_order

PRED = "pred.pkl"


@dataclass(frozen=True)
class Recorded:
    """The newest finished run of an experiment: its workflow, its scores, and the days of its provider today."""

    workflow: Workflow
    run: Run
    scores: pd.DataFrame
    calendar: pd.DatetimeIndex

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self.workflow.name

    @property
    def last(self) -> pd.Timestamp:
        """The last day that has scores."""
        return days_of(self.scores).max()


def days_of(rows: pd.DataFrame | pd.Series) -> pd.DatetimeIndex:
    """The day of each row of a frame by (datetime, instrument)."""
    return pd.DatetimeIndex(rows.index.get_level_values("datetime"))


def read_chain(store: str, experiment: str) -> list[Recorded]:
    """An experiment after all those that it reads, each once.

    Raises DataError where one has no finished run, was not started by ``qrun`` or has no scores, was trained on a run
    that is no longer the newest, or lacks data of its provider; ProviderError for a provider that is none.
    """
    chain: dict[str, Recorded] = {}

    def add(name: str) -> None:
        if name not in chain:
            chain[name] = read(store, name)
            for needed in chain[name].workflow.inputs:
                add(needed)

    add(experiment)
    ordered = in_order({name: each.workflow for name, each in chain.items()}, [experiment])
    for workflow in ordered:
        refuse_newer_inputs(chain[workflow.name], chain)
    return [chain[workflow.name] for workflow in ordered]


def read(store: str, experiment: str) -> Recorded:
    """The newest finished run of one experiment; raises as ``read_chain``."""
    run = find_runs(store, experiment)[0]
    config, problem = load(run, "config")
    if problem:
        raise DataError(
            f"The last run of {experiment!r} does not say how it was made: {problem}. Run it with qrun or "
            "`qlib-ext run`."
        )
    workflow = Workflow(Path(f"{experiment}.yaml"), config)
    scores, problem = load(run, PRED)
    if problem:
        raise DataError(f"The last run of {experiment!r} has no scores: {problem}. Add SignalRecord to its records.")
    if isinstance(scores, pd.Series):
        scores = scores.to_frame("score")
    recorded = Recorded(workflow, run, scores, check_provider(workflow.provider))
    if recorded.calendar[-1] < recorded.last:
        raise DataError(
            f"The provider {workflow.provider} ends on {recorded.calendar[-1]:%Y-%m-%d}, before "
            f"{recorded.last:%Y-%m-%d}, the last day that {experiment!r} has scored. Update the "
            "provider, or bring back the one it was run on."
        )
    if reason := missing_data(workflow, backtests_follow=False):
        raise DataError(f"{experiment!r} cannot be predicted: {reason.removesuffix('.')}.")
    return recorded


def refuse_newer_inputs(recorded: Recorded, chain: dict[str, Recorded]) -> None:
    """Raise DataError where an experiment was run again after another one was trained on what it had recorded."""
    for name in recorded.workflow.inputs:
        if chain[name].run.info.end_time > recorded.run.info.start_time:
            raise DataError(
                f"{name!r} was run again after {recorded.name!r} had read it, whose model knows another {name!r}. Run "
                f"{recorded.name!r} again: `qlib-ext run {recorded.name}`."
            )


def require_trading_day(recorded: Recorded, day: pd.Timestamp) -> None:
    """Raise DataError for a day that is no trading day of the provider, or is after its last one."""
    calendar, provider = recorded.calendar, recorded.workflow.provider
    if day > calendar[-1]:
        raise DataError(
            f"{day:%Y-%m-%d} is after {calendar[-1]:%Y-%m-%d}, the last day of the provider {provider}. Update it."
        )
    if day not in calendar:
        near = calendar[max(calendar.searchsorted(day) - 1, 0)]
        raise DataError(
            f"{day:%Y-%m-%d} is no trading day of the provider {provider}; the one before it is {near:%Y-%m-%d}."
        )

"""What a finished run says of its test, and its figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from mlflow.entities import Run

from qlib_ext.analysis.backtest import DAILY, FOLDER, Step, shortest_step
from qlib_ext.analysis.performance import added_up_by_year, returns_after_cost, since_first_score
from qlib_ext.errors import DataError
from qlib_ext.provider.facts import ProviderFacts, mark_of
from qlib_ext.recorder.provider import provider_of
from qlib_ext.recorder.runs import artifacts_of, find_runs, load

OF_SIGNAL = ("IC", "ICIR", "Rank IC", "Rank ICIR")
OF_BACKTEST = {  # as the run logs them after the length of a step, and as the table shows them
    "excess_return_without_cost.annualized_return": "excess return without cost",
    "excess_return_with_cost.annualized_return": "excess return with cost",
    "excess_return_with_cost.information_ratio": "information ratio",
    "excess_return_with_cost.max_drawdown": "max drawdown",
}
METRICS = (*OF_SIGNAL, *OF_BACKTEST.values())
PERCENT = {"excess return without cost", "excess return with cost", "max drawdown"}
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Setup:
    """What was tested: only figures of one setup can be compared."""

    universe: str
    test: str
    label: str
    simulated: bool = False

    @property
    def mark(self) -> str:
        """What stands before a headline, see ``mark_of``."""
        return mark_of(self.simulated)

    @property
    def known(self) -> bool:
        """Whether it can be said which stocks were tested on which days."""
        return UNKNOWN not in (self.universe, self.test)


@dataclass(frozen=True)
class RunSummary:
    """What one finished run says of its test, and its figures.

    run_id    the run's id
    metrics   by METRICS, NaN where not recorded; excess return and drawdown as fractions, brought to a year of 252 days
    logged    Qlib's own figures of the backtest, by its own year and of all days; empty where there are none
    step      how long the backtest waits from one decision to the next
    params    the flattened task, as Qlib logs it
    setup     universe and label of the recorded dataset; the days that have an IC, else the test segment
    segments  the other segments of the dataset, names and spans
    backtest  strategy, benchmark and exchange of the task's PortAnaRecord; empty without one
    provider  what its provider held; None: not known
    problem   why the setup is unknown, else empty
    """

    run_id: str
    metrics: dict[str, float]
    params: dict[str, str]
    setup: Setup
    segments: list[tuple[str, str]]
    backtest: str
    problem: str
    provider: ProviderFacts | None = None
    step: Step = DAILY
    logged: dict[str, float] = field(default_factory=dict)


def read_runs(store: str, experiment: str, last: int = 1) -> list[RunSummary]:
    """The last finished runs of an experiment, newest first; raises DataError as find_runs does.

    Figures of the backtest are those of ``added_up_by_year``, from the first day on which a score could be traded.
    """
    return [read_run(run) for run in find_runs(store, experiment, last)]


def read_run(run: Run) -> RunSummary:
    """What a run says of its test; what it does not say is unknown or NaN."""
    dataset, problem = load(run, "dataset")
    task, _ = load(run, "task")
    ic, _ = load(run, "sig_analysis/ic.pkl")
    segments = getattr(dataset, "segments", {})
    tested = segments.get("test") if ic is None or ic.empty else (ic.index.min(), ic.index.max())
    universe = getattr(getattr(dataset, "handler", None), "instruments", UNKNOWN)
    provider = provider_of(run)
    step, logged = logged_of(run.data.metrics)
    return RunSummary(
        run_id=run.info.run_id,
        metrics={name: run.data.metrics.get(name, math.nan) for name in OF_SIGNAL}
        | (_since_first_score(run) or _by_our_year(logged, step)),
        logged=logged,
        step=step,
        params=run.data.params,
        provider=provider,
        setup=Setup(
            str(universe),
            UNKNOWN if tested is None else _span(tested),
            _label(dataset),
            provider is not None and provider.simulated,
        ),
        segments=[(name, _span(bounds)) for name, bounds in segments.items() if name != "test"],
        backtest=_backtest(task or {}),
        problem=problem,
    )


def logged_of(metrics: Mapping[str, float]) -> tuple[Step, dict[str, float]]:
    """The shortest step of a backtest among logged metrics, and Qlib's figures of it; empty where there are none."""
    found = {name.partition(".")[0] for name in metrics if name.partition(".")[2] in OF_BACKTEST}
    step = shortest_step(f"report_normal_{prefix}.pkl" for prefix in found)
    if step is None:
        return DAILY, {}
    return step, {title: metrics.get(f"{step}.{name}", math.nan) for name, title in OF_BACKTEST.items()}


def _by_our_year(logged: Mapping[str, float], step: Step) -> dict[str, float]:
    """Qlib's figures of a backtest brought to a year of 252 days; NaN where it has none."""
    longer = step.a_year / step.qlib_a_year
    scale = {"information ratio": math.sqrt(longer), "max drawdown": 1.0}
    return {title: scale.get(title, longer) * logged.get(title, math.nan) for title in OF_BACKTEST.values()}


def _since_first_score(run: Run) -> dict[str, float]:
    """The figures of the backtest since a score could be traded; empty where backtest or scores cannot be read."""
    step = shortest_step(path.name for path in (artifacts_of(run) / FOLDER).glob("*.pkl"))
    if step is None:
        return {}
    (report, _), (scores, _) = load(run, step.file("report")), load(run, "pred.pkl")
    try:
        counted = since_first_score(report, scores.index.get_level_values("datetime").min())
        with_cost, without = (
            added_up_by_year(returns_after_cost(frame), step).loc["all"]
            for frame in (counted, counted.assign(cost=0.0))
        )
    except (AttributeError, KeyError, DataError):  # one of the two is missing, or of another form
        return {}
    return {
        "excess return without cost": without["annual_excess_return"],
        "excess return with cost": with_cost["annual_excess_return"],
        "information ratio": with_cost["information_ratio"],
        "max drawdown": with_cost["excess_max_drawdown"],
    }


def _span(bounds: Iterable[Any]) -> str:
    return " to ".join("open" if day is None else f"{pd.Timestamp(day):%Y-%m-%d}" for day in bounds)


def _label(dataset: Any) -> str:
    try:
        return ", ".join(dataset.handler.data_loader.fields["label"][0])
    except (AttributeError, KeyError, TypeError):  # a loader that is not made of expressions
        return UNKNOWN


def _backtest(task: dict) -> str:
    records = task.get("record", [])
    for record in [records] if isinstance(records, dict) else records:
        config = record.get("kwargs", {}).get("config", {})
        if "backtest" in config:
            strategy, backtest = config.get("strategy", {}), config["backtest"]
            options = {k: v for k, v in strategy.get("kwargs", {}).items() if k not in ("signal", "model", "dataset")}
            exchange = backtest.get("exchange_kwargs", {})
            chosen = " ".join(f"{key}={value}" for key, value in (options | exchange).items())
            return f"{strategy.get('class')}, benchmark={backtest.get('benchmark')} {chosen}".rstrip()
    return ""

"""What a finished run says of its test, and its figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from mlflow.entities import Run

from qlib_ext.analysis.performance import BACKTEST_REPORT, since_first_score
from qlib_ext.errors import DataError
from qlib_ext.provider.facts import ProviderFacts, mark_of
from qlib_ext.recorder.provider import provider_of
from qlib_ext.recorder.runs import find_runs, load

METRIC_NAMES = {  # as the run logs them, and as the table shows them
    "IC": "IC",
    "ICIR": "ICIR",
    "Rank IC": "Rank IC",
    "Rank ICIR": "Rank ICIR",
    "1day.excess_return_without_cost.annualized_return": "excess return without cost",
    "1day.excess_return_with_cost.annualized_return": "excess return with cost",
    "1day.excess_return_with_cost.information_ratio": "information ratio",
    "1day.excess_return_with_cost.max_drawdown": "max drawdown",
}
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

    metrics   by the values of METRIC_NAMES, NaN where not recorded; excess return and drawdown as fractions
    waited    days at the start of the backtest that ``metrics`` leaves out, see ``since_first_score``
    logged    Qlib's own figures of the backtest, which count these days; empty where there are none
    params    the flattened task, as Qlib logs it
    setup     universe and label of the recorded dataset; the days that have an IC, else the test segment
    segments  the other segments of the dataset
    backtest  strategy, benchmark and exchange of the task's PortAnaRecord; empty without one
    provider  what its provider held; None: not known
    problem   why the setup is unknown, else empty
    """

    metrics: dict[str, float]
    params: dict[str, str]
    setup: Setup
    segments: str
    backtest: str
    problem: str
    provider: ProviderFacts | None = None
    waited: pd.DatetimeIndex = field(default_factory=lambda: pd.DatetimeIndex([]))
    logged: dict[str, float] = field(default_factory=dict)


def read_runs(store: str, experiment: str, last: int = 1) -> list[RunSummary]:
    """The last finished runs of an experiment, newest first; raises DataError as find_runs does.

    Annualised figures are as Qlib's: mean daily excess return times 238, sums instead of compounding; but of the days
    from the first one on which a score could be traded.
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
    metrics = {column: run.data.metrics.get(name, float("nan")) for name, column in METRIC_NAMES.items()}
    waited, of_backtest = _since_first_score(run)
    return RunSummary(
        metrics=metrics | of_backtest,
        waited=waited,
        logged={column: metrics[column] for column in of_backtest},
        params=run.data.params,
        provider=provider,
        setup=Setup(
            str(universe),
            UNKNOWN if tested is None else _span(tested),
            _label(dataset),
            provider is not None and provider.simulated,
        ),
        segments=", ".join(f"{name} {_span(bounds)}" for name, bounds in segments.items() if name != "test"),
        backtest=_backtest(task or {}),
        problem=problem,
    )


def _since_first_score(run: Run) -> tuple[pd.DatetimeIndex, dict[str, float]]:
    """The days of the backtest before a score could be traded, and its figures without them.

    Empty where there are none, and where the backtest or the scores cannot be read.
    """
    # Qlib's backtest takes its time and prints a notice of a package that it brings: not before a run is read
    from qlib.contrib.evaluate import risk_analysis

    (report, _), (scores, _) = load(run, BACKTEST_REPORT), load(run, "pred.pkl")
    try:
        counted = since_first_score(report, scores.index.get_level_values("datetime").min())
    except (AttributeError, KeyError, DataError):  # one of the two is missing, or of another form
        return pd.DatetimeIndex([]), {}
    waited = report.index.difference(counted.index)
    if not len(waited) or counted.empty:
        return pd.DatetimeIndex([]), {}
    excess = counted["return"] - counted["bench"]
    kinds = {"without": risk_analysis(excess, freq="day"), "with": risk_analysis(excess - counted["cost"], freq="day")}
    figures = {
        f"1day.excess_return_{kind}_cost.{name}": float(value)
        for kind, analysis in kinds.items()
        for name, value in analysis["risk"].items()
    }
    return waited, {column: figures[name] for name, column in METRIC_NAMES.items() if name in figures}


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
            return f"{strategy.get('class')} against {backtest.get('benchmark')}, {chosen}"
    return ""

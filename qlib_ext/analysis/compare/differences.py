"""The lines below a comparison that say whether experiments differ by more than noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from mlflow.entities import Run

from qlib_ext.analysis.backtest import DAILY, Step
from qlib_ext.analysis.compare.texts import Texts
from qlib_ext.analysis.significance import paired_difference
from qlib_ext.recorder.runs import find_runs, load


def difference_lines(store: str, experiments: Sequence[str], texts: Texts) -> list[str]:
    """A line for each measure and each experiment against the first one, by their last runs' factor analyses.

    Runs without one, or that share fewer than 20 days, have no line.
    """
    names = list(dict.fromkeys(experiments))
    runs = {name: find_runs(store, name)[0] for name in names} if len(names) > 1 else {}
    lines = [line for other in names[1:] for line in _lines(other, names[0], runs, texts)]
    return [*lines, texts["paired"]] if lines else []


def _lines(a: str, b: str, runs: dict[str, Run], texts: Texts) -> Iterator[str]:
    horizon = max(_horizon(runs[name]) for name in (a, b))
    steps = {_step(runs[name]) for name in (a, b)}
    for file, column, overlap in (("ic", "rank_ic", horizon), ("strategy_returns", "excess_return", 1)):
        own, other = (_series(runs[name], file, column) for name in (a, b))
        if own is None or other is None or (file != "ic" and len(steps) > 1):
            continue
        found = paired_difference(own, other, overlap)
        if found is not None:
            mean = f"{found.mean:+.4f}" if file == "ic" else f"{max(steps, key=str).a_year * found.mean:+.2%}"
            t = texts["undefined"] if math.isnan(found.t) else f"{found.t:.2f}"
            pattern = texts["rank_ic_difference" if file == "ic" else "excess_difference"]
            yield pattern.format(a=a, b=b, mean=mean, t=t, days=found.days)


def _series(run: Run, file: str, column: str) -> pd.Series | None:
    frame, _ = load(run, f"factor_analysis/{file}.pkl")
    return frame[column] if isinstance(frame, pd.DataFrame) and column in frame else None


def _horizon(run: Run) -> int:
    return int(_about(run).get("horizon", 1))


def _step(run: Run) -> Step:
    return Step.of(_about(run).get("step", str(DAILY)))


def _about(run: Run) -> dict[str, Any]:
    about, _ = load(run, "factor_analysis/about.pkl")
    return about if isinstance(about, dict) else {}

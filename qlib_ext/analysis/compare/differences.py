"""The lines below a comparison that say whether experiments differ by more than noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd
from mlflow.entities import Run

from qlib_ext.analysis.significance import paired_difference
from qlib_ext.provider.calendar import DAYS_PER_YEAR
from qlib_ext.recorder.runs import find_runs, load

RANK_IC = "{a} less {b}: daily Rank IC {mean:+.4f}, t = {t}, {days} days"
EXCESS = "{a} less {b}: excess return {mean:+.2%} a year of 252 days, t = {t}, {days} days"
PAIRED = "t: the last runs, paired by day, Newey and West; beyond 2 in size is rarely noise, if two were compared"


def difference_lines(store: str, experiments: Sequence[str]) -> list[str]:
    """A line for each measure and each experiment against the first one, by their last runs' factor analyses.

    Runs without one, or that share fewer than 20 days, have no line.
    """
    names = list(dict.fromkeys(experiments))
    runs = {name: find_runs(store, name)[0] for name in names} if len(names) > 1 else {}
    lines = [line for other in names[1:] for line in _lines(other, names[0], runs)]
    return [*lines, PAIRED] if lines else []


def _lines(a: str, b: str, runs: dict[str, Run]) -> Iterator[str]:
    for file, column, scale, pattern in (
        ("ic", "rank_ic", 1, RANK_IC),
        ("strategy_returns", "excess_return", DAYS_PER_YEAR, EXCESS),
    ):
        own, other = (_series(runs[name], file, column) for name in (a, b))
        if own is None or other is None:
            continue
        found = paired_difference(own, other, max(_horizon(runs[name]) for name in (a, b)) if file == "ic" else 1)
        if found is not None:
            yield pattern.format(a=a, b=b, mean=scale * found.mean, t=_printed(found.t), days=found.days)


def _printed(t: float) -> str:
    return "not defined" if math.isnan(t) else f"{t:.2f}"


def _series(run: Run, file: str, column: str) -> pd.Series | None:
    frame, _ = load(run, f"factor_analysis/{file}.pkl")
    return frame[column] if isinstance(frame, pd.DataFrame) and column in frame else None


def _horizon(run: Run) -> int:
    about, _ = load(run, "factor_analysis/about.pkl")
    return int(about.get("horizon", 1)) if isinstance(about, dict) else 1

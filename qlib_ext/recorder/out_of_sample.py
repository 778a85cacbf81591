"""Scores and weak factors that runs saved, of days alone on which their models were not trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mlflow.entities import Run

from qlib_ext.cross_section.cells import first_of
from qlib_ext.errors import DataError
from qlib_ext.recorder.runs import find_run, load
from qlib_ext.recorder.windows import RUN, SEED, TEST_FROM, TRAIN_TO, windows_of

SEGMENTS = ("test", "valid")


def weak_factors_of(store: str, run: Run, experiment: str, segments: Sequence[str]) -> pd.DataFrame:
    """The weak factors of a run's windows, each (datetime, instrument) once.

    Raises DataError for a run without windows, a window without weak factors, and rows that are in-sample.
    """
    windows = windows_of(run)
    if windows is None:
        raise DataError(
            f"The last run of {experiment!r} has no windows, so nothing says on which days its weak factors are "
            "out-of-sample. Train the model within RollingModel, which keeps them with their marks, or take kind: "
            "score."
        )
    by_seed: dict[str, list[pd.DataFrame]] = {}
    for window in windows.to_dict("records"):
        child = find_run(store, window[RUN])
        if child is None:
            raise DataError(
                f"The window of {experiment!r} that is tested from {window[TEST_FROM]} on was removed from the "
                f"recorder, its run {window[RUN]} with it. Run the rolling model again."
            )
        frame, problem = load(child, "weak_factors.pkl")
        if problem:
            raise DataError(
                f"A window of {experiment!r}, tested from {window[TEST_FROM]} on, has no weak factors: {problem}. "
                "GRU, ASTGNN and ResNetGRU have them; of other models take kind: score, or run it again."
            )
        require_out_of_sample(frame, pd.Timestamp(window[TRAIN_TO]), experiment)
        seed = "" if pd.isna(window[SEED]) else f"seed{window[SEED]}."
        by_seed.setdefault(seed, []).append(frame)
    parts = [joined(frames, segments).add_prefix(f"{experiment}.{seed}") for seed, frames in by_seed.items()]
    return parts[0] if len(parts) == 1 else pd.concat(parts, axis=1, join="inner")


def require_out_of_sample(frame: pd.DataFrame, train_to: pd.Timestamp, experiment: str) -> None:
    """Raise DataError where rows are marked as neither validation nor test, or are not after the training days."""
    marked = frame["segment"].isin(SEGMENTS).to_numpy() if "segment" in frame else np.zeros(len(frame), dtype=bool)
    in_sample = ~marked | (frame.index.get_level_values("datetime") <= train_to)
    if in_sample.any():
        raise DataError(
            f"{in_sample.sum()} of {len(frame)} weak factors of {experiment!r} are in-sample, first on "
            f"{first_of(in_sample, frame.index)}: training ended on {train_to:%Y-%m-%d}, and a row is to be marked "
            "valid or test. Train it again with RollingModel."
        )


def joined(frames: Sequence[pd.DataFrame], segments: Sequence[str]) -> pd.DataFrame:
    """Each day from the first segment, and there from the first of the windows in order, that has it."""
    taken, parts = pd.DatetimeIndex([]), []
    for segment in segments:
        for frame in frames:
            days = frame.index.get_level_values("datetime")
            part = frame.loc[(frame["segment"] == segment).to_numpy() & ~days.isin(taken), frame.columns != "segment"]
            parts.append(part)
            taken = taken.union(part.index.unique("datetime"))
    found = pd.concat(parts)
    return found if found.index.is_monotonic_increasing else found.sort_index()


def score_of(store: str, run: Run, experiment: str, segments: Sequence[str]) -> pd.DataFrame:
    """The predictions of a run's test days; raises DataError where there are none, or they may be in-sample."""
    score, problem = load(run, "pred.pkl")
    if problem:
        raise DataError(f"The last run of {experiment!r} has no score: {problem}. Add SignalRecord to its records.")
    if windows_of(run) is None:
        task, _ = load(run, "task")
        require_test_days(score.index, task or {}, experiment)
    return score.iloc[:, [0]].set_axis([experiment], axis=1).sort_index()


def require_test_days(index: pd.MultiIndex, task: Mapping[str, Any], experiment: str) -> None:
    """Raise DataError where a prediction lies on a day that the task trained or validated on, or does not say so."""
    try:
        fitted = {name: task["dataset"]["kwargs"]["segments"][name] for name in ("train", "valid")}
    except (KeyError, TypeError) as error:
        raise DataError(
            f"The last run of {experiment!r} does not say on which days it was trained: its task lacks {error}. "
            "Run it with qrun, with segments train, valid and test, or within RollingModel."
        ) from error
    days = index.get_level_values("datetime")
    for name, (start, end) in fitted.items():
        inside = np.ones(len(days), dtype=bool)
        inside &= True if start is None else days >= pd.Timestamp(start)
        inside &= True if end is None else days <= pd.Timestamp(end)
        if inside.any():
            raise DataError(
                f"{inside.sum()} of {len(days)} predictions of {experiment!r} are of days of its segment {name!r}, "
                f"first on {first_of(inside, index)}. Only test days may be read: let its prediction be of them alone."
            )

"""Scores and weak factors that runs saved, of days alone on which their models were not trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from mlflow.entities import Run

from qlib_ext.cross_section.cells import first_of
from qlib_ext.errors import DataError
from qlib_ext.recorder.learnt import Segment, learnt_in_task, learnt_in_window
from qlib_ext.recorder.runs import load
from qlib_ext.recorder.windows import (
    DATES,
    SEED,
    TEST_FROM,
    TEST_TO,
    TRAIN_LABELS_TO,
    VALID_LABELS_TO,
    WEAK_FACTORS,
    run_of_window,
    windows_of,
)

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
        frame, problem = load(run_of_window(store, window, experiment), WEAK_FACTORS)
        if problem:
            raise DataError(
                f"A window of {experiment!r}, tested from {window[TEST_FROM]} on, has no weak factors: {problem}. "
                "GRU, ASTGNN and ResNetGRU have them; of other models take kind: score, or run it again."
            )
        require_marks(frame, experiment)
        train, valid = learnt_in_window(window, experiment)
        tested = (frame["segment"] == "test").to_numpy()
        require_unseen(frame.index, [train], experiment)
        require_unseen(frame.index[tested], [train, valid], experiment)
        seed = "" if pd.isna(window[SEED]) else f"seed{window[SEED]}."
        by_seed.setdefault(seed, []).append(frame)
    parts = [joined(frames, segments).add_prefix(f"{experiment}.{seed}") for seed, frames in by_seed.items()]
    return parts[0] if len(parts) == 1 else pd.concat(parts, axis=1, join="inner")


def require_marks(frame: pd.DataFrame, experiment: str) -> None:
    """Raise DataError where rows are marked as neither validation nor test."""
    marked = frame["segment"].isin(SEGMENTS).to_numpy() if "segment" in frame else np.zeros(len(frame), dtype=bool)
    if not marked.all():
        raise DataError(
            f"{(~marked).sum()} of {len(frame)} weak factors of {experiment!r} are marked neither valid nor test, "
            f"first on {first_of(~marked, frame.index)}. Train it again with RollingModel."
        )


def require_unseen(index: pd.MultiIndex, learnt: Sequence[Segment], experiment: str) -> None:
    """Raise DataError where rows (datetime, instrument) are not after all days that the labels of training look at."""
    days = index.get_level_values("datetime")
    for segment in learnt:
        seen = np.asarray(days <= segment.labels_to)
        if seen.any():
            raise DataError(
                f"{seen.sum()} of {len(index)} rows of {experiment!r} are in-sample, first on {first_of(seen, index)}: "
                f"the labels of its {segment.name} days, up to {segment.last:%Y-%m-%d}, look at days up to "
                f"{segment.labels_to:%Y-%m-%d}. Only later days may be read: let its test begin after them."
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
    windows = windows_of(run)
    if windows is None:
        require_unseen(score.index, learnt_in_task(run, experiment), experiment)
    else:
        require_tested(score.index, windows, experiment)
    return score.iloc[:, [0]].set_axis([experiment], axis=1).sort_index()


def require_tested(index: pd.MultiIndex, windows: pd.DataFrame, experiment: str) -> None:
    """Raise DataError where a row (datetime, instrument) is of no test day of the windows, or one was not purged."""
    days = index.get_level_values("datetime")
    tested = np.zeros(len(days), dtype=bool)
    for window in windows.drop_duplicates([*DATES, TRAIN_LABELS_TO, VALID_LABELS_TO]).to_dict("records"):
        learnt_in_window(window, experiment)
        tested |= (days >= pd.Timestamp(window[TEST_FROM])) & (days <= pd.Timestamp(window[TEST_TO]))
    if not tested.all():
        raise DataError(
            f"{(~tested).sum()} of {len(days)} predictions of {experiment!r} are of days that no window was tested on, "
            f"first on {first_of(~tested, index)}. Run the rolling model again."
        )

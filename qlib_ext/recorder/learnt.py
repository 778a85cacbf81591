"""What a recorded run learnt from: its segments, and how far their labels look ahead."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from mlflow.entities import Run
from qlib.data import D
from qlib.utils import get_callable_kwargs

from qlib_ext.data.purging import labels_known_on, last_known_day, next_start
from qlib_ext.data.segments import bounds_of
from qlib_ext.errors import ConfigError, DataError, SegmentError
from qlib_ext.expressions.reach import label_reach
from qlib_ext.recorder.runs import load
from qlib_ext.recorder.windows import (
    TEST_FROM,
    TRAIN_FROM,
    TRAIN_LABELS_TO,
    TRAIN_TO,
    VALID_FROM,
    VALID_LABELS_TO,
    VALID_TO,
)

LEARNT = ("train", "valid")  # the second chose the epoch


@dataclass(frozen=True)
class Segment:
    """Days that a model learnt from: the first and the last, and the last that their labels look at."""

    name: str
    first: pd.Timestamp | None
    last: pd.Timestamp
    labels_to: pd.Timestamp


def learnt_in_window(window: Mapping[Hashable, Any], experiment: str) -> list[Segment]:
    """What a line of the table of windows learnt from; raises DataError where it was not purged, or does not say."""
    columns = ((TRAIN_FROM, TRAIN_TO, TRAIN_LABELS_TO), (VALID_FROM, VALID_TO, VALID_LABELS_TO))
    segments = []
    for name, days in zip(LEARNT, columns, strict=True):
        first, last, labels_to = (pd.Timestamp(window[column]) for column in days)
        if pd.isna(labels_to):
            raise DataError(unknown_reach(experiment, "its purge was given as a number"))
        segments.append(Segment(name, first, last, labels_to))
    require_purged(segments, {"valid": segments[1].first, "test": pd.Timestamp(window[TEST_FROM])}, experiment)
    return segments


def learnt_in_task(run: Run, experiment: str) -> list[Segment]:
    """What a run without windows learnt from, by its recorded dataset, which purges or leaves days out.

    Raises DataError where it did not, or where segments or label cannot be read.
    """
    dataset, problem = load(run, "dataset")
    segments = getattr(dataset, "segments", None) or {}
    if "train" not in segments:
        raise DataError(
            f"The last run of {experiment!r} does not say on which days it was trained: "
            f"{problem or 'its dataset has no segment train'}. "
            "Run it with qrun, with segments train, valid and test, or within RollingModel."
        )
    try:
        reach = label_reach(dataset.handler)
        purge = None if (own := purge_of(dataset, run)) is None else label_reach(dataset.handler, own)
        starts = {name: bounds_of(name, segments[name])[0] for name in (*LEARNT, "test") if name in segments}
    except (ConfigError, SegmentError, AttributeError) as error:
        raise DataError(unknown_reach(experiment, str(error))) from error
    calendar = pd.DatetimeIndex(D.calendar())
    found = []
    for name in LEARNT:
        if name in segments:
            last = last_learnt_day(segments, name, calendar, purge)
            found.append(Segment(name, starts[name], last, labels_known_on(calendar, last, reach)))
    require_purged(found, starts, experiment)
    return found


def last_learnt_day(
    segments: Mapping[str, Any], name: str, calendar: pd.DatetimeIndex, purge: int | None
) -> pd.Timestamp:
    """The last day of a segment, before the ``purge`` days that are left out of it; None: it is not purged."""
    _, end = bounds_of(name, segments[name])
    end = calendar[-1] if end is None else end
    border = next_start(segments, name)
    return end if purge is None or border is None else min(end, last_known_day(calendar, border, purge))


def purge_of(dataset: Any, run: Run) -> int | str | None:
    """The purge that a dataset has, or that a model of its task makes of any; None where nobody purges."""
    if hasattr(dataset, "purge"):
        return dataset.purge
    task, _ = load(run, "task")
    try:
        model, _ = get_callable_kwargs(task["model"])
    except (ImportError, AttributeError, KeyError, TypeError):
        return None
    return "auto" if getattr(model, "purges", False) else None


def require_purged(learnt: Iterable[Segment], starts: Mapping[str, pd.Timestamp | None], experiment: str) -> None:
    """Raise DataError where labels look at a day of the segment that follows; ``starts``: first days, by segment."""
    for segment in learnt:
        for name, start in starts.items():
            if start is not None and segment.last < start <= segment.labels_to:
                raise DataError(
                    f"{experiment!r} was not purged, so that what it recorded is in-sample: the labels of its "
                    f"{segment.name} days, up to {segment.last:%Y-%m-%d}, look at days up to "
                    f"{segment.labels_to:%Y-%m-%d}, and its {name} days begin on {start:%Y-%m-%d}. Train it again with "
                    "purge: auto, within RollingModel or on qlib_ext.data.dataset.CrossSectionDataset, or leave as "
                    "many days out between the segments."
                )


def unknown_reach(experiment: str, reason: str) -> str:
    """What to tell where nobody knows how far labels look ahead."""
    return (
        f"How far the labels of {experiment!r} look ahead is not known ({reason.rstrip('.')}), so nothing shows that "
        "what it recorded is out-of-sample. Let a loader read the label by expressions of Qlib's operators, or of your "
        "own that say it in get_extended_window_size, and train it again with purge: auto."
    )

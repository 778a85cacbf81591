"""The segments of a dataset: their days, and what they may not have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from numbers import Real
from typing import Any

import pandas as pd
from qlib.log import get_module_logger

from qlib_ext.errors import ConfigError, SegmentError

Bounds = tuple[pd.Timestamp | None, pd.Timestamp | None]
APART = ("train", "valid", "test")  # others, such as a part of the test, may lie within one of these

logger = get_module_logger("qlib_ext.data")


def bounds_of(name: str, segment: Any) -> Bounds:
    """First and last day of a segment, None where it is open; raises ConfigError for what is no segment."""
    try:
        start, end = segment
        return whole_day(start), whole_day(end)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"Segment {name!r} is its first and its last day, such as [2010-01-01, 2015-12-31], not {segment!r}. "
            "TRAIN and VALID of a workflow name both, TRAIN='2010-01-01, 2015-12-31'."
        ) from error


def span_of(days: slice) -> Bounds:
    """First and last day of ``slice(first, last)``, which Qlib takes in place of a segment's name, both included."""
    if days.step is not None:
        raise ConfigError(f"A slice of days has a first and a last day and no step, not {days}.")
    return bounds_of("slice", (days.start, days.stop))


def whole_day(day: Any) -> pd.Timestamp | None:
    """A day as it was written, None for None; raises ConfigError for a number, a time zone, a month or a year.

    pandas takes the number 20150101 for nanoseconds, and "2015-11" for the 1st here and for the whole month there.
    """
    if day is None:
        return None
    if isinstance(day, Real) or (isinstance(day, str) and len(day.strip()) < len("20150101")):
        raise ConfigError(f"{day!r} is no day")
    time = pd.Timestamp(day)
    if time.tzinfo is not None:
        raise ConfigError(f"{day!r} has a time zone")
    return time


def refuse_overlap(segments: Mapping[str, Any]) -> None:
    """Raise SegmentError where two of train, valid and test have a day in common, be it a border alone."""
    spans = {name: bounds_of(name, segments[name]) for name in APART if name in segments}
    for (name, (start, end)), (other, (other_start, other_end)) in combinations(spans.items(), 2):
        before = end is not None and other_start is not None and end < other_start
        after = start is not None and other_end is not None and start > other_end
        if not (before or after):
            raise SegmentError(
                f"The segments {name!r} {segments[name]} and {other!r} {segments[other]} overlap: what is learnt on a "
                "day may not be tested on it. Let one end on a day before the other begins."
            )


def refuse_fitted_on_test(fit_ends: Iterable[tuple[Any, str]], segments: Mapping[str, Any]) -> None:
    """Raise SegmentError where a processor is fitted on days of the test; warn where on days after those of train.

    fit_ends: the last day that each is fitted on, None for all that there are, and its name. Without a segment
    ``train`` nothing is checked: ``RollingModel`` gives each window its own dates.
    """
    if "train" not in segments:
        return
    _, train_end = bounds_of("train", segments["train"])
    test_start, _ = bounds_of("test", segments.get("test", (None, None)))
    for end, name in fit_ends:
        try:
            last = whole_day(end)
        except ValueError as error:
            raise ConfigError(f"fit_end_time of {name} is a day, such as 2015-12-31, not {end!r}.") from error
        if train_end is None:
            continue
        until = "the last" if last is None else f"{last:%Y-%m-%d}"
        if test_start is not None and (last is None or last >= test_start):
            raise SegmentError(
                f"{name} is fitted on days up to {until}, and the test begins on {test_start:%Y-%m-%d}: its numbers "
                f"would know the test. Let fit_end_time be the last day of training, {train_end:%Y-%m-%d}."
            )
        if last is None or last > train_end:
            logger.warning(
                f"{name} is fitted on days up to {until}, after the last day of training, {train_end:%Y-%m-%d}: "
                "validation then knows more than training did."
            )

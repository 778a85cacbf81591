"""Cutting a test segment into windows, each with the training and validation days before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from qlib_ext.data.purging import labels_known_on, last_known_day
from qlib_ext.errors import ConfigError, SegmentError
from qlib_ext.recorder.windows import DATES, TRAIN_LABELS_TO, VALID_LABELS_TO

Span = tuple[pd.Timestamp, pd.Timestamp]

LONGEST_HOLIDAY = pd.Timedelta(days=15)  # data may begin so much after the first border and still miss no trading day


@dataclass(frozen=True)
class RollingWindow:
    """First and last trading day of each segment; train and valid end where their labels are known in time."""

    train: Span
    valid: Span
    test: Span

    @classmethod
    def of(cls, line: Mapping[Hashable, Any]) -> RollingWindow:
        """The window of a line of the table of windows."""
        days = [pd.Timestamp(line[column]) for column in DATES]
        return cls((days[0], days[1]), (days[2], days[3]), (days[4], days[5]))

    def segments(self) -> dict[str, Span]:
        """The segments of a Qlib dataset."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def dates(self) -> dict[str, str]:
        """First and last day of each segment by the columns of the table of windows."""
        days = [day for segment in (self.train, self.valid, self.test) for day in segment]
        return {column: f"{day:%Y-%m-%d}" for column, day in zip(DATES, days, strict=True)}

    def label_ends(self, calendar: pd.DatetimeIndex, reach: int | None) -> dict[str, str | None]:
        """The last day that labels of training and validation look at, ``reach`` trading days on; None: not known."""
        ends = {TRAIN_LABELS_TO: self.train[1], VALID_LABELS_TO: self.valid[1]}
        if reach is None:
            return dict.fromkeys(ends)
        return {column: f"{labels_known_on(calendar, day, reach):%Y-%m-%d}" for column, day in ends.items()}

    def __str__(self) -> str:
        return f"{self.test[0]:%Y-%m-%d}"


@dataclass(frozen=True)
class Period:
    """A length of time: ``5Y`` or ``6M`` of the calendar, ``20D`` trading days."""

    number: int
    unit: str

    @classmethod
    def parse(cls, text: str, name: str) -> Period:
        """Read ``5Y``, ``6M`` or ``20D``; raises ConfigError for anything else."""
        match = re.fullmatch(r"([1-9]\d*)([YMD])", str(text).upper())
        if match is None:
            raise ConfigError(
                f"{name} is a number of years, months or trading days, such as 5Y, 6M, 20D, not {text!r}."
            )
        return cls(int(match[1]), match[2])

    def shift(self, border: pd.Timestamp, days: pd.DatetimeIndex, times: int) -> pd.Timestamp | None:
        """The border so many periods later (negative: earlier); None where trading days run out."""
        if self.unit != "D":
            months = self.number * times * (12 if self.unit == "Y" else 1)
            return border + pd.DateOffset(months=months)
        place = days.searchsorted(border) + self.number * times
        return days[place] if 0 <= place < len(days) else None


def plan(
    days: pd.DatetimeIndex,
    test: tuple[pd.Timestamp | None, pd.Timestamp | None],
    train: str,
    valid: str | float,
    step: str,
    expanding: bool = False,
    reach: int = 0,
) -> list[RollingWindow]:
    """Windows whose test segments follow each other without a gap and cover the whole test segment.

    A window is tested on [t, t + step), stopped by [t - valid, t) and trained on [t - valid - train, t - valid); with
    ``expanding`` training always begins where that of the first window does. ``valid`` as a share, such as 0.2, takes
    the last fifth of the trading days of [t - train, t). A border that is no trading day falls on the next one. The
    last window is shorter where the steps leave a rest.

    days: the trading days that there are rows of, ascending. reach: trading days until a label is known; samples
    whose label would be known on or after the next segment's first day are left out (purged).
    Raises SegmentError where the rows begin too late for the first window, and for a segment without a day.
    """
    start = days[0] if test[0] is None else pd.Timestamp(test[0])
    end = days[-1] if test[1] is None else min(pd.Timestamp(test[1]), days[-1])
    length, pace = Period.parse(train, "train"), Period.parse(step, "step")
    split = validation(valid)
    first: pd.Timestamp | None = None
    windows = []
    for number in range(len(days)):
        border = pace.shift(start, days, number) if number else start
        if border is None or border > end:
            break
        after = pace.shift(start, days, number + 1)
        until = end if after is None else min(end, after - pd.Timedelta(days=1))
        tested = days[days.searchsorted(border) : days.searchsorted(until, side="right")]
        if not len(tested):
            continue
        begin, stop = split(border, length, days)
        first = first or begin
        windows.append(window(days, first if expanding else begin, stop, tested, reach))
    if not windows:
        raise SegmentError(
            f"The test segment {start:%Y-%m-%d} to {end:%Y-%m-%d} has no trading day; the rows run from "
            f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}."
        )
    return windows


def check_lengths(train: str, valid: str | float, step: str) -> None:
    """Raise ConfigError for what is no length of time, before any rows are loaded."""
    Period.parse(train, "train")
    Period.parse(step, "step")
    validation(valid)


Split = Callable[[pd.Timestamp, Period, pd.DatetimeIndex], tuple[pd.Timestamp, pd.Timestamp]]


def validation(valid: str | float) -> Split:
    """How a window's test border gives the borders of training and validation; raises ConfigError."""
    if isinstance(valid, str):
        period = Period.parse(valid, "valid")

        def by_period(test: pd.Timestamp, train: Period, days: pd.DatetimeIndex) -> tuple[pd.Timestamp, pd.Timestamp]:
            stop = earlier(test, period, days)
            return earlier(stop, train, days), stop

        return by_period
    if not 0 < valid < 1:
        raise ConfigError(f"valid as a share lies between 0 and 1, not {valid!r}.")

    def by_share(test: pd.Timestamp, train: Period, days: pd.DatetimeIndex) -> tuple[pd.Timestamp, pd.Timestamp]:
        begin = earlier(test, train, days)
        inside = days[days.searchsorted(begin) : days.searchsorted(test)]
        return begin, inside[len(inside) - max(1, round(valid * len(inside)))]

    return by_share


def earlier(border: pd.Timestamp, period: Period, days: pd.DatetimeIndex) -> pd.Timestamp:
    """The border one period before another; raises SegmentError where the rows begin later."""
    shifted = period.shift(border, days, -1)
    if shifted is None or shifted < days[0] - LONGEST_HOLIDAY:
        wanted = f"{period.number} trading days" if shifted is None else f"from {shifted:%Y-%m-%d} on"
        raise SegmentError(
            f"The window before {border:%Y-%m-%d} needs rows {wanted}, but the handler's begin on {days[0]:%Y-%m-%d}. "
            "Let its start_time be earlier, the test segment begin later, or train and valid be shorter."
        )
    return shifted


def window(
    days: pd.DatetimeIndex, begin: pd.Timestamp, stop: pd.Timestamp, tested: pd.DatetimeIndex, reach: int
) -> RollingWindow:
    """One window, purged; raises SegmentError where nothing is left to train on or to stop by."""
    spans = {}
    for name, low, high in (("train", begin, stop), ("valid", stop, tested[0])):
        inside = days[days.searchsorted(low) : days.searchsorted(high)]
        kept = inside[inside <= last_known_day(days, high, reach)]
        if not len(kept):
            raise SegmentError(
                f"The {name} segment of the window tested from {tested[0]:%Y-%m-%d} on has no day left: it spans "
                f"{len(inside)} trading days, and labels are known {reach} trading days later. Make it longer."
            )
        spans[name] = (kept[0], kept[-1])
    return RollingWindow(test=(tested[0], tested[-1]), **spans)

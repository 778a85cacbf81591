"""On which rows a handler's processors are fitted: those of the training days, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.processor import Processor

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.processors.normalise import between

KINDS = ("shared_processors", "infer_processors", "learn_processors")


class FittedOnTrainingDays(Processor):
    """A processor without dates of its own, whose ``fit`` sees the rows of fit_start_time..fit_end_time alone."""

    def __init__(self, processor: Processor, fit_start_time: Any, fit_end_time: Any) -> None:
        self.processor = processor
        self.fit_start_time, self.fit_end_time = fit_start_time, fit_end_time

    def fit(self, df: pd.DataFrame) -> None:
        """Fit the processor on the rows of the training days."""
        self.processor.fit(between(df, self.fit_start_time, self.fit_end_time))

    def __call__(self, df: pd.DataFrame) -> pd.DataFrame:
        return self.processor(df)

    @property
    def row_by_row(self) -> bool:
        """As the processor itself."""
        return row_by_row(self.processor)

    def is_for_infer(self) -> bool:
        """As the processor itself."""
        return self.processor.is_for_infer()

    def readonly(self) -> bool:
        """As the processor itself."""
        return self.processor.readonly()

    def config(self, **kwargs: Any) -> None:
        """As the processor itself."""
        self.processor.config(**kwargs)


def row_by_row(processor: Processor) -> bool:
    """Whether a fitted processor looks at each row by itself, which it says with ``row_by_row = True``."""
    return getattr(processor, "row_by_row", False)


def fit_on(handler: DataHandlerLP, start: Any, end: Any) -> None:
    """Let the processors that have no dates of their own be fitted on the rows of start..end alone.

    Raises ConfigError for such a processor where the last date is None: it would be fitted on the test as well.
    """
    for kind in KINDS:
        setattr(handler, kind, [_fitted_on(processor, start, end) for processor in getattr(handler, kind)])


def refit_on(handler: DataHandlerLP, start: Any, end: Any) -> None:
    """Let all processors be fitted on the rows of start..end, whatever dates they were given before."""
    fit_on(handler, start, end)
    for processor in handler.get_all_processors():
        if hasattr(processor, "fit_start_time"):
            processor.fit_start_time, processor.fit_end_time = start, end


def require_rows(days: pd.DatetimeIndex, processors: Iterable[Processor]) -> None:
    """Raise DataError for a processor that would be fitted on no row: its numbers would all be NaN, and then 0.

    days: the days that have rows.
    """
    for processor in processors:
        if not hasattr(processor, "fit_start_time"):
            continue
        start, end = processor.fit_start_time, processor.fit_end_time
        first, last = (None if day is None else pd.Timestamp(day) for day in (start, end))
        within = (days >= (first or days.min())) & (days <= (last or days.max()))
        if not within.any():
            raise DataError(
                f"{name_of(processor)} is to be fitted on {start} to {end}, and there is no row of these days: the "
                f"rows run from {days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}. Let fit_start_time and fit_end_time "
                "be the first and last day of training."
            )


def fit_ends(handler: Any) -> list[tuple[Any, str]]:
    """The last day that each processor that learns is fitted on, None for all there are, and the processor's name."""
    processors = handler.get_all_processors() if hasattr(handler, "get_all_processors") else []
    return [(getattr(each, "fit_end_time", None), name_of(each)) for each in processors if learns(each)]


def name_of(processor: Processor) -> str:
    """The class of a processor, as its user wrote it."""
    return type(unwrapped(processor)).__name__


def unwrapped(processor: Processor) -> Processor:
    """The processor as its user gave it."""
    return processor.processor if isinstance(processor, FittedOnTrainingDays) else processor


def learns(processor: Processor) -> bool:
    """Whether a processor takes numbers from the rows that it is fitted on."""
    return type(processor).fit is not Processor.fit and not getattr(processor, "learns_nothing", False)


def _fitted_on(processor: Processor, start: Any, end: Any) -> Processor:
    if not learns(processor) or hasattr(processor, "fit_end_time"):
        return processor
    if end is None:
        raise ConfigError(
            f"{name_of(processor)} has a fit and no dates, so it would be fitted on the days of the test as well; give "
            "the handler fit_start_time and fit_end_time, the first and last day of training."
        )
    return FittedOnTrainingDays(processor, start, end)

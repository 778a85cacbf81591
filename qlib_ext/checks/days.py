"""The days of a task: its segments within the provider's, and the benchmark on the days of its backtest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qlib_ext.data.segments import bounds_of
from qlib_ext.errors import ProviderError, SegmentError
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.check import check_future_days
from qlib_ext.provider.names import INDEX_OF, feature_folder
from qlib_ext.provider.panels import read_panels


def check_segments(segments: Mapping[str, Any], provider: Path) -> list[str]:
    """Raise SegmentError for a segment without a day of the provider; warnings for those that reach beyond its days."""
    calendar, warnings = read_calendar(provider), []
    for name, segment in segments.items():
        first, last = bounds_of(name, segment)
        days = calendar[calendar.slice_indexer(first, last)]
        written = f"{'the first day' if first is None else f'{first:%Y-%m-%d}'} to "
        written += "the last" if last is None else f"{last:%Y-%m-%d}"
        if not len(days):
            raise SegmentError(
                f"The segment {name!r}, {written}, has no trading day of the provider {provider}, whose days are "
                f"{calendar[0]:%Y-%m-%d} to {calendar[-1]:%Y-%m-%d}. Name days within these (START, TRAIN, VALID, "
                "TEST, END), or another provider."
            )
        beyond = (first is not None and days[0] > first + pd.Timedelta(days=15)) or (
            last is not None and days[-1] < last
        )
        if beyond and (days[0] == calendar[0] or days[-1] == calendar[-1]):
            warnings.append(
                f"Of the segment {name!r}, {written}, the provider {provider} has {days[0]:%Y-%m-%d} to "
                f"{days[-1]:%Y-%m-%d}, {len(days)} trading days."
            )
    return warnings


def check_benchmark(backtest: Mapping[str, Any], test: Any, universe: str | None, provider: Path) -> list[str]:
    """Raise ProviderError where a backtest's index has no bars on its days, or no day follows the provider's last.

    test: the segment of the scores. Returns warnings of days without a bar, and of an index of another universe.
    """
    check_future_days(provider)
    index = backtest.get("benchmark", "SH000300")  # Qlib's own default
    if not isinstance(index, str):  # none, or returns by day
        return []
    if not (feature_folder(provider, index) / "close.day.bin").is_file():
        raise ProviderError(f"the provider {provider} has no $close of the index {index}; BENCHMARK names another")
    first, last = bounds_of("test", (None, None) if test is None else test)
    first = pd.Timestamp(backtest.get("start_time") or first)
    last = pd.Timestamp(backtest.get("end_time") or last)
    calendar = read_calendar(provider)
    known = np.isfinite(read_panels(provider, ["close"], [index])["close"][:, 0])
    with_bars, within = (
        calendar[known],
        calendar.slice_indexer(*(None if pd.isna(day) else day for day in (first, last))),
    )
    needed = calendar[within]
    if not len(needed):
        raise SegmentError(
            f"The backtest, {first:%Y-%m-%d} to {last:%Y-%m-%d}, has no trading day of the provider {provider}, whose "
            f"days are {calendar[0]:%Y-%m-%d} to {calendar[-1]:%Y-%m-%d}."
        )
    if not len(with_bars) or with_bars[0] > needed[0] or with_bars[-1] < needed[-1]:
        has = f"from {with_bars[0]:%Y-%m-%d} to {with_bars[-1]:%Y-%m-%d}" if len(with_bars) else "on no day"
        raise ProviderError(
            f"The index {index} has bars {has}, the backtest is of {needed[0]:%Y-%m-%d} to {needed[-1]:%Y-%m-%d}: Qlib "
            "would take its returns for 0. BENCHMARK names another index; TEST and END other days."
        )
    warnings = []
    if (gaps := needed[~known[within]]).size:
        warnings.append(
            f"The index {index} has no bar on {len(gaps)} of {len(needed)} days of the backtest, first "
            f"{gaps[0]:%Y-%m-%d}, on which Qlib takes its return for 0."
        )
    own = INDEX_OF.get((universe or "").lower())
    if own is not None and own != index.upper() and index.upper() in INDEX_OF.values():
        warnings.append(
            f"The stocks are those of {universe}, the benchmark {index} is another index: the excess return is mostly "
            f"that between the two. BENCHMARK={own} is the universe's own."
        )
    return warnings

"""The trading day after an evening, and the one step of Qlib's calendar that a strategy decides for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from qlib.backtest.utils import TradeCalendarManager

from qlib_ext.errors import DataError
from qlib_ext.provider.calendar import calendar_file, read_calendar


@dataclass(frozen=True)
class TradingDay:
    """The day of the orders, the evening's day before it, and whether a calendar has it or it is the next weekday."""

    day: pd.Timestamp
    before: pd.Timestamp
    known: bool

    @property
    def end(self) -> pd.Timestamp:
        """The last second of the day, as Qlib counts a step."""
        return span_of(self.day)[1]


def trading_day_after(provider: Path, evening: pd.Timestamp, named: pd.Timestamp | None = None) -> TradingDay:
    """The trading day after a day of the provider's calendar.

    It is the calendar's next one, behind its end that of calendars/day_future.txt, and where there is none the next
    weekday. ``named`` overrides the last two. Raises DataError where ``named`` is not after the evening, is a Saturday
    or Sunday, or is not the calendar's next day.
    """
    calendar = read_calendar(provider)
    later = calendar[calendar > evening]
    if named is not None:
        if named <= evening:
            raise DataError(f"The trading day {named:%Y-%m-%d} is not after {evening:%Y-%m-%d}, the day of the score.")
        if named.dayofweek >= 5:
            raise DataError(
                f"The trading day {named:%Y-%m-%d} is a {named:%A}; name a day on which the exchange trades."
            )
        if len(later) and named != later[0]:
            raise DataError(
                f"The trading day after {evening:%Y-%m-%d} is {later[0]:%Y-%m-%d} in {provider}, not {named:%Y-%m-%d}."
            )
        return TradingDay(named, evening, known=True)
    if later.empty and calendar_file(provider, future=True).is_file():
        future = read_calendar(provider, future=True)
        later = future[future > evening]
    if len(later):
        return TradingDay(later[0], evening, known=True)
    return TradingDay(evening + pd.offsets.BDay(), evening, known=False)


def span_of(day: pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The first and the last second of a day, as Qlib's exchange wants it."""
    return day, day + pd.Timedelta(days=1, seconds=-1)


class OneStep(TradeCalendarManager):
    """Qlib's calendar of a backtest that consists of one trading day.

    Qlib's own reads the provider's calendar, which on the evening before does not have that day.
    """

    def __init__(self, trading: TradingDay) -> None:
        self.level_infra = None
        self.freq = "day"
        self.start_time = self.end_time = trading.day
        self._calendar = np.array([trading.before, trading.day, trading.day + pd.Timedelta(days=1)], dtype=object)
        self.start_index = self.end_index = 1
        self.trade_len, self.trade_step = 1, 0

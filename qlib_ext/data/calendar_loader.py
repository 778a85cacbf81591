"""Loading where each day stands in the weeks and months of the calendar."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
from qlib.data import D

from qlib_ext.data.loader import HistoryLoader
from qlib_ext.data.shapes.frequencies import CALENDAR_DAYS

CALENDAR_COLUMNS = ("WEEK", "MONTH")


class CalendarLoader(HistoryLoader):
    """Members and their history as ``HistoryLoader`` loads them, with the features WEEK and MONTH behind the others.

    ``WEEK = 7 week + day of the week``, weeks counted over those that have a trading day, Monday 0;
    ``MONTH = 31 month + day of the month - 1``, months counted from the calendar's first. Both are known on the day.
    """

    of_provider_alone: ClassVar[bool] = True

    def load(self, instruments: Any = None, start_time: Any = None, end_time: Any = None) -> pd.DataFrame:
        """The members' rows; their history goes to ``history_``."""
        members = super().load(instruments, start_time, end_time)
        places = calendar_places(pd.DatetimeIndex(D.calendar(freq="day")))
        self.history_ = with_places(self.history_, places)
        return with_places(members, places)


def calendar_places(days: pd.DatetimeIndex) -> pd.DataFrame:
    """Where each trading day stands: ``[days, (WEEK, MONTH)]``."""
    week, month = days.to_period("W"), (days.year - days[0].year) * 12 + days.month
    return pd.DataFrame(
        {
            "WEEK": CALENDAR_DAYS["week"] * week.factorize()[0] + days.day_of_week,
            "MONTH": CALENDAR_DAYS["month"] * month + days.day - 1,
        },
        index=days,
    )


def with_places(frame: pd.DataFrame, places: pd.DataFrame) -> pd.DataFrame:
    """The frame with the places of its days behind its features."""
    own = places.reindex(frame.index.get_level_values("datetime")).set_axis(frame.index)
    own.columns = pd.MultiIndex.from_product([["feature"], CALENDAR_COLUMNS])
    features = frame.columns.get_level_values(0) == "feature"
    return pd.concat([frame.loc[:, features], own, frame.loc[:, ~features]], axis=1)

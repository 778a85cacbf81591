"""Where a segment must end because its labels are known only later."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qlib.data.dataset.handler import DataHandlerLP


def trading_days(handler: Any) -> pd.DatetimeIndex:
    """The trading days of a handler's rows, ascending."""
    rows = handler.fetch(col_set="label", data_key=DataHandlerLP.DK_I)
    return pd.DatetimeIndex(rows.index.unique("datetime")).sort_values()


def last_known_day(days: pd.DatetimeIndex, border: pd.Timestamp, reach: int) -> pd.Timestamp:
    """The last of ``days`` whose label is known before ``border``; the day before all of them where there is none."""
    place = days.searchsorted(border) - reach - 1
    return days[place] if place >= 0 else days[0] - pd.Timedelta(days=1)

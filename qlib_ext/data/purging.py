"""Labels that are known only later: how far they reach, and where a segment must end because of it."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qlib.data.data import ExpressionD
from qlib.data.dataset.handler import DataHandlerLP

from qlib_ext.errors import SegmentError


def trading_days(handler: Any) -> pd.DatetimeIndex:
    """The trading days of a handler's rows, ascending."""
    rows = handler.fetch(col_set="label", data_key=DataHandlerLP.DK_I)
    return pd.DatetimeIndex(rows.index.unique("datetime")).sort_values()


def check_purge(purge: int | str) -> None:
    """Raise SegmentError unless purge is "auto" or a number of trading days."""
    if purge != "auto" and (not isinstance(purge, int) or purge < 0):
        raise SegmentError(f'purge is "auto" or a number of trading days, not {purge!r}.')


def label_reach(handler: Any, purge: int | str = "auto") -> int:
    """Trading days from a sample to the day its label is known, ``Ref($vwap, -2)/Ref($vwap, -1) - 1`` reaching two.

    ``purge`` is that number, or "auto": it is read from the expressions of the handler's label. Raises
    SegmentError where it cannot be read.
    """
    check_purge(purge)
    if purge != "auto":
        return int(purge)
    try:
        expressions = handler.data_loader.fields["label"][0]
        return max(int(ExpressionD.get_expression_instance(e).get_extended_window_size()[1]) for e in expressions)
    except (AttributeError, KeyError, TypeError, NameError, SyntaxError) as error:
        raise SegmentError(
            "How far the label reaches into the future cannot be read from an expression; give purge: N, the number "
            f"of trading days from a sample to the day its label is known ({error})."
        ) from error


def last_known_day(days: pd.DatetimeIndex, border: pd.Timestamp, reach: int) -> pd.Timestamp:
    """The last of ``days`` whose label is known before ``border``; the day before all of them where there is none."""
    place = days.searchsorted(border) - reach - 1
    return days[place] if place >= 0 else days[0] - pd.Timedelta(days=1)

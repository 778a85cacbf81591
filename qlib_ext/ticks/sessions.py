"""Which of the day's 240 minutes a time belongs to, as expressions of polars: ``provider.sessions`` has the sessions.

    09:30-11:30  minutes   0..119      13:00-15:00  minutes 120..239

The opening auction (09:15-09:30) belongs to none. A row stamped within the minute after a session's end, as the closing
auction is (Shanghai prints it up to 15:00:01), belongs to that session's last minute.
"""

from __future__ import annotations

import polars as pl

from qlib_ext.provider.sessions import AFTERNOON, MINUTES_A_SESSION, MORNING, OPENING_AUCTION

EARLY = 30  # the minutes before this one are 09:30-10:00
LATE = 210  # from this minute on it is 14:30-15:00
_NS = 60_000_000_000


def _of_day(time: pl.Expr) -> pl.Expr:
    return (time.cast(pl.Int64) // _NS).cast(pl.Int16)


def minute_of(time: pl.Expr) -> pl.Expr:
    """The trading minute of a time of day, 0..239, null outside the two sessions."""
    of_day = _of_day(time)
    last = MINUTES_A_SESSION - 1
    morning, afternoon = of_day - MORNING, of_day - AFTERNOON
    return (
        pl.when(morning.is_between(0, MINUTES_A_SESSION))
        .then(morning.clip(upper_bound=last))
        .when(afternoon.is_between(0, MINUTES_A_SESSION))
        .then(afternoon.clip(upper_bound=last) + MINUTES_A_SESSION)
    )


def start_of(minute: pl.Expr) -> pl.Expr:
    """The time of day at which a trading minute starts, the inverse of ``minute_of``."""
    of_day = minute.cast(pl.Int64) + pl.when(minute < MINUTES_A_SESSION).then(MORNING).otherwise(
        AFTERNOON - MINUTES_A_SESSION
    )
    return (of_day * _NS).cast(pl.Time)


def in_opening_auction(time: pl.Expr) -> pl.Expr:
    """Whether a time lies in 09:15-09:30, before continuous trading."""
    return _of_day(time).is_between(OPENING_AUCTION, MORNING - 1)

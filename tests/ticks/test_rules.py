"""The rules for a row know the same session as `sessions`."""

from __future__ import annotations

from datetime import time

import polars as pl
import pytest

from qlib_ext.ticks.rules import FAULTS
from qlib_ext.ticks.schema import SCHEMAS
from qlib_ext.ticks.sessions import in_opening_auction, minute_of


@pytest.mark.parametrize("source", list(SCHEMAS))
def test_the_session_is_that_of_the_minutes(source):
    whole = pl.DataFrame({"time": [time(s // 3600, s // 60 % 60, s % 60) for s in range(86_400)]})
    ends = whole.select(pl.col("time").cast(pl.Int64).add(999_999_999).cast(pl.Time))
    times = pl.concat([whole, ends])
    outside = minute_of(pl.col("time")).is_null()
    if source != "minute":
        outside &= ~in_opening_auction(pl.col("time"))
    found = times.select(rule=FAULTS[source]["time is outside the session"], sessions=outside)
    assert (found["rule"] == found["sessions"]).all()
    assert 0 < found["rule"].sum() < len(times)

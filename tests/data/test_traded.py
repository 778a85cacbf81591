"""``traded_only``: who has no close is no member that day, and windows still read the day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from handlers.bars import DayBars
from qlib_ext.data.blocks import joined
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.loader import HistoryLoader

CLOSE = {"feature": (["$close"], ["CLOSE"])}


@pytest.fixture(scope="module")
def provider(small, init):
    init(small[0])
    return small[0]


@pytest.mark.parametrize("seasoned_days", [0, 5])
def test_a_row_without_a_close_goes_to_the_history(provider, seasoned_days):
    every, only = (HistoryLoader(CLOSE, history=3, seasoned_days=seasoned_days, traded_only=on) for on in (False, True))
    rows, members = every.load("all"), only.load("all")
    on = rows["feature", "CLOSE"].notna()
    assert 0 < (~on).sum() < len(on) / 2, "some are suspended"
    pd.testing.assert_frame_equal(members, rows[on])
    pd.testing.assert_frame_equal(only.history_, pd.concat([every.history_, rows[~on]]).sort_index())
    assert joined([members, only.history_]) is not None, "both share one block"


def test_windows_after_a_suspension_are_what_they_were(provider, small):
    days = small[1].calendar[[100, 299]]
    every, only = (
        CrossSectionDataset(
            DayBars(instruments="all", start_time=days[0], end_time=days[1], traded_only=on),
            {"test": tuple(days)},
        ).samples("test", learn=False)
        for on in (False, True)
    )
    kept = every.index.isin(only.index)
    assert not kept.all(), "some are suspended"
    pd.testing.assert_index_equal(only.index, every.index[kept])
    before, after = (
        samples.panel.windows(samples.day.long(), samples.instrument.long(), 30, fill=False).numpy()
        for samples in (every, only)
    )
    assert np.isnan(before[kept]).all(axis=2).any(), "windows reach over a suspension"
    np.testing.assert_array_equal(after, before[kept])

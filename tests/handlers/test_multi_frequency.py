"""MultiFrequencyBars over a provider: a slow construction, nothing of the future, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset import DatasetH

from handlers.bars import DayBars, MultiFrequencyBars
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import ConfigError, DataError, WindowError
from qlib_ext.models.gru import GRU
from qlib_ext.models.multitask_gru import MultiTaskGRU
from tests.garbage import garbage_from
from tests.handlers.conftest import windows
from tests.slow import standardised_places
from tests.slow_bars import slow_frequencies

TIMES = {"start_time": "2015-05-04", "end_time": "2015-10-30", "instruments": "csi300"}
SHORT = {"day": 10, "week": 6, "month": 4}
NAMES = ["open", "high", "low", "close", "vwap", "volume"]
CALENDAR = pytest.mark.parametrize("calendar", [False, True])
SEGMENTS = {
    "train": ("2015-05-04", "2015-07-31"),
    "valid": ("2015-08-03", "2015-08-31"),
    "test": ("2015-09-01", "2015-10-30"),
}


def slow_day(market, universe: str, day: int, calendar: bool) -> tuple[list[str], np.ndarray]:
    """What a net is to read of one day: the members, and their windows."""
    members = np.flatnonzero((market.members if universe == "csi300" else market.listed)[day])
    x = []
    for stock in members:
        listed = market.listed[: day + 1, stock]
        bars = {name: np.where(listed, market.fields[name][: day + 1, stock].astype("f4"), np.nan) for name in NAMES}
        bars = pd.DataFrame(bars, market.calendar[: day + 1])
        x.append(slow_frequencies(bars, SHORT, calendar))
    return [market.symbols[stock] for stock in members], standardised_places(np.array(x))


@CALENDAR
@pytest.mark.parametrize("universe", ["csi300", "all"])
def test_what_a_net_reads_equals_a_slow_construction(small, init, universe, calendar):
    folder, market = small
    init(folder)
    index, x = windows(MultiFrequencyBars(SHORT, calendar, **TIMES | {"instruments": universe}))
    assert x.dtype == np.float32
    trading = ~np.isnan(market.fields["close"])
    days = market.calendar.get_indexer(index.unique("datetime"))
    seen = {"suspended today": False, "suspended before": False, "listed in the window": False}
    for day in np.random.default_rng(1).choice(days, 6, replace=False):
        names, expected = slow_day(market, universe, day, calendar)
        found = x[[index.get_loc((market.calendar[day], name)) for name in names]]
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
        past, own = slice(day - 79, day), np.isin(market.symbols, names)
        seen["suspended today"] |= (~trading[day] & own).any()
        seen["suspended before"] |= (~trading[past] & market.listed[past] & own).any()
        seen["listed in the window"] |= (~market.listed[past] & own).any()
    if universe == "all":
        assert all(seen.values())


@CALENDAR
def test_what_comes_after_today_changes_nothing_of_today(small, init, copy, calendar):
    today = small[1].calendar.get_loc(pd.Timestamp("2015-08-05"))  # a Wednesday early in the month
    read = []
    for folder in (small[0], copy("garbage", edit=garbage_from(today + 1))):
        init(folder)
        read.append(windows(MultiFrequencyBars(SHORT, calendar, **TIMES), end="2015-08-05"))
    pd.testing.assert_index_equal(read[0][0], read[1][0])
    np.testing.assert_array_equal(read[0][1], read[1][1])


def test_the_calendars_current_week_grows_day_by_day(small, init):
    init(small[0])
    index, week = windows(MultiFrequencyBars({"week": 2}, True, **TIMES), "2015-08-03", "2015-08-07")
    _, block = windows(MultiFrequencyBars({"week": 2}, **TIMES), "2015-08-03", "2015-08-07")
    friday = index.get_level_values("datetime") == "2015-08-07"
    np.testing.assert_allclose(week[friday], block[friday], atol=1e-6)
    assert not np.allclose(week[~friday], block[~friday], atol=0.1)


@CALENDAR
def test_the_windows_label_and_columns_of_the_reports_lengths(small, init, calendar):
    init(small[0])
    handler = MultiFrequencyBars(calendar=calendar, **TIMES)
    assert handler.window.length == (276 if calendar else 240)
    _, x = windows(handler, "2015-10-26", "2015-10-30")
    assert x.shape[1:] == (72, 6)
    assert np.isfinite(x).all()
    assert (np.abs(x).max(axis=0) > 0).sum() == 69 * 6, "all bars differ but the last of each series, 1 throughout"
    label = DayBars(**TIMES).fetch(col_set="label", data_key="learn")
    pd.testing.assert_frame_equal(handler.fetch(col_set="label", data_key="learn"), label)
    names = [name.upper() for name in NAMES] + ["WEEK", "MONTH"] * calendar
    assert list(DatasetH(handler=handler, segments=SEGMENTS).prepare("test", col_set="feature").columns) == names


@CALENDAR
def test_a_net_trains_on_them_and_on_no_others(small, init, calendar):
    init(small[0])
    data = CrossSectionDataset(MultiFrequencyBars(SHORT, calendar, **TIMES | {"instruments": "all"}), SEGMENTS)
    model = MultiTaskGRU(hidden_size=6, n_epochs=1, GPU=-1, seed=0, min_stocks=10)
    model.fit(data)
    score = model.predict(data)
    assert len(score) == len(data.samples("test", learn=False)) > 0
    assert score.groupby(level="datetime").nunique().gt(1).all()
    other = CrossSectionDataset(MultiFrequencyBars(SHORT | {"month": 2}, calendar, **TIMES), SEGMENTS)
    with pytest.raises(DataError, match=r"trained on windows of day .*, the handler's are of day .* month 2 x 6"):
        model.predict(other)


def test_days_alone_are_read_by_any_net_of_fields(small, init):
    init(small[0])
    data = CrossSectionDataset(MultiFrequencyBars({"day": 12}, **TIMES), SEGMENTS)
    model = GRU(hidden_size=6, num_layers=1, num_factors=2, n_epochs=1, GPU=-1, seed=0)
    model.fit(data)
    assert np.isfinite(model.predict(data)).all()


def test_step_len_is_that_of_the_lengths(small, init):
    init(small[0])
    with pytest.raises(ConfigError, match="step_len 20 is no multiple"):
        MultiFrequencyBars(step_len=20)
    with pytest.raises(ConfigError, match="step_len 20 is no multiple"):
        CrossSectionDataset(MultiFrequencyBars(SHORT, **TIMES), SEGMENTS, step_len=20)


def test_a_history_shorter_than_twelve_months(small, init):
    init(small[0])
    short = TIMES | {"start_time": "2014-10-01", "end_time": "2015-03-31"}
    with pytest.raises(WindowError, match=r"No window of 240 days .* rows of \d+ days, from 2014-09-01 to 2015-03-31"):
        CrossSectionDataset(MultiFrequencyBars(**short), {"test": (None, None)}).panel()


def test_months_before_the_provider_begins_are_missing(small, init):
    init(small[0])
    _, x = windows(MultiFrequencyBars(**TIMES | {"start_time": "2014-10-08"}), "2014-10-08", "2014-10-10")
    months = np.abs(x[:, 60:]).max(axis=(0, 2))
    assert (months[:-2] == 0).all(), "six weeks are two months, the last of them 1"
    assert months[-2] > 0


def test_volumes_that_are_zero_throughout_are_named(init, copy):
    init(copy("idle", edit=lambda bars, start: bars.fill(0.0), files="*/volume.day.bin"))
    with pytest.raises(DataError, match=r"'VOLUME' = .*What they share is \$volume"):
        MultiFrequencyBars(**TIMES)


def test_a_stock_without_volume_is_missing_and_scored_like_the_others(small, init, copy):
    name = small[1].symbols[0]
    init(copy("one", edit=lambda bars, start: bars.fill(0.0), files=f"{name.lower()}/volume.day.bin"))
    index, x = windows(MultiFrequencyBars(SHORT, **TIMES | {"instruments": "all"}))
    own = index.get_level_values("instrument") == name
    assert own.any()
    assert (x[own] == 0).all()
    assert (x[~own] != 0).any()


def test_a_misspelt_option_names_the_nearest_one():
    with pytest.raises(ConfigError, match=r"MultiFrequencyBars has no option 'calender'; did you mean 'calendar'\?"):
        MultiFrequencyBars(calender=True)

"""DayBars and Week over a provider: a slow construction, nothing of the future, Qlib's own datasets, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset import DatasetH, TSDatasetH
from qlib.data.dataset.processor import Processor

from handlers.bars import DAY_FIELDS, DayBars
from handlers.week import Week
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import ConfigError, DataError, ProviderError, WindowError
from qlib_ext.expressions.reach import label_reach
from qlib_ext.models.gru import GRU
from tests.garbage import garbage_from
from tests.handlers.conftest import windows
from tests.slow import standardised_places

TIMES = {"start_time": "2015-05-04", "end_time": "2015-10-30", "instruments": "csi300"}
BOTH = pytest.mark.parametrize("kind", [DayBars, Week])
PRICES = ["open", "high", "low", "close", "vwap"]
SEGMENTS = {
    "train": ("2015-05-04", "2015-07-31"),
    "valid": ("2015-08-03", "2015-08-31"),
    "test": ("2015-09-01", "2015-10-30"),
}


def slow_bars(market, stock: int, day: int, length: int) -> np.ndarray:
    """One stock's window, ``[6, length]``: the prices over the last close, volume over its mean of 60 days."""
    listed = np.flatnonzero(market.listed[:, stock])
    own = {name: pd.Series(market.fields[name][listed, stock].astype("f4"), listed) for name in [*PRICES, "volume"]}
    turnover = own["volume"] / own["volume"].rolling(60, min_periods=1).mean()
    past = range(day - length + 1, day + 1)  # a day that is not listed is missing
    closes = own["close"].reindex(past).dropna()
    last = closes.iloc[-1] if len(closes) else np.nan
    return np.array([own[name].reindex(past) / last for name in PRICES] + [turnover.reindex(past)])


def slow_day(market, universe: str, kind, day: int) -> tuple[list[str], np.ndarray]:
    """What a net is to read of one day: the members, and their windows."""
    members = np.flatnonzero((market.members if universe == "csi300" else market.listed)[day])
    x = np.array([slow_bars(market, stock, day, kind.window.length) for stock in members])  # [stocks, 6, length]
    x = standardised_places(x)
    names = [market.symbols[stock] for stock in members]
    if kind is DayBars:
        return names, x.transpose(0, 2, 1)  # [stocks, 30, 6]
    return names, np.stack([x[:, :, 5 * k : 5 * k + 5] for k in range(30)], axis=1)  # [stocks, 30, 6, 5]


@BOTH
@pytest.mark.parametrize("universe", ["csi300", "all"])
def test_what_a_net_reads_equals_a_slow_construction(small, init, universe, kind):
    folder, market = small
    init(folder)
    index, x = windows(kind(**TIMES | {"instruments": universe}))
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    trading = ~np.isnan(market.fields["close"])
    days = market.calendar.get_indexer(index.unique("datetime"))
    seen = {"suspended today": False, "suspended before": False, "listed in the window": False}
    for day in np.random.default_rng(1).choice(days, 12, replace=False):
        names, expected = slow_day(market, universe, kind, day)
        rows = np.flatnonzero(index.get_level_values("datetime") == market.calendar[day])
        assert list(index[rows].get_level_values("instrument")) == sorted(names)
        found = x[[index.get_loc((market.calendar[day], name)) for name in names]]
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
        past, own = slice(day - kind.window.length + 1, day), np.isin(market.symbols, names)
        seen["suspended today"] |= (~trading[day] & own).any()
        seen["suspended before"] |= (~trading[past] & market.listed[past] & own).any()
        seen["listed in the window"] |= (~market.listed[past] & own).any()
    assert all(seen.values()) or (universe, seen.pop("listed in the window")) == ("csi300", False)
    assert all(seen.values())


@BOTH
def test_the_shape_of_a_batch(small, init, kind):
    init(small[0])
    data = CrossSectionDataset(kind(**TIMES), SEGMENTS)
    batch = data.samples("train", learn=True).batch(np.array([3, 0]), data.window)
    assert batch.x.shape == (len(batch.y), 30, 6) if kind is DayBars else (len(batch.y), 30, 6, 5)
    assert data.panel().fields == tuple(name.upper() for name in DAY_FIELDS)


@BOTH
def test_what_comes_after_today_changes_nothing_of_today(small, init, copy, kind):
    today = small[1].calendar.get_loc(pd.Timestamp("2015-08-03"))
    read = []
    for folder in (small[0], copy("garbage", edit=garbage_from(today + 1))):
        init(folder)
        read.append(windows(kind(**TIMES), end="2015-08-03"))
    pd.testing.assert_index_equal(read[0][0], read[1][0])
    np.testing.assert_array_equal(read[0][1], read[1][1])


class OtherLabels(Processor):
    """Puts numbers in the place of the labels that nobody could take for them."""

    def __call__(self, df):
        df = df.copy()
        df["label", "LABEL0"] = np.random.default_rng(0).permutation(len(df)) * 1e6
        return df


class EverySecondRow(Processor):
    """Leaves every second row out of the learning view."""

    def __call__(self, df):
        return df.iloc[1::2]


@BOTH
def test_who_has_a_label_changes_nothing_of_what_is_read(small, init, kind):
    init(small[0])
    handler = kind(infer_processors=[OtherLabels()], learn_processors=[EverySecondRow()], **TIMES)
    index, x = windows(kind(**TIMES))
    learned, read = windows(handler, learn=True)
    assert list(learned) == list(handler.fetch().index[1::2])
    np.testing.assert_array_equal(read, x[index.get_indexer(learned)])


@BOTH
def test_who_joins_later_is_no_part_of_todays_cross_section(small, init, kind):
    init(small[0])
    handler = kind(**TIMES)
    index, x = windows(handler)
    today = handler.history().loc[TIMES["start_time"] :].index.unique("datetime")[0]
    before = kind(**TIMES | {"end_time": today})
    assert len(before.history().loc[today:]) == 0, "nobody who joins later has a row of today here"
    np.testing.assert_array_equal(windows(before, today)[1], x[index.get_locs([today])])


@BOTH
def test_the_label_is_the_return_of_ten_days_standardised(small, init, kind):
    folder, market = small
    init(folder)
    handler = kind(**TIMES)
    assert label_reach(handler) == 11
    vwap = pd.DataFrame(market.fields["vwap"], market.calendar, market.symbols)
    expected = (vwap.shift(-11) / vwap.shift(-1) - 1).where(market.members).stack().dropna()
    expected = expected.loc["2015-05-04":"2015-10-16"].groupby(level=0).transform(lambda y: (y - y.mean()) / y.std())
    labels = handler.fetch(col_set="label", data_key="learn")["LABEL0"].loc[:"2015-10-16"]
    np.testing.assert_allclose(labels.to_numpy(), expected.sort_index().to_numpy(), atol=1e-3)


def test_a_gru_trains_on_day_bars(small, init):
    init(small[0])
    data = CrossSectionDataset(DayBars(**TIMES), SEGMENTS)
    model = GRU(hidden_size=8, num_layers=1, num_factors=4, n_epochs=1, GPU=-1, seed=0)
    model.fit(data)
    score = model.predict(data)
    assert len(score) == len(data.samples("test", learn=False)) > 0
    assert np.isfinite(score).all()
    assert score.groupby(level="datetime").nunique().gt(1).all()


@BOTH
def test_qlibs_own_datasets_read_the_compact_rows(small, init, kind):
    init(small[0])
    handler = kind(**TIMES)
    table = DatasetH(handler=handler, segments=SEGMENTS).prepare("test", col_set="feature")
    assert list(table.columns) == [name.upper() for name in DAY_FIELDS]
    sampler = TSDatasetH(handler=handler, segments=SEGMENTS, step_len=10).prepare("test", col_set="feature")
    assert sampler[0].shape == (10, 6)
    theirs = CrossSectionDataset.of(TSDatasetH(handler=handler, segments=SEGMENTS, step_len=kind.window.length))
    samples = theirs.samples("test", learn=False)
    read = samples.batch(np.arange(samples.n_days), theirs.window).x.numpy()
    np.testing.assert_array_equal(read, windows(handler, *SEGMENTS["test"])[1])


@BOTH
def test_fields_are_replaced_by_expressions(small, init, kind):
    init(small[0])
    replaced = kind(fields={"turnover": "$turnover", "vwap": "($high + $low) / 2"}, **TIMES)
    plain, own = kind(**TIMES).fetch(col_set="feature"), replaced.fetch(col_set="feature")
    assert list(own.columns) == list(plain.columns)
    np.testing.assert_allclose(own["VWAP"], (plain["HIGH"] + plain["LOW"]) / 2, rtol=1e-6)
    assert not np.allclose(own["TURNOVER"], plain["TURNOVER"], equal_nan=True)
    pd.testing.assert_series_equal(own["CLOSE"], plain["CLOSE"])


@BOTH
def test_an_unknown_name_of_a_field_is_answered_with_the_names(kind):
    with pytest.raises(
        ConfigError, match=r"'turnovr'; did you mean 'turnover'\? It takes close, high, low, open, turno"
    ):
        kind(fields={"turnovr": "$turnover"})


@BOTH
def test_a_misspelt_option_names_the_nearest_one(kind):
    with pytest.raises(ConfigError, match=rf"{kind.__name__} has no option 'feilds'; did you mean 'fields'\?"):
        kind(feilds={})


def test_an_expression_of_a_field_that_the_provider_lacks(small, init):
    init(small[0])
    with pytest.raises(ProviderError, match=r"the field \$turnovers at day frequency; did you mean \$turnover"):
        DayBars(fields={"turnover": "$turnovers"}, **TIMES)


def test_a_turnover_that_is_nan_throughout_is_named(init, copy):
    init(copy("empty", edit=lambda bars, start: bars.fill(np.nan), files="*/volume.day.bin"))
    with pytest.raises(DataError, match=r"'TURNOVER' = .*What they share is \$volume"):
        Week(**TIMES)


def test_a_provider_that_begins_too_late_for_a_window(small, init):
    init(small[0])
    short = TIMES | {"start_time": "2014-10-01", "end_time": "2014-12-31"}
    with pytest.raises(WindowError, match=r"No window of 150 days .* rows of \d+ days, from 2014-09-01 to 2014-12-31"):
        CrossSectionDataset(Week(**short), {"test": (None, None)}).panel()


def test_a_week_is_cut_every_five_days(small, init):
    init(small[0])
    with pytest.raises(ConfigError, match="every 5 days; step_len 12 is no multiple"):
        Week(step_len=12)
    with pytest.raises(ConfigError, match="every 5 days; step_len 12 is no multiple"):
        CrossSectionDataset(Week(**TIMES), SEGMENTS, step_len=12)


def test_a_shorter_week(small, init):
    init(small[0])
    data = CrossSectionDataset(Week(step_len=20, **TIMES), SEGMENTS)
    batch = data.samples("test", learn=False).batch(np.array([0]), data.window)
    assert batch.x.shape[1:] == (4, 6, 5)

"""MsNew over intraday providers of 30, 15, 5 and 1 minutes: a slow construction, no future, bad input."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import qlib
from qlib.data.dataset import DatasetH, TSDatasetH

from handlers.msnew import MsNew
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import ConfigError, DataError, ProviderError
from qlib_ext.expressions.reach import label_reach
from tests.garbage import garbage_from
from tests.handlers.conftest import windows
from tests.handlers.half_hours import MINUTES, slow_image, write
from tests.slow import standardised_places

TIMES = {"start_time": "2015-06-08", "end_time": "2015-07-31", "instruments": "csi300"}


@pytest.fixture(scope="module")
def providers(small, tmp_path_factory):
    """By minutes: a provider, and its bars by stock."""
    made = {}
    for minutes in MINUTES:
        folder = tmp_path_factory.mktemp(f"bars{minutes}") / "provider"
        made[minutes] = folder, write(folder, small, minutes)
    return made


def slow_rows(market, bars, index) -> np.ndarray:
    """The images of the rows of an index: ``[rows, 5, 8]``, NaN where a stock has no bars."""
    images = np.full((len(index), 5, 8), np.nan)
    for row, (day, name) in enumerate(index):
        if name in bars:
            images[row] = slow_image(market, bars[name], market.symbols.index(name), market.calendar.get_loc(day))
    return images


@pytest.mark.parametrize("minutes", MINUTES)
def test_rows_equal_a_slow_construction(small, init, providers, minutes):
    folder, bars = providers[minutes]
    init(folder)
    rows = MsNew(**TIMES | {"start_time": "2015-07-06"}).fetch(col_set="feature")
    assert list(rows.columns[:9]) == [f"OPEN{half}" for half in range(1, 9)] + ["HIGH1"]
    expected = slow_rows(small[1], bars, rows.index).reshape(len(rows), 40)
    assert 0.05 < np.isnan(expected).mean() < 0.6, "there must be holes and bars"
    np.testing.assert_allclose(rows.to_numpy(), expected, rtol=2e-5)


def test_what_a_net_reads_equals_a_slow_construction(small, init, providers):
    folder, bars = providers[30]
    init(folder)
    market = small[1]
    index, x = windows(MsNew(**TIMES))
    assert x.shape[1:] == (30, 5, 8)
    for day in index.unique("datetime")[[0, 17, -1]]:
        own = index[index.get_locs([day])]
        past = market.calendar[market.calendar.get_loc(day) - 29 : market.calendar.get_loc(day) + 1]
        names = own.get_level_values("instrument")
        cells = pd.MultiIndex.from_product([names, past]).swaplevel()
        images = slow_rows(market, bars, cells).reshape(len(names), 30, 5, 8)
        np.testing.assert_allclose(x[index.get_locs([day])], standardised_places(images), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("how", ["start_named", "adjusted"])
def test_other_ways_to_write_the_same_bars(small, init, providers, tmp_path, how):
    write(tmp_path / how, small, 15, **{how: True})
    read = []
    for folder in (providers[15][0], tmp_path / how):
        init(folder)
        read.append(MsNew(**TIMES).fetch(col_set="feature"))
    pd.testing.assert_frame_equal(*read, rtol=1e-5)


def test_the_opening_auction_belongs_to_the_first_bar(small, init, tmp_path):
    bars = write(tmp_path / "auction", small, 15, auctions=True)
    init(tmp_path / "auction")
    rows = MsNew(**TIMES | {"start_time": "2015-07-20"}).fetch(col_set="feature")
    expected = slow_rows(small[1], bars, rows.index).reshape(len(rows), 40)
    np.testing.assert_allclose(rows.to_numpy(), expected, rtol=2e-5)


def test_the_longest_bars_are_read(small, init, providers, tmp_path):
    shutil.copytree(providers[15][0], tmp_path / "both")
    for path in providers[30][0].glob("*/**/*30min*"):
        shutil.copy(path, tmp_path / "both" / path.relative_to(providers[30][0]))
    read = []
    for folder in (providers[30][0], tmp_path / "both"):
        init(folder)
        read.append(MsNew(**TIMES).fetch())
    pd.testing.assert_frame_equal(*read)


def test_bars_may_lie_in_a_folder_of_their_own(small, init, providers):
    qlib.init(provider_uri={"day": str(small[0]), "15min": str(providers[15][0])}, region="cn", kernels=1)
    apart = MsNew(**TIMES).fetch()
    init(providers[15][0])
    pd.testing.assert_frame_equal(apart, MsNew(**TIMES).fetch())


def test_a_folder_of_days_beside_others_has_no_bars(small, tmp_path):
    qlib.init(provider_uri={"day": str(small[0]), "60min": str(tmp_path)}, region="cn", kernels=1)
    with pytest.raises(ProviderError, match="has no intraday bars"):
        MsNew(**TIMES)


def test_what_comes_after_today_changes_nothing_of_today(small, init, providers, tmp_path):
    folder, _ = providers[30]
    today = small[1].calendar.get_loc(pd.Timestamp("2015-07-10"))
    first = small[1].calendar.get_loc(pd.Timestamp("2015-04-20"))
    shutil.copytree(folder, tmp_path / "later")
    for freq, cut in (("day", today + 1), ("30min", 8 * (today + 1 - first))):
        for path in (tmp_path / "later" / "features").glob(f"*/*.{freq}.bin"):
            bars = np.fromfile(path, dtype="<f4")
            garbage_from(cut)(bars[1:], int(bars[0]))
            bars.tofile(path)
    read = []
    for provider in (folder, tmp_path / "later"):
        init(provider)
        read.append([windows(MsNew(**TIMES), end=end) for end in ("2015-07-10", "2015-07-13")])
    pd.testing.assert_index_equal(read[0][0][0], read[1][0][0])
    np.testing.assert_array_equal(read[0][0][1], read[1][0][1])
    assert not np.array_equal(read[0][1][1], read[1][1][1]), "the day after must see the noise"


def test_qlibs_own_datasets_read_the_compact_rows(init, providers):
    init(providers[30][0])
    segments = {"test": ("2015-07-20", "2015-07-31")}
    handler = MsNew(**TIMES)
    assert label_reach(handler) == 11
    assert DatasetH(handler=handler, segments=segments).prepare("test", col_set="feature").shape[1] == 40
    theirs = TSDatasetH(handler=handler, segments=segments, step_len=30)
    assert theirs.prepare("test", col_set="feature")[0].shape == (30, 40)
    ours = CrossSectionDataset.of(theirs)
    assert ours.samples("test", learn=False).batch(np.array([0]), ours.window).x.shape[1:] == (30, 5, 8)


def test_fields_are_replaced_by_expressions(init, providers):
    init(providers[30][0])
    plain = MsNew(**TIMES).fetch(col_set="feature")
    twice = MsNew(fields={"amount": "$amount * 2", "float_mv": "$float_mv * 4", "high": "$low"}, **TIMES)
    rows = twice.fetch(col_set="feature")
    np.testing.assert_allclose(rows["AMOUNT3"], plain["AMOUNT3"] / 2, rtol=1e-5)
    assert (rows["HIGH5"].dropna() <= plain["HIGH5"].dropna()).all()
    pd.testing.assert_series_equal(rows["CLOSE8"], plain["CLOSE8"])


def test_an_unknown_name_of_a_field_is_answered_with_the_names():
    with pytest.raises(
        ConfigError, match=r"'turnover'; did you mean .* It takes amount, close, float_mv, high, low, ope"
    ):
        MsNew(fields={"turnover": "$turnover"})


def test_a_provider_without_intraday_bars(small, init):
    init(small[0])
    with pytest.raises(ProviderError, match=r"no intraday bars.*add_frequency.*provider_uri"):
        MsNew(**TIMES)


def test_a_field_that_the_intraday_provider_lacks(init, providers):
    init(providers[30][0])
    with pytest.raises(ProviderError, match=r"the field \$turnover at 30min frequency; .*available: \$amount"):
        MsNew(fields={"amount": "$turnover"}, **TIMES)


def test_a_float_market_value_that_is_not_there(init, providers):
    init(providers[30][0])
    with pytest.raises(ProviderError, match=r"the field \$circ_mv at day frequency"):
        MsNew(fields={"float_mv": "$circ_mv"}, **TIMES)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_float_market_value_that_is_no_value(init, providers, tmp_path, value):
    shutil.copytree(providers[30][0], tmp_path / "zero")
    for path in sorted((tmp_path / "zero" / "features").glob("*/float_mv.day.bin")):
        bars = np.fromfile(path, dtype="<f4")
        bars[1:] = value
        bars.tofile(path)
    init(tmp_path / "zero")
    with pytest.raises(DataError, match=r"zero or negative in \d+ rows, the first on 2015-\d\d-\d\d for S.*Mean\("):
        MsNew(**TIMES)


def test_days_without_intraday_bars_are_named(init, providers):
    init(providers[30][0])
    with pytest.raises(DataError, match=r"no bars on 12 of 44 days of the members, the first 2015-08-03; complete"):
        MsNew(**TIMES | {"start_time": "2015-06-18", "end_time": "2015-08-18"})

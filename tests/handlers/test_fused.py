"""FusedBars over a provider: a slow construction, the handlers it joins, nothing of the future, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from handlers.bars import MultiFrequencyBars
from handlers.fused import FusedBars
from handlers.highfreq import INFER_PROCESSORS, HighFreq27
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError, DataError, ProviderError, WindowError
from qlib_ext.models.gru import GRU
from qlib_ext.models.multitask_gru import MultiTaskGRU
from qlib_ext.simulator.simulate import simulate, write_market
from tests.garbage import edit_bins, garbage_from
from tests.handlers.conftest import windows
from tests.handlers.test_highfreq import NAMES, means, slow_scores, write_factors
from tests.slow import standardised_places
from tests.slow_bars import slow_frequencies

MARKET = {"stocks": 30, "days": 300, "seed": 4}
TIMES = {"start_time": "2015-05-04", "end_time": "2015-10-30", "instruments": "all"}
START = pd.Timestamp(TIMES["start_time"])
BARS = {"day": 10, "week": 6, "month": 4}
SHORT = BARS | {"highfreq": 8}
OF_BARS, OF_FACTORS = 20 * 6, 8 * len(NAMES)  # values of a window
SEGMENTS = {
    "train": ("2015-05-04", "2015-07-31"),
    "valid": ("2015-08-03", "2015-08-31"),
    "test": ("2015-09-01", "2015-10-30"),
}
NET = {"hidden_size": 6, "n_epochs": 1, "GPU": -1, "seed": 0, "min_stocks": 10}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A provider with random factors, the market, the factors [27, days, stocks]."""
    folder = tmp_path_factory.mktemp("fused") / "provider"
    write_market(folder, **MARKET)
    market, random = simulate(*MARKET.values()), np.random.default_rng(0)
    factors = random.standard_normal((len(NAMES), *market.listed.shape)).astype(np.float32)
    factors[random.random(factors.shape) < 0.1] = np.nan
    factors[4, :, 12:] = np.nan  # of one exchange alone: more than half of the stocks never have it
    factors[5, :215] = np.nan  # its data begins in June
    factors[:, :, 8] = np.nan
    factors[:, ~market.listed] = np.nan
    write_factors(folder, market, factors)
    return folder, market, factors


def slow_factors(market, averages: list[pd.DataFrame], day: int, members: np.ndarray) -> np.ndarray:
    """The factors of the last 8 days of today's members, neutral among the stocks of each day: [members, 8, 27]."""
    first = market.calendar.get_loc(START)
    x = np.full((market.listed.shape[1], 8, len(NAMES)), np.nan)
    for place, past in enumerate(range(day - 7, day + 1)):
        stocks = np.flatnonzero(market.listed[past] & (market.listed[first] if past < first else True))
        industry, size = market.fields["industry"][past, stocks], market.fields["float_mv"][past, stocks]
        for k, average in enumerate(averages):
            mean = average.iloc[past, stocks].to_numpy()
            if not np.isnan(mean).all():
                known = ~np.isnan(mean) & ~np.isnan(size)
                x[stocks[known], place, k] = slow_scores(mean, industry, size)[known]
    return x[members]


def slow_day(market, averages: list[pd.DataFrame], day: int) -> tuple[list[str], np.ndarray]:
    """What a net is to read of one day: the members, and all values of their windows in one row."""
    members = np.flatnonzero(market.listed[day])
    bars = []
    for stock in members:
        listed = market.listed[: day + 1, stock]
        columns = {
            name: np.where(listed, market.fields[name][: day + 1, stock].astype("f4"), np.nan)
            for name in ("open", "high", "low", "close", "vwap", "volume")
        }
        bars.append(slow_frequencies(pd.DataFrame(columns, market.calendar[: day + 1]), BARS, calendar=False))
    series = np.array(bars), slow_factors(market, averages, day, members)
    rows = [standardised_places(part).reshape(len(members), -1) for part in series]
    return [market.symbols[stock] for stock in members], np.concatenate(rows, axis=1)


def test_what_a_net_reads_equals_a_slow_construction(made, init):
    folder, market, factors = made
    init(folder)
    index, x = windows(FusedBars(SHORT, **TIMES))
    assert x.shape == (len(index), OF_BARS + OF_FACTORS, 1)
    assert x.dtype == np.float32
    averages = [means(market, values) for values in factors]
    for date in ("2015-05-06", "2015-07-15", "2015-10-30"):
        names, expected = slow_day(market, averages, market.calendar.get_loc(pd.Timestamp(date)))
        found = x[[index.get_loc((pd.Timestamp(date), name)) for name in names], :, 0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_a_factor_that_few_stocks_have_tells_them_apart(made, init):
    init(made[0])
    index, x = windows(FusedBars(SHORT, **TIMES), "2015-09-01", "2015-09-01")
    few = x[:, OF_BARS:].reshape(len(x), 8, len(NAMES))[:, -1, 4]
    names = {name for name, value in zip(index.get_level_values("instrument"), few, strict=True) if value}
    assert 5 < len(names) < len(x) / 2
    assert names <= set(made[1].symbols[:12])


@pytest.mark.parametrize("universe", ["csi300", "all"])
def test_the_series_are_those_of_the_handlers_it_joins(made, init, universe):
    init(made[0])
    times = TIMES | {"instruments": universe}
    index, x = windows(FusedBars(**times), "2015-09-01")
    assert x.shape == (len(index), 72 * 6 + 40 * len(NAMES), 1)
    of_bars, bars = windows(MultiFrequencyBars(**times), "2015-09-01")
    handler = HighFreq27(infer_processors=INFER_PROCESSORS[:3], **times)
    handler.window = Window(40, standardise=True)
    of_factors, factors = windows(handler, "2015-09-01")
    for found in (of_bars, of_factors):
        pd.testing.assert_index_equal(found, index)
    np.testing.assert_array_equal(x[:, : 72 * 6], bars.reshape(len(x), -1, 1))
    np.testing.assert_allclose(x[:, 72 * 6 :], factors.reshape(len(x), -1, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("universe", ["csi300", "all"])
def test_what_comes_after_today_changes_nothing_of_today(made, init, tmp_path, universe):
    folder, market, factors = made
    today = market.calendar.get_loc(pd.Timestamp("2015-08-05"))
    other = tmp_path / "garbage"
    write_market(other, **MARKET)
    edit_bins(other, garbage_from(today + 1))
    changed = factors.copy()
    changed[:, today + 1 :] = 100.0
    changed[:, ~market.listed] = np.nan
    write_factors(other, market, changed)
    read = []
    for provider in (folder, other):
        init(provider)
        read.append(windows(FusedBars(SHORT, **TIMES | {"instruments": universe}), end="2015-08-05"))
    pd.testing.assert_index_equal(read[0][0], read[1][0])
    np.testing.assert_array_equal(read[0][1], read[1][1])


@pytest.mark.parametrize(("share", "grus"), [(True, 2), (False, 4)])
def test_a_net_learns_four_tasks(made, init, share, grus):
    init(made[0])
    data = CrossSectionDataset(FusedBars(SHORT, **TIMES), SEGMENTS)
    model = MultiTaskGRU(**NET, share_gru=share)
    model.fit(data)
    assert len(model.nets_[0].encoders) == grus
    tasks = model.weak_factors(data)
    assert list(tasks.columns) == [f"net0_factor{k}" for k in range(4)]
    assert (tasks.groupby(level="datetime").nunique() > 1).all(axis=None)
    score = model.predict(data)
    assert len(score) == len(data.samples("test", learn=False))
    pd.testing.assert_series_equal(tasks.mean(axis=1), score, check_names=False, atol=1e-6)


def test_a_net_of_one_series_is_refused(made, init):
    init(made[0])
    data = CrossSectionDataset(FusedBars(SHORT, **TIMES), SEGMENTS)
    with pytest.raises(
        ConfigError, match=r"are day 10 x 6, week 6 x 6, month 4 x 6, highfreq 8 x 27\. Take MultiTaskGRU"
    ):
        GRU(n_epochs=1, GPU=-1).fit(data)


@pytest.mark.parametrize("options", [{"lengths": SHORT | {"highfreq": 9}}, {"families": ["minute"]}])
def test_a_trained_net_refuses_other_series(made, init, options):
    init(made[0])
    model = MultiTaskGRU(**NET)
    model.fit(CrossSectionDataset(FusedBars(SHORT, **TIMES), SEGMENTS))
    other = CrossSectionDataset(FusedBars(**{"lengths": SHORT} | options, **TIMES), SEGMENTS)
    with pytest.raises(
        DataError, match=r"trained on windows of day 10 x 6, .*highfreq 8 x 27, the handler's are of day"
    ):
        model.predict(other)


def test_bars_and_factors_are_features_and_what_neutralises_is_none(made, init):
    init(made[0])
    features = FusedBars(SHORT, families=["trades", "orders"], **TIMES).fetch(col_set="feature")
    names = ["open", "high", "low", "close", "vwap", "volume", *NAMES[15:]]
    assert list(features.columns) == [name.upper() for name in names]


def test_volumes_that_are_zero_throughout_are_named(made, init, tmp_path):
    _, market, factors = made
    folder = tmp_path / "idle"
    write_market(folder, **MARKET)
    write_factors(folder, market, factors)
    for path in (folder / "features").glob("*/volume.day.bin"):
        bars = np.fromfile(path, dtype="<f4")
        bars[1:] = 0.0
        bars.tofile(path)
    init(folder)
    with pytest.raises(DataError, match=r"'VOLUME' = .*What they share is \$volume"):
        FusedBars(SHORT, **TIMES)


def test_a_factor_that_is_nan_throughout_is_named(made, init, tmp_path):
    _, market, factors = made
    folder = tmp_path / "empty"
    write_market(folder, **MARKET)
    kept = factors.copy()
    kept[3, 1:] = np.nan  # known on the first day alone
    write_factors(folder, market, kept)
    init(folder)
    with pytest.raises(DataError, match=r"'CORR_CLOSE_NEXTOPEN' = .*\$hf_corr_close_nextopen"):
        FusedBars(SHORT, **TIMES)


def test_a_provider_without_factors(small, init):
    init(small[0])
    with pytest.raises(
        ProviderError, match=r"the field \$hf_bigorder_amt_perc at day.*`qlib-ext ticks build` writes them"
    ):
        FusedBars(**TIMES)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ({}, "names highfreq"),
        (BARS, "names highfreq.*take handlers.bars.MultiFrequencyBars"),
        ({"highfreq": 8}, "names day, week or month"),
        (SHORT | {"week": 0}, "at least one week"),
        (BARS | {"highfreq": 0}, "factors are asked for of at least one day.*not 0"),
        (BARS | {"highfreq": 1.5}, "lengths is a mapping to whole numbers"),
    ],
)
def test_lengths_that_make_no_sense_are_named(lengths, message):
    with pytest.raises(ConfigError, match=message):
        FusedBars(lengths)


def test_the_factors_lie_last_wherever_lengths_names_them():
    first, last = (FusedBars(lengths, init_data=False).window for lengths in ({"highfreq": 8} | BARS, SHORT))
    assert list(first.series) == list(last.series) == list(SHORT)
    assert first.shape == last.shape


def test_step_len_is_that_of_the_lengths():
    with pytest.raises(ConfigError, match="step_len 20 is no multiple"):
        FusedBars(step_len=20)


def test_a_history_shorter_than_twelve_months(made, init):
    init(made[0])
    short = TIMES | {"start_time": "2014-10-01", "end_time": "2015-07-31"}
    with pytest.raises(WindowError, match=r"No window of 240 days .* rows of \d+ days, from 2014-09-01 to 2015-07-31"):
        CrossSectionDataset(FusedBars(**short), {"test": (None, None)}).panel()


def test_a_misspelt_option_names_the_nearest_one():
    with pytest.raises(ConfigError, match=r"FusedBars has no option 'length'; did you mean 'lengths'\?"):
        FusedBars(length=SHORT)
    with pytest.raises(ConfigError, match=r"families of FusedBars has no option 'minutes'; did you mean 'minute'\?"):
        FusedBars(families=["minutes"])

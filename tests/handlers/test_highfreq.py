"""HighFreq27 over a provider: a slow construction, nothing of the future, a planted signal found, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from handlers.highfreq import HighFreq27
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import ConfigError, DataError, ProviderError
from qlib_ext.expressions.reach import label_reach
from qlib_ext.models.gru import GRU
from qlib_ext.provider.fields import write_field
from qlib_ext.simulator.simulate import simulate, write_market
from qlib_ext.ticks.factors import FAMILIES
from tests.garbage import edit_bins, garbage_from
from tests.handlers.conftest import windows

NAMES = [name for names in FAMILIES.values() for name in names]
TIMES = {"start_time": "2015-02-02", "end_time": "2015-10-30", "instruments": "csi300"}
TODAY = "2015-08-03"
SEGMENTS = {
    "train": ("2015-02-02", "2015-07-17"),
    "valid": ("2015-07-20", "2015-08-31"),
    "test": ("2015-09-01", "2015-10-30"),
}
PLANTED = 2  # the place of the factor that foretells the label
NET = {"hidden_size": 30, "num_layers": 1, "num_factors": 1, "orthogonality": 0.0, "activation": "sigmoid"}


def write_factors(folder, market, factors):
    """The factors [names, days, stocks] as ``qlib-ext ticks build`` leaves them."""
    days = range(len(market.calendar))
    for name, values in zip(NAMES, factors, strict=True):
        write_field(folder, f"hf_{name}", days, dict(zip(market.symbols, values.T, strict=True)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A provider with random factors, one of which foretells the label; the market; the factors [27, days, stocks]."""
    folder = tmp_path_factory.mktemp("highfreq") / "provider"
    assert write_market(folder, stocks=60, days=300, seed=4)
    market, random = simulate(60, 300, seed=4), np.random.default_rng(0)
    factors = random.standard_normal((len(NAMES), *market.listed.shape)).astype(np.float32)
    vwap = pd.DataFrame(market.fields["vwap"]).ffill()
    ahead = (vwap.shift(-11) / vwap.shift(-1) - 1).to_numpy()
    factors[PLANTED] += 40 * np.nan_to_num(ahead) + np.log(np.nan_to_num(market.fields["float_mv"], nan=1))
    factors[5] = np.round(factors[5])
    factors[random.random(factors.shape) < 0.1] = np.nan
    factors[:, :30, 7] = np.nan  # no ticks yet
    factors[:, :, 8] = np.nan  # none ever
    factors[:, 150:200, 9] = np.nan  # more than 20 days without
    factors[:, ~market.listed] = np.nan
    write_factors(folder, market, factors)
    return folder, market, factors


def means(market, values: np.ndarray) -> pd.DataFrame:
    """The mean of 20 of the stock's own days, [days, stocks]."""
    columns = {}
    for stock, symbol in enumerate(market.symbols):
        own = pd.Series(values[:, stock].astype(float))[market.listed[:, stock]]
        columns[symbol] = own.rolling(20, min_periods=1).mean()
    return pd.DataFrame(columns).reindex(range(len(market.calendar)))


def slow_scores(values: np.ndarray, industry: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Clipped, residuals of an OLS on industries and log size, z-scored, 0 where missing: [stocks] of one day."""
    middle = np.nanmedian(values)
    reach = 3 * 1.4826 * np.nanmedian(np.abs(values - middle))
    clipped = np.clip(values, middle - reach, middle + reach)
    known = ~np.isnan(clipped) & ~np.isnan(size)
    dummies = industry[:, None] == np.unique(industry[known])
    design = np.column_stack([dummies, np.log(size)])[known].astype(float)
    scores = np.zeros(len(values))
    residuals = sm.OLS(clipped[known], design).fit().resid
    scores[known] = (residuals - residuals.mean()) / residuals.std(ddof=1)
    return scores


def slow_day(market, factors, universe: str, day: int) -> pd.DataFrame:
    """The handler's features of one day, [stocks, 27]."""
    members = np.flatnonzero((market.members if universe == "csi300" else market.listed)[day])
    industry, size = market.fields["industry"][day, members], market.fields["float_mv"][day, members]
    columns = {
        name.upper(): slow_scores(means(market, values).iloc[day, members].to_numpy(), industry, size)
        for name, values in zip(NAMES, factors, strict=True)
    }
    return pd.DataFrame(columns, index=[market.symbols[stock] for stock in members]).sort_index()


@pytest.mark.parametrize("universe", ["csi300", "all"])
def test_rows_equal_a_slow_construction(made, init, universe):
    folder, market, factors = made
    init(folder)
    handler = HighFreq27(**TIMES | {"instruments": universe})
    features = handler.fetch(col_set="feature")
    assert list(features.columns) == [name.upper() for name in NAMES]
    assert (features.dtypes == np.float32).all()
    for day in (market.calendar.get_loc(date) for date in ("2015-02-02", "2015-05-20", "2015-10-30")):
        own = features.loc[market.calendar[day]]
        expected = slow_day(market, factors, universe, day)
        assert list(own.index) == list(expected.index)
        np.testing.assert_allclose(own, expected, rtol=0, atol=2e-5)


def test_a_stock_without_ticks_is_the_mean_stock(made, init):
    folder, market, _ = made
    init(folder)
    handler = HighFreq27(**TIMES | {"instruments": "all"})
    features = handler.fetch(col_set="feature")
    assert len(features.xs(market.symbols[8], level="instrument")) > 100
    assert (features.xs(market.symbols[8], level="instrument") == 0).all(axis=None)
    raw = handler.fetch(col_set="feature", data_key="raw").xs(market.symbols[9], level="instrument")
    own = features.xs(market.symbols[9], level="instrument")
    assert (own[raw.isna().all(axis=1)] == 0).all(axis=None)
    assert 20 < raw.isna().all(axis=1).sum() < len(raw) - 20


def test_history_is_set_against_the_members_and_those_who_join_the_same_day(made, init):
    folder, market, factors = made
    init(folder)
    history = HighFreq27(**TIMES | {"instruments": "all"}).history()
    day = market.calendar.get_loc(pd.Timestamp("2015-01-05"))
    present = market.listed[market.calendar.get_loc(pd.Timestamp(TIMES["start_time"]))]
    own = history.loc[market.calendar[day]]
    expected = slow_day(market, factors, "all", day)
    assert present[market.listed[day]].all(), "the simulation has a stock that leaves in between; take another day"
    np.testing.assert_allclose(own, expected.loc[own.index], rtol=0, atol=2e-5)


def test_a_sample_is_forty_days_of_them(made, init):
    init(made[0])
    handler = HighFreq27(**TIMES)
    index, x = windows(handler, TODAY, TODAY)
    assert x.shape == (len(index), 40, len(NAMES))
    rows = pd.concat([handler.fetch(col_set="feature"), handler.history()])
    stock = index[0][1]
    past = rows.xs(stock, level="instrument").sort_index().loc[:TODAY].iloc[-40:]
    np.testing.assert_array_equal(x[0], past.to_numpy())


def test_the_label_is_the_return_of_ten_days_standardised(made, init):
    folder, market, _ = made
    init(folder)
    handler = HighFreq27(**TIMES)
    assert label_reach(handler) == 11
    vwap = pd.DataFrame(market.fields["vwap"], market.calendar, market.symbols)
    expected = (vwap.shift(-11) / vwap.shift(-1) - 1).where(market.members).stack().dropna()
    expected = expected.loc["2015-02-02":"2015-10-16"].groupby(level=0).transform(lambda y: (y - y.mean()) / y.std())
    labels = handler.fetch(col_set="label", data_key="learn")["LABEL0"].loc[:"2015-10-16"]
    np.testing.assert_allclose(labels.to_numpy(), expected.sort_index().to_numpy(), atol=1e-3)


def test_the_two_engines_agree(made, init):
    init(made[0])
    fast, slow = (HighFreq27(engine=engine, **TIMES) for engine in ("fast", "qlib"))
    for view in ("raw", "infer", "learn"):
        frames = [handler.fetch(col_set="__all", data_key=view) for handler in (fast, slow)]
        pd.testing.assert_frame_equal(*frames, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("universe", ["csi300", "all"])
def test_what_comes_after_today_changes_nothing_of_today(made, init, tmp_path, universe):
    folder, market, factors = made
    today = market.calendar.get_loc(pd.Timestamp(TODAY))
    other = tmp_path / "garbage"
    write_market(other, stocks=60, days=300, seed=4)
    edit_bins(other, garbage_from(today + 1))
    changed = factors.copy()
    changed[:, today + 1 :] = np.random.default_rng(1).standard_normal(changed[:, today + 1 :].shape) * 100
    changed[:, ~market.listed] = np.nan
    write_factors(other, market, changed)
    read = []
    for provider in (folder, other):
        init(provider)
        read.append(windows(HighFreq27(**TIMES | {"instruments": universe}), end=TODAY))
    pd.testing.assert_index_equal(read[0][0], read[1][0])
    np.testing.assert_array_equal(read[0][1], read[1][1])


def test_the_net_of_the_report_finds_a_planted_signal(made, init):
    init(made[0])
    data = CrossSectionDataset(HighFreq27(**TIMES | {"instruments": "all", "families": ["minute"]}), SEGMENTS)
    model = GRU(**NET, loss="ic", metric="ic", lr=0.005, n_epochs=5, batch_size=250, GPU=-1, seed=0)
    model.fit(data)
    score = model.predict(data)
    label = data.prepare("test", col_set="label", data_key="raw")["LABEL0"].dropna()
    factor = data.prepare("test", col_set="feature")[NAMES[PLANTED].upper()]
    found, planted = (
        values.groupby(level="datetime").corr(label, method="spearman").mean() for values in (score, factor)
    )
    assert planted > 0.2, "the case has something to find"
    assert found > 0.3
    assert score.between(0, 1).all()


@pytest.mark.parametrize(
    ("families", "sources"), [(["minute"], ["minute"]), (["orders", "trades"], ["trades", "orders"])]
)
def test_families_are_data_sets_of_their_own(made, init, families, sources):
    init(made[0])
    part, whole = HighFreq27(families=families, **TIMES), HighFreq27(**TIMES)
    names = [name.upper() for source in sources for name in FAMILIES[source]]
    features = part.fetch(col_set="feature")
    assert list(features.columns) == names
    pd.testing.assert_frame_equal(features, whole.fetch(col_set="feature")[names])


def test_a_stand_in_for_size(made, init):
    folder, market, _ = made
    init(folder)
    stand_in = HighFreq27(size="Mean($amount, 60)", **TIMES)
    size = stand_in.fetch(col_set="neutral", data_key="raw")["SIZE"]
    day = pd.Timestamp(TODAY)
    amount = pd.DataFrame(market.fields["amount"], market.calendar, market.symbols)
    expected = np.log(amount.where(market.listed).rolling(60, min_periods=1).mean()).loc[day, size.loc[day].index]
    np.testing.assert_allclose(size.loc[day], expected, rtol=1e-5)
    assert not np.allclose(stand_in.fetch(col_set="feature"), HighFreq27(**TIMES).fetch(col_set="feature"))


def test_factors_are_left_out_that_the_provider_lacks(made, init, tmp_path):
    _, market, factors = made
    folder = tmp_path / "fewer"
    write_market(folder, stocks=60, days=300, seed=4)
    write_factors(folder, market, factors)
    for path in (folder / "features").glob("*/hf_corr_volume_item.day.bin"):
        path.unlink()
    init(folder)
    features = HighFreq27(without=["corr_volume_item"], **TIMES).fetch(col_set="feature")
    assert list(features.columns) == [name.upper() for name in NAMES if name != "corr_volume_item"]
    with pytest.raises(
        ConfigError, match=r"without of HighFreq27 has no option 'volume_perc8'; did you mean 'volume_per"
    ):
        HighFreq27(without=["volume_perc8"])
    with pytest.raises(ConfigError, match="No factor is left"):
        HighFreq27(families=["orders"], without=FAMILIES["orders"])


def test_no_group_and_an_unknown_one():
    with pytest.raises(ConfigError, match=r"families of HighFreq27 has no option 'minutes'; did you mean 'minute'\?"):
        HighFreq27(families=["minutes"])
    with pytest.raises(ConfigError, match="No factor is left: families names some of minute, trades, orders"):
        HighFreq27(families=[])


def test_a_provider_without_factors(small, init):
    init(small[0])
    with pytest.raises(
        ProviderError, match=r"the field \$hf_bigorder_amt_perc at day.*`qlib-ext ticks build` writes them"
    ):
        HighFreq27(**TIMES)


@pytest.mark.parametrize("name", ["industry", "size"])
def test_a_provider_without_industry_or_size(made, init, name):
    init(made[0])
    with pytest.raises(ProviderError, match=r"has the field \$sector at day frequency"):
        HighFreq27(**{name: "$sector"}, **TIMES)


def test_an_industry_that_nobody_has(made, init):
    init(made[0])
    with pytest.raises(
        DataError, match=r"1 columns are NaN in all \d+ rows, the first 'INDUSTRY' = .*\$industry: fill it"
    ):
        HighFreq27(industry="$industry / ($industry - $industry) * 0", **TIMES)


def test_a_factor_that_is_nan_throughout(made, init, tmp_path):
    _, market, factors = made
    folder = tmp_path / "empty"
    write_market(folder, stocks=60, days=300, seed=4)
    kept = factors.copy()
    kept[3, 1:] = np.nan  # known on the first day alone
    write_factors(folder, market, kept)
    init(folder)
    with pytest.raises(DataError, match=r"'CORR_CLOSE_NEXTOPEN' = .*\$hf_corr_close_nextopen"):
        HighFreq27(**TIMES)

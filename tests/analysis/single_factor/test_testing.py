"""The test of single factors against a slow one, stock by stock."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data import D

from qlib_ext.analysis.correlation import correlation_matrix, rank_correlation
from qlib_ext.analysis.single_factor.market import market_of
from qlib_ext.analysis.single_factor.preparing import prepared_styles
from qlib_ext.analysis.single_factor.setting import Setting
from qlib_ext.analysis.single_factor.testing import factor_tests
from qlib_ext.cross_section.ic import cross_sectional_rank
from qlib_ext.errors import ConfigError, DataError, ProviderError
from qlib_ext.factors.styles import turnover20
from tests.analysis.matrices import random_frame
from tests.analysis.single_factor import reference

REVERSAL = "0 - $close / Ref($close, 5)"
SETTINGS = {
    "as in the report": Setting(),
    "nothing done to it": Setting(mean_days=1, clip=False, neutral=False, zscore=False, limit=None),
    "size alone, other days": Setting(
        industry=None, size="$total_mv", rebalance=3, groups=3, price="$vwap", start="2016-02-01", end="2016-06-30"
    ),
    "an index": Setting(universe="csi300", groups=2, limit=0.03),
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_every_figure_is_that_of_the_slow_test(small, init, setting):
    init(small[0])
    days = pd.DatetimeIndex(D.calendar())
    if setting.start:
        setting = Setting(**{**vars(setting), "start": f"{days[60]:%Y-%m-%d}", "end": f"{days[200]:%Y-%m-%d}"})
    expected = reference.tested(setting, REVERSAL)
    found = factor_tests(setting, {"reversal": REVERSAL}).summary.loc["reversal"]
    assert list(found.index) == list(expected)
    np.testing.assert_allclose(found.to_numpy(float), list(expected.values()), rtol=1e-6)


def test_a_style_is_prepared_as_an_expression_is(small, init):
    init(small[0])
    setting = Setting(neutral=False, clip=False, zscore=False, mean_days=4)
    market = market_of(setting)
    each, missing = prepared_styles(setting, market, ["TURNOVER20", "vvol"])
    ((name, values),) = each
    assert (name, list(missing)) == ("TURNOVER20", ["vvol"])
    bars = D.features(D.instruments("all"), ["$turnover"])["$turnover"].unstack("instrument")
    expected = turnover20(bars).rolling(4, min_periods=1).mean().reindex(index=market.tested, columns=market.stocks)
    assert (np.isfinite(values) <= market.buyable).all()
    known = np.isfinite(values)
    np.testing.assert_allclose(values[known], expected.to_numpy()[known], rtol=1e-6)
    assert known.sum() > 700


def test_a_name_stands_for_one_factor(small, init):
    init(small[0])
    with pytest.raises(ConfigError, match="1 names stand for two factors, the first VOL20"):
        factor_tests(Setting(), {"VOL20": "$close"}, ["VOL20"])


def test_nothing_of_the_future_is_in_a_factor(copy, init):
    def noise(bars, start):
        random = np.random.default_rng(5)
        bars[200 - start :] *= np.exp(random.standard_normal(len(bars[200 - start :])))

    found = []
    for edit in (None, noise):
        init(copy("noisy" if edit else "calm", edit=edit, files="*/[chlov]*.day.bin"))
        days = pd.DatetimeIndex(D.calendar())
        setting = Setting(limit=None, end=f"{days[190]:%Y-%m-%d}", neutral=False)
        found.append(factor_tests(setting, {"x": REVERSAL}, ["VOL20"]))
    pd.testing.assert_frame_equal(found[0].rank_ic, found[1].rank_ic)
    pd.testing.assert_frame_equal(found[0].summary, found[1].summary)


def test_turned_factors_are_sold_where_they_are_high(small, init):
    init(small[0])
    setting = Setting(neutral=False)
    plain = factor_tests(setting, {"up": REVERSAL, "down": f"0 - ({REVERSAL})"})
    turned = factor_tests(Setting(neutral=False, turn=True), {"up": REVERSAL, "down": f"0 - ({REVERSAL})"})
    assert plain.summary.loc["up", "mean"] == pytest.approx(-plain.summary.loc["down", "mean"])
    assert turned.turned == [plain.summary["mean"].idxmin()]
    assert (turned.summary["mean"] > 0).all()
    assert turned.correlation.loc["up", "down"] == pytest.approx(1)
    assert plain.correlation.loc["up", "down"] == pytest.approx(-1)


def test_the_correlation_of_many_is_pandas_over_the_days():
    frames = {name: random_frame(40, 23, seed, ties=seed == 2) for seed, name in enumerate("abc")}
    ranks = {name: cross_sectional_rank(frame.to_numpy()) for name, frame in frames.items()}
    daily = [pd.DataFrame({name: rank[day] for name, rank in ranks.items()}).corr() for day in range(40)]
    found = correlation_matrix(ranks)
    np.testing.assert_allclose(found, sum(daily) / 40, atol=1e-12)
    whole = {name: random_frame(30, 23, seed, holes=0).to_numpy() for seed, name in enumerate("ab")}
    ranks = {name: cross_sectional_rank(values) for name, values in whole.items()}
    pd.testing.assert_frame_equal(correlation_matrix(ranks), rank_correlation(whole, whole))
    ranks["a"][3] = 5.0
    ranks["b"][4] = np.nan
    kept = [day for day in range(30) if day not in (3, 4)]
    expected = np.mean([np.corrcoef(ranks["a"][day], ranks["b"][day])[0, 1] for day in kept])
    assert correlation_matrix(ranks).loc["a", "b"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "expressions", "error", "message"),
    [
        ({"start": "2031-01-01"}, {"x": "$close"}, ConfigError, "has 0 trading days, and a test takes two periods"),
        ({"universe": "csi9"}, {"x": "$close"}, DataError, "The universe 'csi9' is not in"),
        ({"price": "$nosuch"}, {"x": "$close"}, ProviderError, r"has the field \$nosuch"),
        ({"industry": "$sector"}, {"x": "$close"}, ProviderError, r"has the field \$sector"),
        ({"groups": 30}, {"x": "$close"}, DataError, r"No factor can be tested. x: No day of \d+ forms 30 groups"),
        ({"neutral": False}, {"x": "$close * 0"}, DataError, "No factor can be tested. x: No day"),
    ],
)
def test_what_cannot_be_tested_says_why(small, init, options, expressions, error, message):
    init(small[0])
    with pytest.raises(error, match=message):
        factor_tests(Setting(**options), expressions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean_days": 0}, "mean_days is at least 1; it is 0."),
        ({"groups": 1}, "groups is at least 2; it is 1."),
        ({"rebalance": 0}, "rebalance is at least 1; it is 0."),
        ({"limit": 0.0}, "limit is a return above 0"),
        ({"price": "close"}, r"price is a field of the provider, such as \$close; it is 'close'."),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Setting(**options)

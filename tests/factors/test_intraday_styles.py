"""Each style of minute bars against its formula on one stock-day at a time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from qlib_ext.errors import DataError
from qlib_ext.factors import intraday_styles
from qlib_ext.factors.intraday_styles import MINUTE_STYLES, complete
from qlib_ext.factors.styles import fields_of

DAYS, BARS, STOCKS = 5, 16, 4


def random_bars(days=DAYS, bars=BARS, stocks=STOCKS, seed=0):
    random = np.random.default_rng(seed)
    shape = (days, bars, stocks)
    close = 10 * np.exp(0.003 * random.standard_normal(shape).cumsum(1))
    open_ = close * np.exp(0.001 * random.standard_normal(shape))
    volume = random.exponential(1e4, shape)
    return {
        "open": open_,
        "high": np.maximum(open_, close) * (1 + 0.001 * random.random(shape)),
        "low": np.minimum(open_, close) * (1 - 0.001 * random.random(shape)),
        "close": close,
        "volume": volume,
        "amount": volume * (open_ + close) / 2,
    }


def styles_of(bars):
    whole = complete(bars)
    return {name: style(*(whole[field] for field in fields_of(style))) for name, style in MINUTE_STYLES.items()}


def slow(b):
    """All styles of one stock's complete day."""
    prices = [b["open"][0], *b["close"]]
    r = np.array([np.log(now / before) for before, now in pairwise(prices)])
    v, half, twap = b["volume"], len(r) // 8, np.mean(b["close"])
    extreme = [x for x in r if abs(x - np.mean(r)) > 1.96 * np.std(r)]
    return {
        "rvol": np.sqrt(sum(x**2 for x in r)),
        "rskew": np.sqrt(len(r)) * sum(x**3 for x in r) / sum(x**2 for x in r) ** 1.5,
        "rkurt": len(r) * sum(x**4 for x in r) / sum(x**2 for x in r) ** 2,
        "vhhi": sum((x / sum(v)) ** 2 for x in v),
        "vvol": np.std(v, ddof=1) / sum(v),
        "cvpct": sum(v[-half:]) / sum(v),
        "rjump": sum(extreme),
        "ovpct": sum(v[:half]) / sum(v),
        "cret": np.log(b["close"][-1] / b["close"][-half - 1]),
        "apb": 1000 * np.log(twap / (sum(b["amount"]) / sum(v))),
        "arpp": (twap - min(b["low"])) / (max(b["high"]) - min(b["low"])),
    }


@pytest.mark.parametrize("bars_a_day", [8, 16, 48, 240])
def test_every_style_is_its_formula(bars_a_day):
    bars = random_bars(bars=bars_a_day)
    ours = styles_of(bars)
    assert list(ours) == list(MINUTE_STYLES)
    for day in range(DAYS):
        for stock in range(STOCKS):
            expected = slow({name: values[day, :, stock] for name, values in bars.items()})
            assert {name: values[day, stock] for name, values in ours.items()} == pytest.approx(expected, rel=1e-9)


def test_some_bars_are_extreme_and_some_days_have_none():
    jumps = styles_of(random_bars(days=60))["rjump"]
    assert 0.05 < (jumps == 0).mean() < 0.8


def test_bars_without_a_trade_carry_the_close_and_have_no_volume():
    bars = random_bars()
    for name in bars:
        bars[name][1, [0, 1, 7, 8], 2] = np.nan
    whole = complete(bars)
    assert whole["close"][1, 7, 2] == whole["close"][1, 8, 2] == bars["close"][1, 6, 2]
    assert whole["close"][1, 0, 2] == whole["close"][1, 1, 2] == bars["open"][1, 2, 2]
    assert (whole["volume"][1, [0, 1, 7, 8], 2] == 0).all()
    assert (whole["returns"][1, [0, 1, 7, 8], 2] == 0).all()
    filled = {name: values[1, :, 2] for name, values in whole.items()} | {"open": whole["close"][1, :1, 2]}
    ours = {name: values[1, 2] for name, values in styles_of(bars).items()}
    assert ours == pytest.approx(slow(filled), rel=1e-9)


@pytest.mark.parametrize("volume", [np.nan, 0.0])
def test_a_day_without_trading_has_no_style(volume):
    bars = random_bars()
    for name in bars:
        bars[name][2, :, 1] = volume if name == "volume" else np.nan
    for name, values in styles_of(bars).items():
        assert np.isnan(values[2, 1]), name
        assert np.isfinite(np.delete(values.ravel(), 2 * STOCKS + 1)).all(), name


def test_a_price_that_stands_still_has_no_shape():
    bars = random_bars()
    for name in ("open", "high", "low", "close"):
        bars[name][0, :, 0] = 10.0
    styles = {name: values[0, 0] for name, values in styles_of(bars).items()}
    assert styles["rvol"] == styles["rjump"] == styles["cret"] == 0
    assert np.isnan([styles["rskew"], styles["rkurt"], styles["arpp"]]).all()


def test_the_input_is_left_as_it_was():
    bars = random_bars()
    bars["close"][0, 3, 0] = np.nan
    before = {name: values.copy() for name, values in bars.items()}
    styles_of(bars)
    for name, values in bars.items():
        np.testing.assert_array_equal(values, before[name])


def test_another_days_bars_move_nothing():
    bars, noise = random_bars(), random_bars(seed=1)
    changed = {name: np.concatenate([bars[name][:3], noise[name][3:]]) for name in bars}
    for name, values in styles_of(changed).items():
        np.testing.assert_array_equal(values[:3], styles_of(bars)[name][:3])


def test_half_hours_need_bars_that_make_them_up():
    with pytest.raises(DataError, match="A day has 4 bars"):
        complete(random_bars(bars=4))
    assert intraday_styles.HALF_HOURS == 8

"""Indicators equal TA-Lib's, or a walk through the days where it has none; states are what their names say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import talib

from qlib_ext.factors.candle_states import STATES, gap_state, limit_state
from qlib_ext.factors.own_days import over_own_days
from qlib_ext.factors.technical import INDICATORS, SHARED

DAYS, STOCKS = 700, 3
SETTLED = 450  # days after which what a smoothed indicator began with is gone
FIELDS = ["open", "high", "low", "close", "volume"]


@pytest.fixture(scope="module")
def bars() -> dict[str, pd.DataFrame]:
    """Bars with level days, days of one price, and days of no trading; the last stock begins late."""
    random = np.random.default_rng(0)
    close = 10 * np.exp(np.cumsum(np.round(random.normal(0, 0.02, (DAYS, STOCKS)), 2), 0))
    open_ = close * np.exp(random.normal(0, 0.01, close.shape))
    high = np.maximum(open_, close) * np.exp(np.abs(random.normal(0, 0.01, close.shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(random.normal(0, 0.01, close.shape)))
    one_price = random.random(close.shape) < 0.03
    open_, high, low = (np.where(one_price, close, values) for values in (open_, high, low))
    values = [open_, high, low, close, random.lognormal(10, 1, close.shape)]
    absent = random.random(close.shape) < 0.05
    absent[:40, 2] = True
    index = pd.bdate_range("2015-01-01", periods=DAYS)
    return {
        name: pd.DataFrame(np.where(absent, np.nan, field), index, list("abc"))
        for name, field in zip(FIELDS, values, strict=True)
    }


@pytest.fixture(scope="module")
def found(bars):
    return dict_of(bars, INDICATORS)


@pytest.fixture(scope="module")
def states(bars):
    return dict_of(bars, {name: function for name, (function, _) in STATES.items()})


def dict_of(bars, functions) -> dict[str, pd.DataFrame]:
    return dict(over_own_days(bars, functions, SHARED))


def of_stock(bars, stock) -> dict[str, np.ndarray]:
    """A stock's bars on its own trading days."""
    return {name: frame[stock].dropna().to_numpy(float) for name, frame in bars.items()}


def candles(own):
    return own["high"], own["low"], own["close"]


THEIRS = {
    **{f"MA{n}": lambda x, n=n: x["close"] / talib.SMA(x["close"], n) - 1 for n in (5, 10, 20, 60, 120)},
    **{f"EMA{n}": lambda x, n=n: x["close"] / talib.EMA(x["close"], n) - 1 for n in (12, 26)},
    "MACD_DIF": lambda x: talib.MACD(x["close"])[0] / x["close"],
    "MACD_DEA": lambda x: talib.MACD(x["close"])[1] / x["close"],
    "MACD": lambda x: talib.MACD(x["close"])[2] / x["close"],
    **{f"RSI{n}": lambda x, n=n: talib.RSI(x["close"], n) / 100 for n in (6, 14, 24)},
    "CCI": lambda x: talib.CCI(*candles(x), 14) / 100,
    "WR": lambda x: -talib.WILLR(*candles(x), 14) / 100,
    "ATR": lambda x: talib.ATR(*candles(x), 14) / x["close"],
    "DMI": lambda x: (talib.PLUS_DI(*candles(x), 14) - talib.MINUS_DI(*candles(x), 14)) / 100,
    "ADX": lambda x: talib.ADX(*candles(x), 14) / 100,
    "BOLL_WIDTH": lambda x: (lambda up, mid, low: (up - low) / mid)(*talib.BBANDS(x["close"], 20, 2, 2)),
    "BOLL_PLACE": lambda x: (lambda up, _, low: (x["close"] - low) / (up - low))(*talib.BBANDS(x["close"], 20, 2, 2)),
    "OBV": lambda x: changes(talib.OBV(x["close"], x["volume"]), 20) / (20 * talib.SMA(x["volume"], 20)),
    "MFI": lambda x: talib.MFI(*candles(x), x["volume"], 14) / 100,
    **{f"ROC{n}": lambda x, n=n: talib.ROCP(x["close"], n) for n in (1, 5, 10, 20)},
    "TRIX": lambda x: talib.TRIX(x["close"], 12) / 100,
    **{f"VOLUME{n}": lambda x, n=n: x["volume"] / talib.SMA(x["volume"], n) - 1 for n in (5, 20)},
}


def changes(values, days):
    return np.append(np.full(days, np.nan), values[days:] - values[:-days])


@pytest.mark.parametrize("name", THEIRS)
def test_an_indicator_is_that_of_talib(bars, found, name):
    for stock in bars["close"]:
        own = of_stock(bars, stock)
        theirs = THEIRS[name](own)
        values = found[name][stock][bars["close"][stock].notna()].to_numpy(float)
        settled = slice(SETTLED, None)
        assert np.isfinite(theirs[settled]).all()
        np.testing.assert_allclose(values[settled], theirs[settled], rtol=2e-5, atol=2e-6)


def walk_kdj(own):
    """K, D and J day by day; they begin with the ninth day's range, ours with the third K."""
    high, low, close = candles(own)
    k = d = None
    rows = []
    for day in range(8, len(close)):
        top, bottom = high[day - 8 : day + 1].max(), low[day - 8 : day + 1].min()
        rsv = (close[day] - bottom) / (top - bottom) if top > bottom else 0.5
        k = rsv if k is None else 2 / 3 * k + rsv / 3
        d = k if d is None else 2 / 3 * d + k / 3
        rows.append((k, d, 3 * k - 2 * d))
    return np.vstack([np.full((8, 3), np.nan), rows]).T


def walk_psy(own, days=12):
    rises = np.diff(own["close"]) > 0
    return [np.nan] * days + [rises[day - days : day].mean() for day in range(days, len(rises) + 1)]


def walk_vr(own, days=26):
    change, volume, values = np.diff(own["close"]), own["volume"][1:], [np.nan] * days
    for day in range(days, len(change) + 1):
        c, v = change[day - days : day], volume[day - days : day]
        values.append((v[c > 0].sum() + v[c == 0].sum() / 2) / v.sum())
    return values


@pytest.mark.parametrize(
    ("names", "walk"),
    [(["KDJ_K", "KDJ_D", "KDJ_J"], walk_kdj), (["PSY"], lambda x: [walk_psy(x)]), (["VR"], lambda x: [walk_vr(x)])],
    ids=["KDJ", "PSY", "VR"],
)
def test_what_talib_has_not_equals_a_walk(bars, found, names, walk):
    for stock in bars["close"]:
        traded = bars["close"][stock].notna()
        for name, expected in zip(names, walk(of_stock(bars, stock)), strict=True):
            np.testing.assert_allclose(found[name][stock][traded][60:], expected[60:], rtol=1e-5, atol=1e-6)


def test_every_indicator_has_a_reference():
    assert {*THEIRS, "KDJ_K", "KDJ_D", "KDJ_J", "PSY", "VR"} == set(INDICATORS)


def test_a_day_without_trading_has_no_value_and_interrupts_no_window(bars, found, states):
    gone = bars["close"].isna()
    for frame in (*found.values(), *states.values()):
        assert frame[gone].isna().all(axis=None)
    without = {name: frame.loc[~gone["a"], ["a"]] for name, frame in bars.items()}
    pd.testing.assert_frame_equal(
        dict_of(without, INDICATORS)["CCI"], found["CCI"].loc[~gone["a"], ["a"]], check_freq=False
    )


def test_what_comes_later_changes_nothing(bars):
    everything = INDICATORS | {f"{name} state": function for name, (function, _) in STATES.items()}
    whole = dict_of(bars, everything)
    begun = dict_of({name: frame.head(300) for name, frame in bars.items()}, everything)
    for name, frame in begun.items():
        pd.testing.assert_frame_equal(frame, whole[name].head(300), check_freq=False, rtol=1e-5, atol=1e-6, obj=name)


def test_what_is_shared_is_computed_once(bars):
    calls = []

    def middle(high, low):
        calls.append("middle")
        return (high + low) / 2

    def above(close, middle):
        return close - middle

    functions = {"ABOVE": above, "MIDDLE": middle, "TWICE": lambda middle: 2 * middle}
    found = dict(over_own_days(bars, functions, {"middle": middle}))
    assert calls == ["middle"]
    pd.testing.assert_frame_equal(found["MIDDLE"] * 2, found["TWICE"])
    expected = (bars["close"] - (bars["high"] + bars["low"]) / 2).astype("f4")
    pd.testing.assert_frame_equal(found["ABOVE"], expected)


def test_states_are_whole_numbers_and_each_occurs(states):
    for name, (_, number) in STATES.items():
        seen = np.unique(states[name].to_numpy())
        seen = seen[~np.isnan(seen)]
        assert set(seen) <= set(range(number)), name
        if name != "LIMIT":  # which two percent a day do not reach
            assert len(seen) == number, f"{name} takes {seen}"


def frames(**values) -> dict[str, pd.DataFrame]:
    return {name: pd.DataFrame({"a": np.array(field, float)}) for name, field in values.items()}


def test_states_of_days_that_are_known():
    rising = np.arange(1.0, 81.0)
    one = frames(open=rising - 0.2, close=rising, high=rising + 0.3, low=rising - 0.3, volume=np.append([1.0] * 79, 9))
    last = {
        name: values["a"].iloc[-1]
        for name, values in dict_of(one, {name: function for name, (function, _) in STATES.items()}).items()
    }
    assert last["CANDLE"] == 2
    assert last["GAP"] == 2, "a day lies above the day before"
    assert last["VOLUME_STATE"] == 2
    assert last["AVERAGES"] == 5
    assert last["MACD_ZONE"] in (2, 3)
    assert (last["KDJ_ZONE"], last["RSI_ZONE"], last["EXTREME"]) == (2, 2, 3)
    assert last["BODY"] == 0, "smaller than in any of 60 days, over a rising close"
    falling = frames(close=[10, 8.9, 8.9, 9.9], high=[10, 8.9, 8.9, 9.9], low=[10, 8.9, 8.9, 9.9])
    assert limit_state(falling["close"])["a"].tolist()[1:] == [0, 1, 2]
    assert gap_state(falling["high"], falling["low"])["a"].tolist()[1:] == [0, 1, 2]

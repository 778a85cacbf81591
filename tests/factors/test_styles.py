"""Each style against its formula, worked out stock by stock and day by day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.factors import styles
from qlib_ext.factors.styles import DAY_STYLES, fields_of
from tests.analysis.matrices import random_frame

DAYS, STOCKS = 280, 6


def random_bars(days=DAYS, stocks=STOCKS, seed=0):
    """Daily bars: the second stock is listed on day 30, the third suspended for 15 days, the others now and then."""
    close = 10 * np.exp(0.02 * random_frame(days, stocks, seed, holes=0).cumsum())
    bars = {
        "close": close,
        "high": close * (1 + 0.01 * random_frame(days, stocks, seed + 1, holes=0).abs()),
        "vwap": close * (1 + 0.005 * random_frame(days, stocks, seed + 2, holes=0)),
        "volume": 1e6 * np.exp(random_frame(days, stocks, seed + 3, holes=0)),
        "float_mv": 1e9 * close,
        "turnover": (0.02 * np.exp(random_frame(days, stocks, seed + 4, holes=0))),
    }
    traded = random_frame(days, stocks, seed + 5, holes=0.02).notna()
    traded.iloc[:30, 1] = False
    traded.iloc[100:115, 2] = False
    return {name: values.where(traded) for name, values in bars.items()}


BARS = random_bars()


def compute(name, bars=BARS):
    return DAY_STYLES[name](*(bars[field] for field in fields_of(DAY_STYLES[name])))


def last_known(values):
    known = [v for v in values if np.isfinite(v)]
    return known[-1] if known else np.nan


def returns_of(close):
    """Close over the last close there was, on days with trading."""
    return np.array([c / last_known(close[:t]) - 1 if np.isfinite(c) else np.nan for t, c in enumerate(close)])


MARKET = BARS["close"].apply(lambda close: returns_of(close.to_numpy())).mean(axis=1).to_numpy()


def at(values, t, window):
    """The numbers of the window that ends on t, or none where half of it is missing."""
    known = values[max(0, t - window + 1) : t + 1]
    known = known[np.isfinite(known)]
    return known if len(known) >= window // 2 else np.array([np.nan])


def slow_beta(own, market, t):
    days = [u for u in range(max(0, t - 241), t + 1) if np.isfinite(own[u])]
    return np.polyfit(market[days], own[days], 1)[0] if len(days) >= 121 else np.nan


def slow_cgo60(close, vwap, turnover, t):
    if np.isfinite(turnover[max(0, t - 59) : t + 1]).sum() < 30:
        return np.nan
    weights = prices = 0.0
    for n in range(min(60, t + 1)):
        if np.isfinite(turnover[t - n]):
            kept = np.prod([1 - min(v, 0.99) for v in turnover[t - n + 1 : t + 1] if np.isfinite(v)])
            weights += min(turnover[t - n], 0.99) * kept
            prices += min(turnover[t - n], 0.99) * kept * vwap[t - n]
    return last_known(close[: t + 1]) / (prices / weights) - 1


SLOW = {
    "VOL20": lambda b, t: np.std(at(b["return"], t, 20), ddof=1),
    "RET20": lambda b, t: last_known(b["close"][: t + 1]) / last_known(b["close"][: max(t - 19, 0)]) - 1,
    "PPREVERSAL": lambda b, t: at(b["vwap"], t, 5).mean() / at(b["vwap"], t, 60).mean() - 1,
    "CGO60": lambda b, t: slow_cgo60(b["close"], b["vwap"], b["turnover"], t),
    "P2HIGH": lambda b, t: last_known(b["close"][: t + 1]) / at(b["high"], t, 243).max(),
    "AVGAMT_20_60": lambda b, t: at(b["vwap"] * b["volume"], t, 20).mean() / at(b["vwap"] * b["volume"], t, 60).mean(),
    "MAXRET20": lambda b, t: np.sort(at(b["return"], t, 20))[-3:].mean(),
    "mom_20d_120d": lambda b, t: (
        last_known(b["close"][: max(t - 19, 0)]) / last_known(b["close"][: max(t - 119, 0)]) - 1
    ),
    "SIZE": lambda b, t: b["float_mv"][t],
    "AMOUNT20": lambda b, t: at(b["vwap"] * b["volume"], t, 20).mean(),
    "TURNOVER20": lambda b, t: at(b["turnover"], t, 20).mean(),
    "BETA": lambda b, t: slow_beta(b["return"], MARKET, t),
}


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.filterwarnings("ignore:Degrees of freedom")
def test_a_style_is_its_formula(name):
    ours = compute(name)
    assert ours.shape == (DAYS, STOCKS)
    for i in range(STOCKS):
        stock = {field: values.iloc[:, i].to_numpy() for field, values in BARS.items()}
        stock["return"] = returns_of(stock["close"])
        theirs = [SLOW[name](stock, t) for t in range(DAYS)]
        np.testing.assert_allclose(ours.iloc[:, i], theirs, rtol=1e-9, atol=1e-11, err_msg=f"stock {i}")
    assert ours.notna().mean().mean() > 0.4


def test_dwf_counts_the_days_among_the_best():
    close = random_bars(60, 150)["close"]
    ours = styles.dwf(close)
    gain = pd.DataFrame({s: returns_of(close[s].to_numpy()) for s in close}, close.index)
    won = gain.rank(axis=1, ascending=False) <= 100
    decay = 0.5 ** (1 / 10)
    for t in (5, 40, 59):
        weights = decay ** np.arange(t, -1, -1)
        expected = (won.iloc[: t + 1].to_numpy() * weights[:, None]).sum(0) / weights.sum()
        np.testing.assert_allclose(ours.iloc[t].dropna(), expected[ours.iloc[t].notna()], atol=1e-12)
    assert ours.iloc[:30, 1].isna().all(), "not listed yet"
    assert ours.std(axis=1).iloc[20:].min() > 0.05


def test_dwf_of_a_small_market_lists_everyone_who_trades():
    close = random_bars(20, 5)["close"].ffill().dropna(axis=1)
    weights = 0.5 ** (np.arange(20) / 10)
    expected = [weights[:t].sum() / weights[: t + 1].sum() for t in range(20)]  # the first day has no return
    for column in styles.dwf(close):
        np.testing.assert_allclose(styles.dwf(close)[column], expected)


@pytest.mark.parametrize("name", DAY_STYLES)
def test_noise_after_a_day_moves_nothing_up_to_it(name):
    bars, noise = random_bars(DAYS, 130), random_bars(DAYS, 130, seed=50)
    changed = {field: pd.concat([bars[field].iloc[:200], noise[field].iloc[200:]]) for field in bars}
    before, after = compute(name, bars), compute(name, changed)
    pd.testing.assert_frame_equal(before.iloc[:200], after.iloc[:200], rtol=1e-12)
    assert not np.allclose(before.iloc[200:], after.iloc[200:], equal_nan=True), "the noise is noticed"


@pytest.mark.parametrize("name", [name for name in DAY_STYLES if name != "DWF"])
def test_nothing_before_the_longest_window_is_read(name):
    bars = random_bars(styles.LONGEST_WINDOW + 60)
    whole, late = compute(name, bars), compute(name, {field: values.iloc[59:] for field, values in bars.items()})
    np.testing.assert_allclose(whole.iloc[-1], late.iloc[-1], rtol=1e-9)


def test_cgo60_bears_a_turnover_above_one():
    bars = random_bars()
    bars["turnover"].iloc[150, 0] = 1.7
    assert compute("CGO60", bars).iloc[150:, 0].notna().all()
    only_that_day = bars["vwap"].iloc[150, 0]
    assert compute("CGO60", bars).iloc[150, 0] == pytest.approx(
        bars["close"].iloc[150, 0] / only_that_day - 1, abs=3e-3
    )

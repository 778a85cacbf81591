"""The factors of fifteen-minute bars, where cutting the day otherwise changes nothing, are those of minute bars."""

from __future__ import annotations

import numpy as np
import polars as pl

from benchmarks.highfreq_real import factors_of
from qlib_ext.ticks.minute_factors import minute_factors
from qlib_ext.ticks.sessions import start_of

ALIKE = ["down_vol_perc", *(f"volume_perc{k}" for k in range(2, 8))]


def random_bars(seed=0):
    """Sixteen bars a day, two stocks of three days."""
    random = np.random.default_rng(seed)
    rows = [(stock, day, bar) for stock in ("SH600001", "SZ000002") for day in ("d1", "d2", "d3") for bar in range(16)]
    close = 10 + random.standard_normal(len(rows)).cumsum().clip(-5, 5) * 0.1
    opening = close + random.standard_normal(len(rows)) * 0.05
    frame = pl.DataFrame(rows, schema=["instrument", "day", "bar"], orient="row")
    volume = random.integers(1, 1000, len(rows)) * 100
    prices = {"open": opening, "close": close}
    prices |= {"high": np.maximum(opening, close) + 0.02, "low": np.minimum(opening, close) - 0.02}
    return frame.with_columns(**prices, volume=volume, amount=volume * close)


def test_what_sums_over_the_day_equals_the_minute_factors():
    bars = random_bars()
    ours = factors_of(bars).sort("instrument", "day")
    for day in ("d1", "d2", "d3"):
        minutes = bars.filter(pl.col("day") == day).with_columns(time=start_of(pl.col("bar") * 15), count=pl.lit(1))
        theirs = minute_factors(minutes).sort("instrument")
        own = ours.filter(pl.col("day") == day)
        assert own["instrument"].to_list() == theirs["instrument"].to_list()
        np.testing.assert_allclose(own.select(ALIKE).to_numpy(), theirs.select(ALIKE).to_numpy(), rtol=1e-9)


def test_correlations_are_those_of_pandas():
    bars = random_bars(1)
    ours = factors_of(bars).sort("instrument", "day")
    rows = bars.to_pandas().groupby(["instrument", "day"])
    for name, (_, day) in zip(ours.rows(named=True), rows, strict=True):
        r = (day["close"] / day["close"].shift().fillna(day["open"].iloc[0]) - 1).reset_index(drop=True)
        assert np.isclose(name["corr_ret_lastret"], r.corr(r.shift()))
        assert np.isclose(name["corr_close_nextopen"], day["close"].corr(day["open"].shift(-1)))
        assert np.isclose(name["corr_volume_amplitude"], day["volume"].corr(day["high"] / day["low"] - 1))

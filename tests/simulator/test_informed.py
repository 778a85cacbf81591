"""Who knows what: the flow itself, and the whole way from day bars to factors that tell of the next days' returns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlib_ext.simulator.informed import expected_return, informed_flow
from qlib_ext.simulator.ticks import draw_day
from qlib_ext.ticks.factors import day_factors

from .test_planted import rank_ic

KNOWN = {  # Rank IC with the flow, as informed.py says
    "early_active_buy_perc": 0.85,
    "concentration_diff": 0.78,
    "early_bigorder_buy_perc": 0.77,
    "bigorder_ret2": 0.70,
    "early_active_bigorder_ret": 0.48,
    "bigorder_ret": 0.49,
    "down_single_amt_perc": -0.49,
    "bigorder_amt_perc": 0.0,  # large orders are as many, only on another side
}


def test_the_expected_return(market):
    got = expected_return(market.parts)
    for t, i in ((5, 3), (100, 70), (749, 149)):
        want = 0.0
        for name, kept in (("reversal", 0.7), ("volatility", 1.0), ("momentum", 1.0), ("lead_lag", 0.8)):
            tomorrow = market.parts[name][t, i] * 2 / (1 + kept)
            want += sum(tomorrow * kept**days for days in range(10))
        assert got[t, i] == pytest.approx(want, nan_ok=True)


def test_the_expected_return_comes_true(market):
    """Ten days' returns after the close, regressed on what was expected: a slope near 1, since some of it fades."""
    expected = pd.DataFrame(expected_return(market.parts))
    growth = np.log1p(pd.DataFrame(market.fields["change"]).fillna(0.0)).cumsum()
    later = (growth.shift(-10) - growth).where(expected.notna())
    x = expected.sub(expected.mean(axis=1), axis=0).to_numpy()
    y = later.sub(later.mean(axis=1), axis=0).to_numpy()
    use = ~np.isnan(x) & ~np.isnan(y)
    assert 0.5 < (x[use] * y[use]).sum() / (x[use] ** 2).sum() < 1.2


def test_the_flow_is_eight_tenths_known(market):
    flow, expected = informed_flow(market.parts, seed=0), expected_return(market.parts)
    on = ~np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(flow), ~on)
    gap = expected - np.nanmean(expected, axis=1, keepdims=True)
    z = gap / np.nanstd(expected, axis=1, keepdims=True)
    noise = (flow - 0.8 * z)[on] / 0.6
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert np.corrcoef(noise, z[on])[0, 1] == pytest.approx(0, abs=0.02)


def test_the_flow_knows_nothing_of_later_days(market):
    changed = {name: np.where(np.arange(750)[:, None] > 300, 7 * part, part) for name, part in market.parts.items()}
    before, after = informed_flow(market.parts, seed=0), informed_flow(changed, seed=0)
    np.testing.assert_array_equal(before[:301], after[:301])
    changed["reversal"] = np.where(np.arange(750)[:, None] > 300, -changed["reversal"], changed["reversal"])
    after = informed_flow(changed, seed=0)
    np.testing.assert_array_equal(before[:301], after[:301])
    assert (before[301:] != after[301:]).any()


def test_the_flow_tells_of_the_label(market):
    """0.8 of what the planted parts tell."""
    mean, t = rank_ic(informed_flow(market.parts, seed=0), market.label, market.members)
    assert 0.06 < mean < 0.11
    assert t > 10


def test_the_factors_find_it(market):
    """The factors of a few days know the flow, and the ten days' returns that follow."""
    days, seed = list(range(30, 735, 120)), 0
    flow = informed_flow(market.parts, seed)
    table = pl.concat(day_factors(**draw_day(market, flow, t, seed)).with_columns(day=pl.lit(t)) for t in days)
    factors = {
        name: table.pivot("instrument", index="day", values=name).select(market.symbols).to_numpy()
        for name in table.columns[1:-1]
    }
    traded = ~np.isnan(market.fields["close"][days])
    known = {name: rank_ic(factors[name], flow[days], traded)[0] for name in KNOWN}
    assert known == pytest.approx(KNOWN, abs=0.07)
    vwap = market.fields["vwap"]
    later = np.stack([vwap[t + 11] / vwap[t + 1] - 1 for t in days])
    mean, t = rank_ic(np.mean([np.sign(KNOWN[name]) * ranked(factors[name]) for name in KNOWN], axis=0), later, traded)
    assert mean > 0.04
    assert t > 2.5


def ranked(values):
    return pd.DataFrame(values).rank(axis=1, pct=True).to_numpy()

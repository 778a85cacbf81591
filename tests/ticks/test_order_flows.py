"""Flows by order size equal pandas' groups, add up to the amount, and reach the provider as fields."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from qlib_ext.errors import ConfigError
from qlib_ext.simulator.informed import informed_flow
from qlib_ext.simulator.simulate import simulate
from qlib_ext.simulator.ticks import draw_day
from qlib_ext.ticks.build import build
from qlib_ext.ticks.factors import day_factors
from qlib_ext.ticks.order_flows import NAMES, order_flows
from tests.ticks import draws
from tests.ticks.days import CALENDAR, DAYS, STOCKS, bin_of, trades_of


def by_pandas(trades):
    """The flows of each stock, order by order."""
    table = trades.to_pandas()
    rows = {}
    for stock, own in table.groupby("instrument"):
        row = dict.fromkeys(NAMES, 0.0)
        for side in ("buy", "sell"):
            for amount in own.groupby(f"{side}_order")["amount"].sum():
                size = (
                    "small"
                    if amount < 50_000
                    else "medium"
                    if amount < 200_000
                    else "large"
                    if amount < 1_000_000
                    else "very_large"
                )
                row[f"flow_{size}_{side}"] += amount
        rows[stock] = row
    return pd.DataFrame.from_dict(rows, orient="index")[NAMES]


@given(draws.trades())
@settings(deadline=None, max_examples=30)
def test_equals_pandas(trades):
    found = order_flows(trades).to_pandas().set_index("instrument")
    pd.testing.assert_frame_equal(found, by_pandas(trades).loc[found.index], check_names=False, rtol=1e-12)


def test_both_sides_add_up_to_the_amount():
    trades = trades_of(0)
    found = order_flows(trades).to_pandas().set_index("instrument")
    amount = trades.to_pandas().groupby("instrument")["amount"].sum()[found.index]
    for side in ("buy", "sell"):
        np.testing.assert_allclose(found[[name for name in NAMES if name.endswith(side)]].sum(axis=1), amount)


def test_a_simulated_day_is_sorted_by_its_orders():
    market = simulate(10, 40, seed=1)
    day = draw_day(market, informed_flow(market.parts, 1), 30, 1)
    found = order_flows(day["trades"]).to_pandas().set_index("instrument")
    pd.testing.assert_frame_equal(found, by_pandas(day["trades"]).loc[found.index], check_names=False, rtol=1e-12)
    amount = pd.Series(market.fields["amount"][30], market.symbols)[found.index]
    for side in ("buy", "sell"):
        ratio = found[[name for name in NAMES if name.endswith(side)]].sum(axis=1) / amount
        np.testing.assert_allclose(ratio, 1, atol=2e-3)
    assert (found.sum() > 0).sum() >= 6, "orders of most sizes occur"


def test_an_order_of_the_limit_is_of_the_larger_size():
    trades = trades_of(0).head(1)
    sizes = {49_999.99: "small", 50_000.0: "medium", 200_000.0: "large", 1_000_000.0: "very_large"}
    for amount, size in sizes.items():
        (row,) = order_flows(trades.with_columns(amount=amount)).rows(named=True)
        assert {name for name in NAMES if row[name]} == {f"flow_{size}_buy", f"flow_{size}_sell"}


def test_they_are_fields_where_they_are_asked_for(ticks, provider):
    done = build(provider, {"trades": ticks["trades"]}, families=["flows"])
    assert (done.fields, done.changed) == (8, 8 * len(STOCKS))
    for seed, day in enumerate(DAYS):
        expected = by_pandas(trades_of(seed))
        for stock in expected.index:
            content = np.fromfile(bin_of_flow(provider, "flow_large_buy", stock), dtype="<f4")
            written = content[1 + CALENDAR.get_loc(day) - int(content[0])]
            np.testing.assert_allclose(written, expected.loc[stock, "flow_large_buy"], rtol=1e-6)
    assert not bin_of(provider, "flow_large_buy").exists(), "they are no factors $hf_..."


def bin_of_flow(provider, name, stock):
    return provider / "features" / stock.lower() / f"{name}.day.bin"


def test_without_being_named_they_are_not_made(ticks, provider):
    whole = day_factors(trades=trades_of(0))
    assert not set(NAMES) & set(whole.columns)
    with pytest.raises(ConfigError, match="family flows needs --trades"):
        build(provider, {"orders": ticks["orders"]}, families=["flows"])

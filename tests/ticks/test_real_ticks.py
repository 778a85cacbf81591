"""The real Level-2 stock-days of ../shared/market/level2; skipped, saying so, where they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlib_ext.errors import DataError
from qlib_ext.ticks import shanghai, shenzhen
from qlib_ext.ticks.bars import minute_bars
from qlib_ext.ticks.check import check_reconciled
from qlib_ext.ticks.factors import FAMILIES, day_factors
from qlib_ext.ticks.order_flows import NAMES, order_flows
from tests.ticks import reference
from tests.ticks.reference import assert_equal
from tests.ticks.test_order_flows import by_pandas

LEVEL2 = Path(__file__).parents[3] / "shared" / "market" / "level2"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not LEVEL2.is_dir(), reason=f"the real Level-2 samples are not in {LEVEL2}"),
]
FEBRUARY, JULY = "2023-02-01", "2023-07-11"
BOTH = LEVEL2 / "sz_sh_20230201_trades.parquet"


@pytest.fixture(scope="module")
def readings():
    return {
        "february": [
            shanghai.read_trades(LEVEL2 / "sh_600519_20230201_trades.parquet", FEBRUARY),
            shanghai.read_trades(BOTH, FEBRUARY),
            shenzhen.read_trades(BOTH, FEBRUARY),
        ],
        "july": [shanghai.read_trades(LEVEL2 / "sh_3stocks_20230711_trades.parquet", JULY)],
        "february orders": [shanghai.read_orders(LEVEL2 / "sh_600519_20230201_orders.parquet", FEBRUARY)],
        "july orders": [shanghai.read_orders(LEVEL2 / "sh_3stocks_20230711_orders.parquet", JULY)],
    }


@pytest.fixture(scope="module")
def days(readings):
    return {name: pl.concat([reading.frame for reading in those]) for name, those in readings.items()}


@pytest.mark.parametrize("day", ["february", "july"])
def test_all_factors_equal_the_reference(days, day):
    trades, orders = days[day], days[f"{day} orders"]
    ours = day_factors(trades=trades, orders=orders)
    for frame, of_stock, family in (
        (trades, reference.minute_factors, "minute"),
        (trades, reference.trade_factors, "trades"),
        (orders, reference.order_factors, "orders"),
    ):
        expected = reference.table(frame, of_stock, FAMILIES[family])
        assert np.isfinite(expected.to_numpy()).all()
        assert_equal(ours, expected)


@pytest.mark.parametrize("day", ["february", "july"])
def test_flows_by_the_size_of_orders_equal_pandas(days, day):
    found = order_flows(days[day]).to_pandas().set_index("instrument")
    pd.testing.assert_frame_equal(found, by_pandas(days[day]).loc[found.index], check_names=False, rtol=1e-12)
    amount = days[day].group_by("instrument").agg(pl.col("amount").sum()).to_pandas().set_index("instrument")["amount"]
    for side in ("buy", "sell"):
        of_side = found[[name for name in NAMES if name.endswith(side)]].sum(axis=1)
        np.testing.assert_allclose(of_side, amount[found.index], rtol=1e-12)


def test_what_is_kept_and_what_is_dropped(readings):
    kept = {name: [len(reading.frame) for reading in those] for name, those in readings.items()}
    assert kept == {
        "february": [26875, 14830, 133565],
        "july": [67429],
        "february orders": [53314],
        "july orders": [88800],
    }
    assert readings["february"][2].dropped == {
        "of the other exchange": (14872, 18659542),
        "cancel": (32996, 89583446),
        "opening auction": (250, 360100),
    }


@pytest.mark.parametrize("day", ["february", "july"])
def test_bars_hold_every_share_and_yuan_of_the_trades(days, day):
    bars = minute_bars(days[day])
    check_reconciled(days[day], bars)
    assert bars["volume"].sum() == days[day]["volume"].sum()
    assert bars["count"].sum() == len(days[day])


def test_shanghais_flag_is_the_larger_number(days):
    # the rule by which Shenzhen's side is inferred, on the exchange that says the side
    sided = days["july"].filter(pl.col("side") != "N")
    assert len(sided) == 66965
    assert ((sided["buy_order"] > sided["sell_order"]) == (sided["side"] == "B")).all()


def test_a_file_of_another_day_or_exchange_is_refused():
    with pytest.raises(DataError, match=r"the date is not 2023-07-12 in 67860 rows"):
        shanghai.read_trades(LEVEL2 / "sh_3stocks_20230711_trades.parquet", "2023-07-12")

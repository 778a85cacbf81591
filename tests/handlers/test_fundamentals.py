"""Fundamentals over a provider: columns equal a walk through the days, windows the percentiles of pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import qlib
import torch

from handlers.bars import DayBars
from handlers.fundamentals import BarsWithFundamentals, Fundamentals
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import ConfigError, ProviderError
from qlib_ext.factors.fundamentals import CATEGORIES, INDICATORS, YEAR
from qlib_ext.simulator.simulate import simulate, write_market
from tests.garbage import garbage_after

MARKET = {"stocks": 25, "days": 330, "seed": 5, "accruals": 0.0}
TIMES = {"start_time": "2015-08-31", "end_time": "2015-11-27", "instruments": "all"}
SEGMENTS = {
    "train": ("2015-08-31", "2015-10-09"),
    "valid": ("2015-10-12", "2015-10-30"),
    "test": ("2015-11-02", "2015-11-27"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fundamentals") / "provider"
    write_market(folder, **MARKET)
    return folder, simulate(**MARKET)


@pytest.fixture(autouse=True)
def _initialised(made, init):
    init(made[0])


@pytest.fixture(scope="module")
def handler(made):
    qlib.init(provider_uri=str(made[0]), region="cn", kernels=1, logging_level=40)
    return Fundamentals(**TIMES)


@np.errstate(divide="ignore")
def walk(market):
    """Each indicator of each day and stock by numbers alone: name -> [days, stocks]."""
    rows = {name: np.full(market.listed.shape, np.nan) for name in INDICATORS}
    f = {name: values.astype("f4").astype(float) for name, values in market.fields.items()}
    for i in range(8):  # some stocks are enough
        own = np.flatnonzero(market.listed[:, i])
        for place, t in enumerate(own):

            def lines(day, i=i):
                debt = f["debt_to_assets"][day, i] / 100
                assets = f["book"][day, i] / (1 - debt)
                names = ("sales_ttm", "earnings_ttm", "cash_flow_ttm", "book")
                return [*(f[name][day, i] for name in names), assets, assets * debt]

            sales, earnings, cash, equity, assets, debt = now = np.array(lines(t))
            before = lines(own[place - YEAR]) if place >= YEAR else [np.nan] * 6
            value = f["total_mv"][t, i]
            for name, at in (("SALES", 0), ("EARNINGS", 1), ("CASH_FLOW", 2), ("EQUITY", 3)):
                rows[f"{name}_GROWTH"][t, i] = (now[at] - before[at]) / abs(before[at])
            rows["ROE"][t, i] = earnings / np.maximum((equity + before[3]) / 2, 0)
            rows["ROA"][t, i] = earnings / ((assets + before[4]) / 2)
            rows["NET_MARGIN"][t, i] = earnings / sales
            rows["CASH_TO_EARNINGS"][t, i] = cash / np.maximum(earnings, 0)
            rows["ACCRUALS"][t, i] = (earnings - cash) / assets
            rows["CASH_TO_DEBT"][t, i] = cash / debt
            rows["DEBT_TO_ASSETS"][t, i] = debt / assets
            rows["ASSET_TURNOVER"][t, i] = sales / ((assets + before[4]) / 2)
            for name, own_line in (("EP", earnings), ("BP", equity), ("SP", sales), ("CFP", cash)):
                rows[name][t, i] = own_line / value
            rows["DP"][t, i] = f["dividend_yield"][t, i] / 100
    return rows


def test_columns_equal_a_walk_through_the_days(made, handler):
    market = made[1]
    features = handler.fetch(col_set="feature")
    assert list(features.columns) == list(INDICATORS)
    for name, values in walk(market).items():
        expected = pd.DataFrame(values, market.calendar, market.symbols).stack(future_stack=True)
        found = features[name][features.index.isin(market.symbols[:8], level="instrument")]
        np.testing.assert_allclose(found, expected.reindex(found.index), rtol=2e-4, atol=1e-6, err_msg=name)
        assert found.notna().mean() > 0.5, f"{name} says little"


def windows(handler, day="2015-11-02"):
    data = CrossSectionDataset(handler, SEGMENTS | {"test": (day, day)})
    samples = data.samples("test", learn=False, device=torch.device("cpu"))
    return samples.batch(np.array([0]), data.window).x.numpy(), samples.index.get_level_values("instrument")


def test_windows_are_percentiles_of_pandas(handler):
    x, names = windows(handler)
    day = handler.fetch(col_set="feature").loc["2015-11-02"].replace([np.inf, -np.inf], np.nan)
    expected = ((day.rank() - 0.5) / day.count() - 0.5).fillna(0.0)
    assert x.shape[1:] == (1, len(INDICATORS))
    np.testing.assert_allclose(x[:, 0], expected.loc[names], atol=1e-6)


def test_beside_bars_stand_both_as_they_are_alone(handler):
    both, names = windows(BarsWithFundamentals(**TIMES))
    bars, of_bars = windows(DayBars(**TIMES))
    alone, of_alone = windows(handler)
    assert list(names) == list(of_bars) == list(of_alone)
    np.testing.assert_allclose(both[:, : bars[0].size, 0], bars.reshape(len(bars), -1), atol=1e-6)
    np.testing.assert_allclose(both[:, bars[0].size :, 0], alone[:, 0], atol=1e-6)


def test_what_comes_later_changes_nothing(made, handler, init, tmp_path):
    init(garbage_after(made[0], made[1].calendar.get_loc("2015-10-12"), tmp_path / "garbage"))
    found = Fundamentals(**TIMES).fetch(slice(None, "2015-10-12"), col_set="feature")
    pd.testing.assert_frame_equal(found, handler.fetch(slice(None, "2015-10-12"), col_set="feature"), check_exact=True)


def test_categories_indicators_and_lines_are_chosen():
    chosen = Fundamentals(categories=["growth", "valuation"], without=["DP"], init_data=False)
    assert chosen.window.percentiles == sum(i.category in ("growth", "valuation") for i in INDICATORS.values()) - 1
    assert "dividend_yield" not in chosen.needs().fields
    own = Fundamentals(categories=["quality"], fields={"cash_flow": "$fcff_ttm"}, init_data=False)
    assert "fcff_ttm" in own.needs().fields
    assert "cash_flow_ttm" not in own.needs().fields


def test_what_cannot_be_is_refused_by_name():
    with pytest.raises(ConfigError, match="valuations"):
        Fundamentals(categories=["valuations"], init_data=False)
    with pytest.raises(ConfigError, match="PE"):
        Fundamentals(without=["PE"], init_data=False)
    with pytest.raises(ConfigError, match="cashflow"):
        Fundamentals(fields={"cashflow": "$x"}, init_data=False)
    with pytest.raises(ConfigError, match=f"names some of {', '.join(CATEGORIES)}"):
        Fundamentals(categories=[], init_data=False)
    with pytest.raises(ProviderError, match="fcff_ttm"):
        Fundamentals(fields={"cash_flow": "$fcff_ttm"}, **TIMES)

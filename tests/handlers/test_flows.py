"""Flows over a provider: its columns are those of pandas, stock by stock, and nets read its states as fields."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import qlib

from handlers.flows import Flows
from qlib_ext.cli import main
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import ProviderError
from qlib_ext.factors.flows import GROUPS, INDICATORS, SIZES, STATES
from qlib_ext.provider.fields import write_field
from qlib_ext.provider.panels import read_panels
from qlib_ext.simulator.simulate import simulate, write_market
from tests.garbage import garbage_after

MARKET = {"stocks": 12, "days": 200, "seed": 2}
TIMES = {"start_time": "2015-03-02", "end_time": "2015-05-29", "instruments": "all"}
SEGMENTS = {
    "train": ("2015-03-02", "2015-04-10"),
    "valid": ("2015-04-13", "2015-04-30"),
    "test": ("2015-05-04", "2015-05-29"),
}
FIELDS = [f"flow_{size}_{side}" for size in SIZES for side in ("buy", "sell")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small market, its flows drawn at random; the first stock has none on some days."""
    folder = tmp_path_factory.mktemp("flows") / "provider"
    write_market(folder, **MARKET)
    market, random = simulate(**MARKET), np.random.default_rng(0)
    flows = {name: random.lognormal(10, 1, market.listed.shape).astype("f4") for name in FIELDS}
    trading = ~np.isnan(market.fields["close"])
    trading[100:110, 0] = trading[:40] = False
    flows = {name: np.where(trading, values, np.nan) for name, values in flows.items()}
    for name, values in flows.items():
        rows = {symbol: values[40:, i].astype("f4") for i, symbol in enumerate(market.symbols)}
        write_field(folder, name, list(range(40, len(market.calendar))), rows)  # trades are known later than bars
    return folder, market, flows


@pytest.fixture(autouse=True)
def _initialised(made, init):
    init(made[0])


@pytest.fixture(scope="module")
def handler(made):
    qlib.init(provider_uri=str(made[0]), region="cn", kernels=1, logging_level=40)
    return Flows(**TIMES)


def by_pandas(f, close):
    """All columns of one stock: f its flows, a frame of days."""
    columns, r = {}, close / close.shift(1) - 1
    amount = f.sum(axis=1, min_count=8) / 2
    for name, sizes in GROUPS.items():
        b, s = (f[[f"flow_{size}_{side}" for size in sizes]].sum(axis=1, skipna=False) for side in ("buy", "sell"))
        net = (b - s) / amount
        x, own = net.where(r.notna()), r.where(net.notna())
        twenty, of_return = x.rolling(20, min_periods=1), own.rolling(20, min_periods=1)
        beta = twenty.cov(own) / of_return.var()
        mean, std = net.rolling(120, min_periods=1).mean(), net.rolling(120, min_periods=1).std()
        over = {n: (b - s).rolling(n, min_periods=1).sum() / amount.rolling(n, min_periods=1).sum() for n in (5, 20)}
        columns |= {
            f"{name.upper()}_NET": net,
            f"{name.upper()}_BALANCE": (b - s) / (b + s),
            f"{name.upper()}_SHARE": (b + s) / (2 * amount),
            f"{name.upper()}_NET5": over[5],
            f"{name.upper()}_NET20": over[20],
            f"{name.upper()}_LOG20": np.log(b / s).rolling(20, min_periods=1).mean(),
            f"{name.upper()}_RETURN20": twenty.corr(own),
            f"{name.upper()}_RESIDUAL": x - twenty.mean() - beta * (own - of_return.mean()),
            f"{name.upper()}_STATE": (1.0 + (net > mean + std / 2) - (net < mean - std / 2)).where(net.notna()),
        }
    return columns


def test_columns_are_those_of_pandas(made, handler):
    _, market, flows = made
    features = handler.fetch(col_set="feature")
    assert list(features.columns) == [*INDICATORS, *STATES]
    for i in (0, 5):
        listed = market.listed[:, i]
        days = market.calendar[listed]
        own = pd.DataFrame({name: values[listed, i] for name, values in flows.items()}, days)
        close = pd.Series(market.fields["close"][listed, i].astype("f4").astype(float), days)
        found = features.xs(market.symbols[i], level="instrument")
        for name, expected in by_pandas(own, close).items():
            expected = expected.reindex(found.index)
            np.testing.assert_allclose(found[name], expected, rtol=2e-3, atol=2e-5, err_msg=name)


def test_a_net_reads_states_as_fields_and_indicators_standardised(handler):
    data = CrossSectionDataset(handler, SEGMENTS)
    x = data.samples("test", learn=False).batch(np.array([3]), data.window).x
    assert x.shape[1:] == (30, len(INDICATORS) + 3 * len(STATES))
    assert np.isfinite(x.numpy()).all()
    states = x[:, -1, len(INDICATORS) :].unflatten(1, (len(STATES), 3))
    assert set(states.sum(2).unique().tolist()) <= {0.0, 1.0}
    assert states.sum() > 0
    assert Flows(states=False, init_data=False).window.unscaled == 0


def test_what_comes_later_changes_nothing(made, handler, init, tmp_path):
    init(garbage_after(made[0], made[1].calendar.get_loc("2015-04-13"), tmp_path / "garbage"))
    found = Flows(**TIMES).fetch(slice(None, "2015-04-13"), col_set="feature")
    pd.testing.assert_frame_equal(found, handler.fetch(slice(None, "2015-04-13"), col_set="feature"), check_exact=True)


def test_a_provider_without_flows_is_refused_by_name(made, init, tmp_path):
    write_market(tmp_path / "plain", **MARKET | {"days": 60})
    init(tmp_path / "plain")
    with pytest.raises(ProviderError, match="flow_"):
        Flows(start_time="2014-10-01", end_time="2014-11-20", instruments="all")


def test_a_vendors_table_becomes_the_same_fields(made, tmp_path, capsys):
    """A table with a row a stock and day, in any order and without the days that lack flows."""
    folder, market, flows = made
    own = tmp_path / "provider"
    write_market(own, **MARKET)
    index = pd.MultiIndex.from_product([market.calendar, market.symbols], names=["date", "instrument"])
    table = pd.DataFrame({name: values.ravel() for name, values in flows.items()}, index).dropna().reset_index()
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "vendor.parquet")
    arguments = ["fields", "--table", str(tmp_path / "vendor.parquet"), "--out", str(own), "--columns", *FIELDS]
    assert main(arguments) == 0, capsys.readouterr().out
    theirs, ours = (read_panels(where, FIELDS, list(market.symbols)) for where in (own, folder))
    for name in FIELDS:
        assert np.isfinite(ours[name]).any()
        np.testing.assert_array_equal(theirs[name], ours[name])

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data import D

from qlib_ext.errors import ConfigError
from qlib_ext.provider.check import check_features, check_provider
from qlib_ext.simulator.simulate import INDEX, simulate, write_market

TRADED = ("open", "high", "low", "close", "vwap", "volume", "amount", "turnover", "change")


def trading(market):
    return ~np.isnan(market.fields["close"])


def first_days(market):
    return market.listed & ~np.vstack([np.zeros_like(market.listed[:1]), market.listed[:-1]])


def last_close(market, field="close"):
    """The last traded close before each day, [days, stocks]."""
    return pd.DataFrame(market.fields[field]).ffill().shift(1).to_numpy()


def raw(market, field):
    return market.fields[field] / market.fields["factor"]


def test_qlib_reads_the_market(small, init):
    folder, market = small
    check_provider(folder)
    check_features(folder, market.fields, market.symbols)
    init(folder)
    got = D.features(D.instruments("all"), [f"${name}" for name in market.fields])
    for i, symbol in enumerate(market.symbols):
        rows = market.listed[:, i]
        want = np.stack([values[rows, i] for values in market.fields.values()], axis=1).astype("f4")
        assert got.loc[symbol].index.equals(market.calendar[rows])
        np.testing.assert_array_equal(got.loc[symbol].to_numpy(), want)
    index = D.features([INDEX], ["$close", "$change"]).loc[INDEX]
    np.testing.assert_array_equal(index["$close"], market.index["close"].astype("f4"))


def test_spans_of_the_members(small, init):
    folder, market = small
    init(folder)
    inside = pd.DataFrame(False, index=market.calendar, columns=market.symbols)
    for symbol, spans in D.list_instruments(D.instruments("csi300")).items():
        for first, last in spans:
            inside.loc[first:last, symbol] = True
    np.testing.assert_array_equal(inside.to_numpy(), market.members)
    assert INDEX not in D.list_instruments(D.instruments("all"))


def test_same_seed_same_bytes(small, tmp_path, digest):
    folder, _ = small
    for name, seed in (("again", 3), ("other", 4)):
        write_market(tmp_path / name, stocks=20, days=300, seed=seed)
    assert digest(folder) == digest(tmp_path / "again")
    mine, other = digest(folder), digest(tmp_path / "other")
    assert mine["features/sh600001/close.day.bin"] != other["features/sh600001/close.day.bin"]


def test_calendar(market):
    assert market.calendar[0] == pd.Timestamp("2014-09-01")
    assert market.calendar[-1].year == 2017
    assert market.calendar[-1].month in (8, 9, 10)
    assert (market.calendar.day_of_week < 5).all()
    assert not set(market.calendar.strftime("%m-%d")) & {"01-01", "02-10", "05-01", "10-01", "10-07"}


def test_listing(market):
    assert len(set(market.symbols)) == 150
    assert (~market.listed[0]).sum() == 15
    assert (~market.listed[-1]).sum() == 1
    assert (np.diff(market.listed.astype(int), axis=0) != 0).sum() == 16
    suspended = market.listed & ~trading(market)
    assert 0.01 < suspended.sum() / market.listed.sum() < 0.05


def test_which_fields_are_there_on_which_days(market):
    on = trading(market)
    for name, values in market.fields.items():
        if name == "change":
            there = on & ~first_days(market)
        elif name == "csi300_weight":
            there = market.members
        else:
            there = on if name in TRADED else market.listed
        np.testing.assert_array_equal(~np.isnan(values), there, err_msg=name)


def test_price_relations(market):
    on = trading(market)
    for dtype in ("f8", "f4"):
        prices = {name: market.fields[name].astype(dtype)[on] for name in ("open", "high", "low", "close", "vwap")}
        between = np.stack([prices["open"], prices["close"], prices["vwap"]])
        assert (prices["low"] <= between.min(axis=0)).all()
        assert (prices["high"] >= between.max(axis=0)).all()
    for name in ("open", "high", "low", "close"):
        fen = raw(market, name)[on] * 100
        np.testing.assert_allclose(fen, fen.round(), atol=1e-6)
        assert fen.min() > 99.99


def test_limits(market):
    before = last_close(market) / market.fields["factor"]
    for name in ("open", "high", "low", "close"):
        moved = np.abs(raw(market, name) - before)
        assert np.nanmax(moved - 0.1 * before) <= 0.005 + 1e-9
    locked = np.abs(np.abs(raw(market, "close") - before) - 0.1 * before) <= 0.005
    assert locked.sum() > 20


def test_volume_amount_turnover(market):
    fields = market.fields
    np.testing.assert_allclose(fields["vwap"] * fields["volume"], fields["amount"], rtol=1e-12)
    shares = fields["volume"] * fields["factor"]
    assert np.nanmax(np.abs(shares / 100 - np.round(shares / 100))) < 1e-6
    floating = fields["float_mv"] / raw(market, "close")
    np.testing.assert_allclose(fields["turnover"], shares / floating, rtol=1e-9)
    assert 0 < np.nanmin(fields["turnover"]) < np.nanmedian(fields["turnover"]) < 0.05


def test_change_and_factor(market):
    change, factor = market.fields["change"], market.fields["factor"]
    np.testing.assert_allclose(change, market.fields["close"] / last_close(market) - 1, atol=1e-12)
    step = factor[1:] / factor[:-1]
    moves = step[~np.isnan(step) & (step != 1)]
    assert (moves > 1).all()
    assert {1.5, 2.0} <= set(moves.round(6))  # splits
    assert ((moves > 1.005) & (moves < 1.04)).sum() > 100  # dividends
    assert len(moves) / np.isfinite(step).sum() < 0.01
    # the raw price falls with a split, the adjusted return does not know of it
    split = np.vstack([np.zeros_like(step[:1]), step]) > 1.4
    assert np.nanmax(raw(market, "close")[split] / (last_close(market) / last_close(market, "factor"))[split]) < 0.75
    assert np.abs(change[split]).max() < 0.102


def test_industry_is_dated(market):
    industry = market.fields["industry"]
    codes = np.unique(industry[~np.isnan(industry)])
    assert codes.tolist() == list(range(1, 16))
    moved = [i for i, column in enumerate(industry.T) if len(np.unique(column[~np.isnan(column)])) > 1]
    assert len(moved) == 2


def test_members(market):
    assert not (market.members & ~market.listed).any()
    share = market.members.sum(axis=1) / market.listed.sum(axis=1)
    assert 0.6 < share.min() <= share.max() < 0.75
    turned = np.flatnonzero((market.members[1:] != market.members[:-1]).any(axis=1)) + 1
    left = np.flatnonzero(market.listed[1:].sum(axis=1) < market.listed[:-1].sum(axis=1)) + 1
    reviews = [t for t in turned if t not in left]
    assert len(reviews) >= 5  # six reviews, and one may find nothing to change
    assert all(market.calendar[t].month in (6, 12) and market.calendar[t].day <= 5 for t in reviews)
    entries = (market.members[1:] & ~market.members[:-1]).sum()
    assert entries > 6


def test_members_are_chosen_by_the_past(market):
    t = next(t for t in range(1, 750) if market.calendar[t].month == 6 and market.calendar[t - 1].month == 5)
    seasoned = market.listed[:t].sum(axis=0) >= 60
    size = np.nanmean(market.fields["float_mv"][t - 120 : t, seasoned], axis=0)
    chosen = market.members[t, seasoned]
    assert size[chosen].min() >= size[~chosen].max()
    assert not market.members[t, ~seasoned].any()


def test_index_weights_and_return(market):
    closing = market.fields["csi300_weight"]
    np.testing.assert_allclose(np.nansum(closing, axis=1), 1)
    np.testing.assert_array_equal(~np.isnan(closing), market.members)
    held = market.fields["float_mv"] * market.members
    np.testing.assert_allclose(np.nan_to_num(closing), np.nan_to_num(held) / np.nansum(held, axis=1)[:, None])
    mv = market.fields["float_mv"][:-1] * market.members[1:]
    weights = np.vstack([mv[:1], np.nan_to_num(mv) / np.nansum(mv, axis=1)[:, None]])  # the first day has no change
    weighted = np.nansum(weights * np.nan_to_num(market.fields["change"]), axis=1)
    close = market.index["close"].to_numpy()
    np.testing.assert_allclose(close[1:] / close[:-1] - 1, weighted[1:], atol=1e-12)
    np.testing.assert_allclose(market.index["change"][1:], weighted[1:], atol=1e-12)
    between = market.index[["open", "close", "vwap"]]
    assert (market.index["low"] <= between.min(axis=1)).all()
    assert (market.index["high"] >= between.max(axis=1)).all()


def test_companies(market):
    fields, on = market.fields, trading(market)
    np.testing.assert_allclose((fields["shares"] * fields["close"])[on], fields["total_mv"][on])
    assert (fields["float_mv"][on] <= fields["total_mv"][on]).all()
    assert (fields["total_mv"][on] * 0.3 <= fields["float_mv"][on] * (1 + 1e-12)).all()
    assert (fields["book"][market.listed] > 0).all()
    assert 0.02 < (fields["earnings_ttm"][market.listed] < 0).mean() < 0.3  # some companies lose money
    changes = (np.diff(fields["book"], axis=0) != 0) & market.listed[1:] & market.listed[:-1]
    quarter = market.calendar.to_period("Q")
    assert set(np.flatnonzero(changes.any(axis=1)) + 1) == set(np.flatnonzero(quarter[1:] != quarter[:-1]) + 1)


def test_the_label_is_qlibs(small, init):
    folder, market = small
    init(folder)
    got = D.features(market.symbols, ["Ref($vwap, -2) / Ref($vwap, -1) - 1"]).iloc[:, 0].unstack("instrument")
    want = pd.DataFrame(market.label, index=market.calendar, columns=market.symbols)[got.columns]
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"stocks": 9}, "at least 10 stocks"),
        ({"days": 39}, "40 days"),
        ({"seed": -1}, "seed -1 is negative"),
        ({"start": "soon"}, "'soon' is no date"),
        ({"start": ""}, "'' is no date"),
    ],
)
def test_impossible_markets(wrong, says):
    with pytest.raises(ConfigError, match=says):
        simulate(**{"stocks": 10, "days": 40} | wrong)


@pytest.mark.parametrize(("stocks", "seed"), [(10, 0), (10, 1), (11, 2), (40, 3)])
def test_the_smallest_markets(stocks, seed):
    market = simulate(stocks, 40, seed)
    assert market.members.any(axis=1).all()
    assert not np.isnan(market.index["close"]).any()
    assert np.isfinite(market.signal[trading(market)]).all()

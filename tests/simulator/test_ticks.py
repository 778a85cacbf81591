from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlib_ext.errors import ConfigError, ProviderError
from qlib_ext.simulator import ticks
from qlib_ext.simulator.informed import informed_flow
from qlib_ext.simulator.simulate import simulate, write_market
from qlib_ext.simulator.ticks import draw_day, write_ticks
from qlib_ext.ticks.bars import minute_bars
from qlib_ext.ticks.check import FAULTS, check_batch, check_reconciled, check_rows
from qlib_ext.ticks.schema import MINUTES, ORDERS, TRADES

SMALL = {"stocks": 10, "days": 40, "seed": 0}
TICKS_DAYS = 3
SCHEMAS = {"minute": MINUTES, "trades": TRADES, "orders": ORDERS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("ticks") / "t"
    assert write_ticks(place, **SMALL, ticks_days=TICKS_DAYS)
    return place


@pytest.fixture(scope="module")
def market():
    return simulate(**SMALL)


def frames(folder, part):
    return {place.name: pl.read_parquet(place / "*.parquet") for place in sorted((folder / part).iterdir())}


def as_traded(market, field):
    return pd.DataFrame(market.fields[field] / market.fields["factor"], market.calendar, market.symbols)


def test_one_partition_a_day(folder, market):
    names = [f"date={day:%Y-%m-%d}" for day in market.calendar]
    assert list(frames(folder, "minute")) == names
    assert list(frames(folder, "trades")) == list(frames(folder, "orders")) == names[-TICKS_DAYS:]


def test_minute_bars_agree_with_day_bars(folder, market):
    every = pl.concat(
        frame.with_columns(day=pl.lit(pd.Timestamp(name.removeprefix("date="))))
        for name, frame in frames(folder, "minute").items()
    )
    days = (
        every.group_by("day", "instrument", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume", "amount").sum(),
        )
        .to_pandas()
        .pivot(index="day", columns="instrument")
    )
    for name in ("open", "high", "low", "close"):
        want = as_traded(market, name).round(2)  # yuan to the fen
        pd.testing.assert_frame_equal(days[name], want, check_names=False, check_freq=False, check_index_type=False)
    shares = market.fields["volume"] * market.fields["factor"]
    np.testing.assert_array_equal(days["volume"], np.round(shares))  # NaN where nobody trades: no rows
    gap = np.abs(days["amount"] - market.fields["amount"])
    assert gap.max().max() <= 0.5 + 1e-6
    factor = market.fields["factor"]
    assert np.nanmax(factor) > 1.4  # a split
    assert np.isnan(market.fields["close"][market.listed]).any()


def test_the_rows_keep_the_contract(folder):
    for part, schema in SCHEMAS.items():
        for frame in frames(folder, part).values():
            assert dict(frame.schema) == schema
            check_rows(frame, FAULTS[part], part)
            check_batch(frame, part, source=part)
            assert frame["instrument"].is_sorted()


def test_minute_bars_are_those_of_the_trades(folder):
    minute, trades = frames(folder, "minute"), frames(folder, "trades")
    for name, rows in trades.items():
        check_reconciled(rows, minute[name])
        assert minute[name].equals(minute_bars(rows))


def test_prices_are_whole_fen_and_volumes_whole_lots(folder):
    for part in ("trades", "orders"):
        rows = pl.concat(frames(folder, part).values())
        assert (rows["volume"] % 100 == 0).all()
        np.testing.assert_array_equal(rows["price"], rows["price"].round(2))
    trades = pl.concat(frames(folder, "trades").values())
    np.testing.assert_allclose(trades["amount"], trades["price"] * trades["volume"], rtol=1e-12)


def test_when_there_is_trading(folder):
    trades = pl.concat(frames(folder, "trades").values()).with_columns(at=pl.col("time").cast(pl.String))
    at, auction = trades["at"].str.slice(0, 8), trades["side"] == "N"
    assert set(at.filter(auction)) == {"15:00:00"}
    going = at.filter(~auction)
    assert going.min() >= "09:30:00"
    assert going.max() < "14:57:00"
    assert not going.is_between(pl.lit("11:30:00"), pl.lit("12:59:59")).any()
    orders = pl.concat(frames(folder, "orders").values())["time"].cast(pl.String)
    assert orders.min() >= "09:30:00"
    assert orders.max() < "15:00:00"
    assert not orders.is_between(pl.lit("11:30:00"), pl.lit("12:59:59.999")).any()
    minutes = pl.concat(frames(folder, "minute").values())["time"].cast(pl.String)
    assert set(minutes.filter(minutes > "14:56:59")) == {"14:59:00"}


def test_trades_refer_to_orders(folder):
    for day, trades in frames(folder, "trades").items():
        orders = frames(folder, "orders")[day]
        adds, cancels = orders.filter(kind="add"), orders.filter(kind="cancel")
        assert adds["order_id"].is_unique().all()
        assert set(cancels["order_id"]) <= set(adds["order_id"])
        for key, side, sign in (("buy_order", "B", 1), ("sell_order", "S", -1)):
            both = trades.join(adds, left_on=["instrument", key], right_on=["instrument", "order_id"])
            assert len(both) == len(trades)
            assert (both["side_right"] == side).all()
            assert (both["time_right"] <= both["time"]).all()
            assert ((both["price_right"] - both["price"]) * sign >= 0).all()
            filled = both.group_by(key).agg(pl.col("volume").sum(), pl.col("volume_right").first())
            assert (filled["volume"] <= filled["volume_right"]).all()


def test_the_same_parameters_give_the_same_bytes(folder, tmp_path, digest):
    for name, change in (("again", {}), ("few", {"ticks_days": 0}), ("other", {"seed": 1})):
        write_ticks(tmp_path / name, **SMALL | {"ticks_days": TICKS_DAYS} | change)
    mine = digest(folder)
    assert digest(tmp_path / "again") == mine
    bars = {name: code for name, code in mine.items() if name.startswith("minute")}
    assert digest(tmp_path / "few").items() - bars.items() == {("market.json", digest(tmp_path / "few")["market.json"])}
    assert not digest(tmp_path / "other").items() & mine.items()


def test_a_day_by_itself(folder, market):
    """Days are drawn independently: one alone is what it is among all."""
    flow = informed_flow(market.parts, SMALL["seed"])
    t = len(market.calendar) - 2
    for part, frame in draw_day(market, flow, t, SMALL["seed"]).items():
        assert frame.equals(frames(folder, part)[f"date={market.calendar[t]:%Y-%m-%d}"])
        assert not frame.equals(draw_day(market, flow, t, SMALL["seed"] + 1)[part])


def test_a_day_on_which_nobody_trades(market):
    flow = informed_flow(market.parts, 0)
    fields = {name: values.copy() for name, values in market.fields.items()}
    for name in ("open", "high", "low", "close", "volume", "amount"):
        fields[name][7] = np.nan
    assert draw_day(dataclasses.replace(market, fields=fields), flow, 7, 0) == {}


def test_it_is_written_once(folder, digest):
    before = digest(folder)
    written = (folder / "market.json").stat().st_mtime_ns
    assert not write_ticks(folder, **SMALL, ticks_days=TICKS_DAYS)
    assert (folder / "market.json").stat().st_mtime_ns == written
    with pytest.raises(ProviderError, match=r"not empty.*--overwrite"):
        write_ticks(folder, **SMALL)
    assert digest(folder) == before


def test_overwrite(tmp_path):
    write_ticks(tmp_path / "t", **SMALL, ticks_days=1)
    assert write_ticks(tmp_path / "t", **SMALL, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == ["market.json", "minute"]
    write_market(tmp_path / "m", **SMALL)
    with pytest.raises(ProviderError, match=r"3 entries that are no part of a ticks folder, the first 'calendars'"):
        write_ticks(tmp_path / "m", **SMALL, overwrite=True)


def test_no_place_to_write(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ProviderError, match=r"is a file\. Name another place for the ticks folder"):
        write_ticks(tmp_path / "file", **SMALL)
    with pytest.raises(ProviderError, match=r"The ticks folder .* cannot be written"):
        write_ticks(tmp_path / "file" / "t", **SMALL)


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def breaks_off(market, flow, t, *args, **options):
        if t == 2:
            raise KeyboardInterrupt
        return draw_day(market, flow, t, *args, **options)

    monkeypatch.setattr(ticks, "draw_day", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        write_ticks(tmp_path / "t", 10, 40)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"ticks_days": 41}, "Trades of 41 days are asked for, and the market has 40"),
        ({"ticks_days": -1}, "Trades of -1 days"),
        ({"stocks": 3}, "at least 10 stocks"),
        ({"start": "soon"}, "'soon' is no date"),
    ],
)
def test_bad_parameters(tmp_path, wrong, says):
    with pytest.raises(ConfigError, match=says):
        write_ticks(tmp_path / "t", **{"stocks": 10, "days": 40} | wrong)
    assert list(tmp_path.iterdir()) == []

"""Bad partitions: each is a clear error that names the file and, where there is one, the row group."""

from __future__ import annotations

from datetime import time

import polars as pl
import pyarrow.parquet as pq
import pytest

from qlib_ext.errors import DataError
from qlib_ext.ticks.bars import minute_bars
from qlib_ext.ticks.partitions import days_in
from tests.ticks.days import DAYS, build, orders_of, put, trades_of

ROWS = 150  # of a row group


def with_fault(frame: pl.DataFrame, row: int, **fault) -> pl.DataFrame:
    """A frame with other values in one row."""
    at = pl.int_range(pl.len()) == row
    changes = {name: pl.when(at).then(pl.lit(value)).otherwise(name) for name, value in fault.items()}
    return frame.with_columns(**changes).cast(dict(frame.schema))


def test_days_are_found_however_they_are_written(tmp_path):
    for name in ("20230202", "2023-02-01"):
        put(tmp_path, name, trades_of(0), trades_of(1))
    (tmp_path / "_SUCCESS").touch()
    found = days_in(tmp_path, "trades")
    assert list(found) == ["2023-02-01", "2023-02-02"]
    assert [file.name for file in found["2023-02-02"]] == ["0.parquet", "1.parquet"]


def test_a_day_that_is_there_twice(ticks, provider):
    put(ticks["orders"], "20230201", orders_of(0))
    with pytest.raises(DataError, match=r"orders of 2023-02-01 are there twice, in .*date=2023-02-01 and .*=20230201"):
        build(provider, ticks)


@pytest.mark.parametrize("name", ["date=today", "date=2023-02-30", "date=2023-1-11", "date=2023111"])
def test_a_partition_that_names_no_day(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=f"{name} names no day"):
        days_in(tmp_path, "trades")


def test_folders_without_partitions(tmp_path, ticks, provider):
    with pytest.raises(DataError, match=r"holds no partition of trades"):
        days_in(tmp_path, "trades")
    with pytest.raises(DataError, match=r"folder of trades .*nowhere does not exist"):
        days_in(tmp_path / "nowhere", "trades")
    with pytest.raises(DataError, match=rf"2024-01-01 to the last; trades {DAYS[0]} to {DAYS[2]}, orders"):
        build(provider, ticks, start="2024-01-01")


def test_a_day_that_one_input_lacks(ticks, provider):
    put(ticks["orders"], "2023-02-03", orders_of(3))
    with pytest.raises(DataError, match=r"trades lack 1 of 4 days .*first 2023-02-03"):
        build(provider, ticks)


@pytest.mark.parametrize("frames", [[], [trades_of(0).clear()], [trades_of(0).clear()] * 2])
def test_a_day_without_trades(ticks, provider, frames):
    for file in (ticks["trades"] / f"date={DAYS[1]}").iterdir():
        file.unlink()
    put(ticks["trades"], DAYS[1], *frames)
    with pytest.raises(DataError, match=rf"{DAYS[1]} has a partition of trades without a row \({len(frames)} files\)"):
        build(provider, ticks)


def test_one_of_several_files_may_be_empty(ticks, provider):
    for frames in ([trades_of(0), trades_of(0).clear()], [trades_of(0).clear(), trades_of(0)]):
        put(ticks["trades"], DAYS[0], *frames)
        assert build(provider, ticks, end=DAYS[0]).computed == 1


@pytest.mark.parametrize("size", [0, 3, 1000])
def test_a_truncated_file(ticks, provider, size):
    build(provider, ticks, end=DAYS[0])
    (file,) = put(ticks["trades"], DAYS[1], trades_of(1))
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(DataError, match=rf"{file} is no readable Parquet file \(.+\): copy or convert it again"):
        build(provider, ticks)
    put(ticks["trades"], DAYS[1], trades_of(1))
    assert build(provider, ticks).kept == 1


def test_damage_in_the_middle_of_a_file(ticks, provider):
    _, file = put(ticks["trades"], DAYS[1], trades_of(1), trades_of(2), rows=ROWS)
    content, column = bytearray(file.read_bytes()), pq.read_metadata(file).row_group(1).column(2)
    end = column.data_page_offset + 100
    content[column.data_page_offset : end] = bytes(100)
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"{file}, row group 1 cannot be read"):
        build(provider, ticks)


def test_missing_columns(ticks, provider):
    (file,) = put(ticks["trades"], DAYS[0], trades_of(0).drop("amount", "side"))
    with pytest.raises(DataError, match=rf"{file} lacks 2 of 8 columns: amount, side"):
        build(provider, ticks)


@pytest.mark.parametrize(
    ("name", "kind"), [("price", pl.String), ("volume", pl.Float64), ("time", pl.String), ("buy_order", pl.Int32)]
)
def test_wrong_types(ticks, provider, name, kind):
    (file,) = put(ticks["trades"], DAYS[0], trades_of(0).with_columns(pl.col(name).cast(kind)))
    with pytest.raises(DataError, match=rf"{file} has 1 columns of another type; '{name}' is {kind}"):
        build(provider, ticks)


@pytest.mark.parametrize(
    ("source", "fault", "said"),
    [
        ("trades", {"volume": -100}, "volume is not above 0"),
        ("trades", {"volume": 0}, "volume is not above 0"),
        ("trades", {"price": 0.0}, "price is not above 0"),
        ("trades", {"price": float("nan")}, "price is not above 0"),
        ("trades", {"price": float("inf")}, "price is not above 0"),
        ("trades", {"price": None}, "price is missing"),
        ("trades", {"amount": -1.0}, "amount is not above 0"),
        ("trades", {"time": time(12)}, "time is outside the session"),
        ("trades", {"time": time(15, 5)}, "time is outside the session"),
        ("trades", {"side": "X"}, "side is none of B, S, N"),
        ("orders", {"volume": -1}, "volume is not above 0"),
        ("orders", {"price": 0.0, "kind": "add"}, "price is not above 0"),
        ("orders", {"time": time(9, 14, 59)}, "time is outside the session"),
        ("orders", {"side": "N"}, "side is none of B, S"),
        ("orders", {"kind": "A"}, "kind is none of add, cancel"),
        ("minute", {"open": 0.0}, "open is not above 0"),
        ("minute", {"close": 0.0}, "close is not above 0"),
        ("minute", {"high": 0.01}, "high is below low"),
        ("minute", {"volume": -1}, "volume is negative"),
        ("minute", {"amount": float("nan")}, "amount is negative"),
        ("minute", {"count": -1}, "count is negative"),
        ("minute", {"time": time(9, 25)}, "time is outside the session"),
    ],
)
def test_a_wrong_row(ticks, provider, tmp_path, source, fault, said):
    ticks["minute"] = tmp_path / "minute"
    for seed, day in enumerate(DAYS):
        put(ticks["minute"], day, minute_bars(trades_of(seed)))
    draw = {"trades": trades_of, "orders": orders_of, "minute": lambda seed: minute_bars(trades_of(seed))}[source]
    wrong = with_fault(with_fault(draw(2), ROWS, **fault), ROWS + 10, **fault)  # the first of its row group
    _, file = put(ticks[source], DAYS[1], draw(1), wrong, rows=ROWS)
    first = f"first in instrument {wrong['instrument'][ROWS]}, time "
    with pytest.raises(DataError, match=rf"{file}, row group 1: {said} in 2 rows of the day, {first}"):
        build(provider, ticks)


def test_cancels_without_a_price_and_the_opening_auction_are_right(ticks, provider):
    orders = with_fault(orders_of(0), 0, price=0.0, kind="cancel", time=time(9, 15))
    put(ticks["orders"], DAYS[0], orders)
    assert build(provider, ticks, end=DAYS[0]).computed == 1


def test_a_minute_bar_without_trades_is_right(ticks, provider, tmp_path):
    bars = with_fault(minute_bars(trades_of(0)), 5, volume=0, amount=0.0, count=0)
    put(tmp_path / "minute", DAYS[0], bars)
    assert build(provider, {"minute": tmp_path / "minute"}).computed == 1

"""Small files as the exchanges write them, text in every column, into the schema; and what is refused."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import polars as pl
import pytest

from qlib_ext.errors import DataError
from qlib_ext.ticks import shanghai, shenzhen
from qlib_ext.ticks.schema import ORDERS, TRADES, check_schema

DATE = "2023-02-01"


def shanghai_trades(**changes):
    """Four trades in one layout: the opening auction, two active sides, the closing auction."""
    return pl.DataFrame(
        {
            "SecurityID": ["600519"] * 4,
            "TradTime": ["09:25:00.940", "09:30:00.010", "11:30:00.000", "15:00:01.060"],
            "TradPrice": ["1855", "1801.00999999999999", "5.480000000000002", "1844"],
            "TradVolume": ["100", "200", "300", "400"],
            "TradeMoney": ["185500", "360202", "1644", "737600"],
            "TradeBuyNo": ["5", "9", "6", "7"],
            "TradeSellNo": ["6", "8", "9", "3"],
            "TradeBSFlag": ["N", "B", "S", "N"],
            "BizIndex": ["11", "12", "13", "14"],
        }
    ).with_columns(**{name: pl.Series(values) for name, values in changes.items()})


def shanghai_orders(**changes):
    return pl.DataFrame(
        {
            "MDDate": ["2023.02.01"] * 3,
            "MDTime": ["09:20:00.030", "09:30:00.100", "14:59:00.100"],
            "OrderType": ["2", "2", "10"],
            "OrderPrice": ["10.5", "10.6", "10.6"],
            "OrderQty": ["100", "200", "150"],
            "OrderBSFlag": ["2", "1", "1"],
            "ApplSeqNum": ["1", "2", "3"],
            "OrderNO": ["7", "8", "8"],
            "SecurityID": ["600536.SH"] * 3,
        }
    ).with_columns(**{name: pl.Series(values) for name, values in changes.items()})


def shenzhen_trades(**changes):
    """A cancel of the opening auction, fills with an active buyer and seller, a cancel, and the closing auction."""
    return pl.DataFrame(
        {
            "SecurityID": ["000001"] * 5,
            "TradeTime": [f"2023.02.01T{at}" for at in _TIMES],
            "TradePrice": ["0", "14.699999999999999", "14.71", "0", "14.7"],
            "TradeQty": ["100", "200", "300", "400", "500"],
            "BidApplSeqNum": ["5", "9", "6", "0", "12"],
            "OfferApplSeqNum": ["0", "8", "10", "11", "3"],
            "ExecType": ["4", "F", "F", "4", "F"],
            "ApplSeqNum": ["11", "12", "13", "14", "15"],
        }
    ).with_columns(**{name: pl.Series(values) for name, values in changes.items()})


_TIMES = ["09:15:00.000", "09:30:00.010", "13:00:00.000", "14:00:00.000", "15:00:00.000"]


@pytest.fixture(params=["csv", "parquet"])
def put(request, tmp_path):
    """Write a table in the format under test, and say where."""

    def write(table):
        path = tmp_path / f"ticks.{request.param}"
        table.write_csv(path) if request.param == "csv" else table.write_parquet(path)
        return path

    return write


def test_shanghais_trades(put):
    reading = shanghai.read_trades(put(shanghai_trades()), DATE)
    check_schema(reading.frame, TRADES, "trades")
    assert reading.frame.rows() == [
        ("SH600519", time(9, 30, 0, 10_000), 1801.01, 200, 360202.0, 9, 8, "B"),
        ("SH600519", time(11, 30), 5.48, 300, 1644.0, 6, 9, "S"),
        ("SH600519", time(15, 0, 1, 60_000), 1844.0, 400, 737600.0, 7, 3, "N"),
    ]
    assert reading.dropped == {"opening auction": (1, 100)}


def test_shanghais_orders(put):
    reading = shanghai.read_orders(put(shanghai_orders()), DATE)
    check_schema(reading.frame, ORDERS, "orders")
    assert reading.frame.rows() == [
        ("SH600536", time(9, 30, 0, 100_000), 10.6, 200, "B", 8, "add"),
        ("SH600536", time(14, 59, 0, 100_000), 10.6, 150, "B", 8, "cancel"),
    ]
    assert reading.dropped == {"opening auction": (1, 100)}


def test_both_codes_of_shanghais_orders_mean_the_same(put):
    letters = shanghai_orders(OrderType=["A", "A", "D"], OrderBSFlag=["S", "B", "B"])
    ours = shanghai.read_orders(put(letters), DATE).frame
    assert ours.equals(shanghai.read_orders(put(shanghai_orders()), DATE).frame)


def test_both_codes_of_shanghais_active_sides_mean_the_same(put):
    numbers = shanghai.read_trades(put(shanghai_trades(TradeBSFlag=["0", "1", "2", "0"])), DATE).frame
    assert numbers.equals(shanghai.read_trades(put(shanghai_trades()), DATE).frame)


def test_an_order_without_a_side_is_an_error(put):
    with pytest.raises(DataError, match="side cannot be read in 1 rows"):
        shanghai.read_orders(put(shanghai_orders(OrderBSFlag=["2", "N", "1"])), DATE)


def test_shenzhens_trades(put):
    reading = shenzhen.read_trades(put(shenzhen_trades()), DATE)
    check_schema(reading.frame, TRADES, "trades")
    assert reading.frame.rows() == [
        ("SZ000001", time(9, 30, 0, 10_000), 14.7, 200, 2940.0, 9, 8, "B"),
        ("SZ000001", time(13), 14.71, 300, 4413.0, 6, 10, "S"),
        ("SZ000001", time(15), 14.7, 500, 7350.0, 12, 3, "N"),
    ]
    assert reading.dropped == {"cancel": (2, 500)}


def test_price_0_times_outside_and_other_securities_are_dropped_and_counted(put):
    table = shanghai_trades(
        SecurityID=["510300", "600519", "600519", "600519"],
        TradTime=["09:30:00.000", "12:00:00.000", "13:30:00.000", "14:00:00.000"],
        TradPrice=["4", "1801.01", "0", "1844"],
    )
    reading = shanghai.read_trades(put(table), DATE)
    assert reading.frame["volume"].to_list() == [400]
    assert reading.dropped == {"not an A share": (1, 100), "price 0": (1, 300), "outside the session": (1, 200)}


def test_a_file_of_both_exchanges_gives_each_reader_its_own(put):
    both = pl.concat(
        [
            shenzhen_trades().with_columns(Market=pl.lit("SZ")),
            shenzhen_trades(
                SecurityID=["600000"] * 5,
                TradePrice=["7.4"] * 5,
                TradeMoney=["740", "1480", "2220", "2960", "3700"],
                TradeBSFlag=["N", "B", "B", "S", "N"],
            ).with_columns(Market=pl.lit("SH")),
        ],
        how="diagonal",
    )
    path = put(both)
    north, south = shenzhen.read_trades(path, DATE), shanghai.read_trades(path, DATE)
    assert set(north.frame["instrument"]) == {"SZ000001"}
    assert set(south.frame["instrument"]) == {"SH600000"}
    assert north.dropped["of the other exchange"] == south.dropped["of the other exchange"] == (5, 1500)


def test_rows_out_of_sequence_are_put_in_order_and_repeated_ones_dropped(put):
    shuffled = pl.concat([shanghai_trades()[[3, 1, 2, 0]], shanghai_trades()[[1]]])
    reading = shanghai.read_trades(put(shuffled), DATE)
    assert reading.frame.equals(shanghai.read_trades(put(shanghai_trades()), DATE).frame)
    assert reading.dropped["repeated"] == (1, 200)


BAD = {
    "times that go back": (
        {"BizIndex": ["11", "14", "13", "12"]},
        r"time goes back in 2 rows, first instrument SH600519",
    ),
    "a sequence number twice": ({"BizIndex": ["11", "12", "12", "13"]}, "one sequence number with two contents in 1 "),
    "negative volume": (
        {"TradVolume": ["100", "-200", "300", "400"]},
        r"volume is not above 0 in 1 rows, .*09:30:00.01",
    ),
    "negative price": ({"TradPrice": ["9", "-9", "9", "9"]}, "price is not above 0 in 1 rows"),
    "a word for a number": ({"TradPrice": ["9", "9", "nine", "9"]}, "price cannot be read in 1 rows"),
    "no time": ({"TradTime": ["9", "09:30:00.010", "11:30:00.000", "15:00:00.000"]}, "time cannot be read in 1 rows"),
    "an unknown side": ({"TradeBSFlag": ["N", "B", "X", "N"]}, "side cannot be read in 1 rows"),
    "another exchange": ({"SecurityID": ["000001"] * 4}, "a stock of SZ in 4 rows, .*: read it with the reader of SZ"),
    "another suffix": ({"SecurityID": ["600519.SZ"] * 4}, "a stock of SZ in 4 rows"),
    "another day": ({"MDDate": ["2023.02.01"] * 3 + ["2023.02.02"]}, "the date is not 2023-02-01 in 1 rows"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_named(put, case):
    changes, message = BAD[case]
    path = put(shanghai_trades(**changes))
    with pytest.raises(DataError, match=message) as error:
        shanghai.read_trades(path, DATE)
    assert str(path) in str(error.value)


def test_a_stamp_of_another_day_and_an_unknown_execution_are_named(put):
    with pytest.raises(DataError, match="the date is not 2023-02-02 in 5 rows"):
        shenzhen.read_trades(put(shenzhen_trades()), "2023-02-02")
    with pytest.raises(DataError, match="execution cannot be read in 1 rows"):
        shenzhen.read_trades(put(shenzhen_trades(ExecType=["4", "F", "5", "4", "F"])), DATE)


def test_missing_columns_and_damaged_files_are_named(put, tmp_path):
    with pytest.raises(DataError, match=r"lacks 2 columns: amount \(TradeMoney\); sequence \(BizIndex or ApplSeqNum\)"):
        shanghai.read_trades(put(shanghai_trades().drop("TradeMoney", "BizIndex")), DATE)
    torn = tmp_path / "torn.parquet"
    shanghai_trades().write_parquet(torn)
    torn.write_bytes(torn.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"torn.parquet cannot be read"):
        shanghai.read_trades(torn, DATE)
    with pytest.raises(DataError, match=r"gone.csv cannot be read"):
        shanghai.read_trades(tmp_path / "gone.csv", DATE)


AT = [datetime(2023, 2, 1, 9, 25, 0, 940_000), datetime(2023, 2, 1, 9, 30, 0, 10_000)]
AT += [datetime(2023, 2, 1, 11, 30), datetime(2023, 2, 1, 15, 0, 1, 60_000)]
FORMS = {
    "milliseconds": [f"{at:%H:%M:%S.%f}"[:-3] for at in AT],
    "microseconds": [f"{at:%H:%M:%S.%f}" for at in AT],
    "day and milliseconds": [at.isoformat(timespec="milliseconds") for at in AT],
    "day and nanoseconds": [f"{at:%Y.%m.%d %H:%M:%S.%f}000" for at in AT],
    "day and seconds": [f"{at:%Y-%m-%d %H:%M:%S}" for at in AT],
    "a number": [int(f"{at:%H%M%S%f}"[:-3]) for at in AT],
    "a number of seconds": [int(f"{at:%H%M%S}") for at in AT],
    "a number with the day": [int(f"{at:%Y%m%d%H%M%S%f}"[:-3]) for at in AT],
    "Time": [at.time() for at in AT],
    "Duration": [
        timedelta(hours=at.hour, minutes=at.minute, seconds=at.second, microseconds=at.microsecond) for at in AT
    ],
    "Datetime of the day in us": pl.Series(AT, dtype=pl.Datetime("us")),
    "Datetime of the day in ns": pl.Series(AT, dtype=pl.Datetime("ns")),
    "Datetime of the day in UTC": pl.Series(AT).dt.replace_time_zone("Asia/Shanghai").dt.convert_time_zone("UTC"),
}


@pytest.mark.parametrize("form", FORMS)
def test_times_in_every_form(tmp_path, form):
    shanghai_trades(TradTime=FORMS[form]).write_parquet(tmp_path / "t.parquet")
    expected = [at.time() if not form.endswith(" seconds") else at.time().replace(microsecond=0) for at in AT[1:]]
    assert shanghai.read_trades(tmp_path / "t.parquet", DATE).frame["time"].to_list() == expected
    if "day" in form:
        with pytest.raises(DataError, match="the date is not 2023-02-02 in 4 rows"):
            shanghai.read_trades(tmp_path / "t.parquet", "2023-02-02")


@pytest.mark.parametrize("time", ["9:30:00.010", "1675215000010", "2023-02-01T01:30:00Z", "93", "noon"])
def test_a_time_in_another_form_is_told_with_those_that_are_read(put, time):
    table = shanghai_trades(TradTime=[time, *FORMS["milliseconds"][1:]])
    with pytest.raises(DataError, match=rf"time cannot be read in 1 rows, .*time {time}.*: write it as 09:30:00.010, "):
        shanghai.read_trades(put(table), DATE)


@pytest.mark.parametrize("span", [timedelta(days=1, hours=9), timedelta(seconds=-1)])
def test_a_duration_that_is_no_time_of_a_day(tmp_path, span):
    shanghai_trades(TradTime=[*FORMS["Duration"][:3], span]).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="time cannot be read in 1 rows"):
        shanghai.read_trades(tmp_path / "t.parquet", DATE)


@pytest.mark.parametrize("day", ["2023-02-01", "20230201", "2023.02.01", 20230201, date(2023, 2, 1)])
def test_days_in_every_form(tmp_path, day):
    shanghai_orders(MDDate=[day] * 3).write_parquet(tmp_path / "t.parquet")
    assert len(shanghai.read_orders(tmp_path / "t.parquet", DATE).frame) == 2
    with pytest.raises(DataError, match="the date is not 2023-02-02 in 3 rows"):
        shanghai.read_orders(tmp_path / "t.parquet", "2023-02-02")


@pytest.mark.parametrize("code", ["SH600519", "sh.600519", "600519.SH", "600519.XSHG"])
def test_a_code_with_its_exchange_is_an_a_share(put, code):
    assert shanghai.read_trades(put(shanghai_trades(SecurityID=[code] * 4)), DATE).frame["instrument"][0] == "SH600519"
    with pytest.raises(DataError, match="a stock of SH in 5 rows"):
        shenzhen.read_trades(put(shenzhen_trades(SecurityID=[code] * 5)), DATE)


@pytest.mark.parametrize("code", [1, 300, 3001])
def test_a_code_that_lost_its_leading_zeros_is_no_other_stock(put, code):
    with pytest.raises(DataError, match=rf"the code lost its leading zeros in 5 rows, .*security {code}, .*six digits"):
        shenzhen.read_trades(put(shenzhen_trades(SecurityID=[code] * 5)), DATE)


def test_a_file_in_gbk(tmp_path):
    text = shanghai_trades().with_columns(Symbol=pl.lit("股票")).write_csv()
    (tmp_path / "t.csv").write_bytes(text.encode("gbk"))
    assert len(shanghai.read_trades(tmp_path / "t.csv", DATE).frame) == 3


def test_a_value_that_cannot_be_read_is_shown_as_it_stands_in_the_file(put):
    with pytest.raises(DataError, match=r"price cannot be read in 1 rows, .*price nine"):
        shanghai.read_trades(put(shanghai_trades(TradPrice=["9", "9", "nine", "9"])), DATE)

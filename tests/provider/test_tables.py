"""A table of dated values becomes fields that Qlib reads, each value on its day or until the next."""

from __future__ import annotations

import math
import re
from datetime import timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.cli import main
from qlib_ext.errors import DataError, ProviderError
from qlib_ext.provider.names import instruments_with_field
from qlib_ext.provider.tables import add_fields, read_table
from qlib_ext.provider.writer import write_provider

DAYS = pd.bdate_range("2020-01-01", periods=8)  # Wednesday to Friday, the calendar of `tiny`
CODES = pl.DataFrame(
    {
        "instrument": ["SH600001", "SH600001", "sz000001", "BJ430017"],
        "start": ["2019-05-30", "2020-01-04", "2020-01-07", "2020-01-01"],  # before the calendar, a Saturday, a Tuesday
        "industry": ["370102", "220301", "110101", "410101"],
    }
)


def field(provider, symbol, name="industry"):
    """A field's values over the calendar, as Qlib's file storage understands a .bin file."""
    content = np.fromfile(provider / "features" / symbol.lower() / f"{name}.day.bin", dtype="<f4")
    values = pd.Series(np.nan, index=DAYS)
    values.iloc[int(content[0]) : int(content[0]) + len(content) - 1] = content[1:]
    return values


def test_a_value_stands_until_the_next(tiny):
    added = add_fields(tiny, CODES, ["industry"], date_column="start", hold=True, digits=2)
    assert (added.changed, added.instruments, added.unknown) == (2, 2, ["BJ430017"])
    assert field(tiny, "SH600001").tolist() == [37, 37, 37, 22, 22, 22, 22, 22]
    np.testing.assert_array_equal(field(tiny, "SZ000001"), [math.nan] * 4 + [11] * 4)
    assert not (tiny / "features/bj430017").exists()


def test_a_value_stands_on_its_day_alone(tiny):
    added = add_fields(tiny, CODES, ["industry"], date_column="start")
    assert (added.changed, added.off_calendar) == (1, 2)
    np.testing.assert_array_equal(field(tiny, "SZ000001"), [math.nan] * 4 + [110101] + [math.nan] * 3)


def test_an_empty_value_ends_what_stood(tiny):
    table = pl.DataFrame({"instrument": ["SH600001"] * 2, "date": ["2020-01-02", "2020-01-06"], "x": ["1.5", ""]})
    add_fields(tiny, table, ["x"], hold=True)
    np.testing.assert_array_equal(field(tiny, "SH600001", "x"), [math.nan, 1.5, 1.5] + [math.nan] * 5)


def test_the_same_table_again_changes_nothing_and_a_later_one_its_own_days(tiny):
    days = ["2020-01-02", "2020-01-03"]
    table = pl.DataFrame({"instrument": ["SH600001"] * 2, "date": days, "PE": [7.0, 8.0]})
    assert add_fields(tiny, table, ["PE"]).changed == 1
    with pytest.raises(ProviderError, match=r"has \$pe already"):
        add_fields(tiny, table, ["PE"])
    assert add_fields(tiny, table, ["PE"], overwrite=True).changed == 0
    add_fields(tiny, table.tail(1).with_columns(PE=9.0), ["PE"], overwrite=True)
    np.testing.assert_array_equal(field(tiny, "SH600001", "pe")[:3], [math.nan, 7, 9])


@settings(max_examples=30, deadline=None)
@given(
    rows=st.dictionaries(
        st.tuples(st.sampled_from(["SH600001", "SZ000001"]), st.integers(-3, 14)),
        st.one_of(st.none(), st.integers(0, 99)),
        min_size=1,
    ),
    hold=st.booleans(),
)
def test_equals_a_walk_through_the_days(tmp_path_factory, rows, hold):
    frame = pd.DataFrame({"close": 1.0}, index=DAYS)
    symbols = ["SH600001", "SZ000001"]
    tiny = write_provider(
        tmp_path_factory.mktemp("walk") / "tiny",
        DAYS,
        [(symbol, frame) for symbol in symbols],
        {"all": [(symbol, DAYS[0], DAYS[-1]) for symbol in symbols]},
    )
    dates = {key: DAYS[0].date() + timedelta(key[1]) for key in rows}
    table = pl.DataFrame(
        {"instrument": [key[0] for key in rows], "date": list(dates.values()), "x": list(rows.values())},
        schema={"instrument": pl.String, "date": pl.Date, "x": pl.Int64},
    )
    if not any(day <= DAYS[-1].date() if hold else day in DAYS.date for day in dates.values()):
        with pytest.raises(DataError, match="within the calendar"):
            add_fields(tiny, table, ["x"], hold=hold)
        return
    add_fields(tiny, table, ["x"], hold=hold)
    for symbol in symbols:
        own = {dates[key]: value for key, value in rows.items() if key[0] == symbol}
        walk = []
        for day in DAYS.date:
            known = [own[past] for past in sorted(own) if (past <= day if hold else past == day)]
            walk.append(math.nan if not known or known[-1] is None else known[-1])
        if symbol in instruments_with_field(tiny, "x"):
            np.testing.assert_array_equal(field(tiny, symbol, "x"), walk)
        else:
            assert all(map(math.isnan, walk))


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        ({}, {"columns": ["pe"]}, r"no column 'pe', it has instrument, date, x\.$"),
        ({}, {"date_column": "day"}, "no column 'day', .* with --date"),
        ({"date": ["2020-01-02", "2020-13-03"]}, {}, "1 of 2 rows .* 'date' are not a day .*, first '2020-13-03'"),
        ({"instrument": ["SH600001", None]}, {}, "column 'instrument' are not an instrument"),
        ({"x": ["1", "bank"]}, {}, "1 of 2 rows of the column 'x' are not a number, first 'bank'"),
        ({"x": [1.0, math.inf]}, {}, "not a number, first inf"),
        ({"date": ["2020-01-02"] * 2}, {}, "several rows of SH600001 on 2020-01-02"),
        ({"instrument": ["600001", "000001"]}, {}, "None of the table's 2 instruments, such as 600001, is in"),
        ({"date": ["2030-01-02", "2030-01-03"]}, {}, "No row lies within the calendar of .*, 2020-01-01 to 2020-01-10"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used(tiny, digest, change, options, says):
    table = {"instrument": ["SH600001"] * 2, "date": ["2020-01-02", "2020-01-03"], "x": ["1", "2"]} | change
    before = digest(tiny)
    with pytest.raises(DataError, match=says):
        add_fields(tiny, pl.DataFrame(table), **({"columns": ["x"]} | options))
    assert digest(tiny) == before


def test_a_table_of_instants_lands_on_the_exchanges_days(tiny):
    """Midnight in Shanghai is the day before in UTC: a value on that day would be one that nobody knew."""
    midnight = pl.Series([day.to_pydatetime() for day in DAYS[3:5]]).dt.replace_time_zone("Asia/Shanghai")
    for dates in (midnight.dt.convert_time_zone("UTC"), midnight, midnight.dt.to_string("%Y-%m-%dT%H:%M:%S%:z")):
        table = pl.DataFrame({"instrument": ["SH600001"] * 2, "date": dates, "x": [1.0, 2.0]})
        add_fields(tiny, table, ["x"], overwrite=True)
        np.testing.assert_array_equal(field(tiny, "SH600001", "x"), [math.nan] * 3 + [1, 2] + [math.nan] * 3)
    published = pl.DataFrame({"instrument": ["SH600001"], "date": [DAYS[3] + timedelta(hours=18)], "x": [1.0]})
    with pytest.raises(DataError, match=r"column 'date' are not a day such as .* midnight in Asia/Shanghai"):
        add_fields(tiny, published, ["x"], overwrite=True)


@pytest.mark.parametrize("code", ["600001.SH", "sh.600001", " SH600001 ", "600001.XSHG"])
def test_a_code_is_named_as_the_provider_names_it(tiny, code):
    table = pl.DataFrame({"instrument": [code], "date": [str(DAYS[3].date())], "x": ["1"]})
    assert add_fields(tiny, table, ["x"]).unknown == []
    assert np.nansum(field(tiny, "SH600001", "x")) == 1
    twice = pl.concat([table, table.with_columns(instrument=pl.lit("SH600001"))])
    with pytest.raises(DataError, match="several rows of SH600001"):
        add_fields(tiny, twice, ["x"], overwrite=True)


@pytest.mark.parametrize("codes", [[1, 600001], ["SZ1", "SH600001"], ["1.SZ", "SH600001"]])
def test_codes_that_lost_their_leading_zeros(tiny, digest, codes):
    before = digest(tiny)
    table = pl.DataFrame({"instrument": codes, "date": ["2020-01-02"] * 2, "x": ["1", "2"]})
    with pytest.raises(DataError, match=rf"1 of the table's 2 instruments .* first {codes[0]}: leading zeros lost"):
        add_fields(tiny, table, ["x"])
    assert digest(tiny) == before


@pytest.mark.parametrize("codes", [["010203", "370102"], [10203, 370102], [10203.0, 370102.0], ["10203", "370102"]])
def test_the_first_digits_of_codes_of_one_length_alone(tiny, codes):
    """010203 that has lost its zero would be of the group 10, and no longer of 01."""
    table = pl.DataFrame({"instrument": ["SH600001", "SZ000001"], "date": ["2020-01-03"] * 2, "x": codes})
    if codes[0] == "010203":
        add_fields(tiny, table, ["x"], digits=2)
        assert [field(tiny, symbol, "x").iloc[2] for symbol in table["instrument"]] == [1, 37]
    else:
        with pytest.raises(DataError, match=r"differ in length, from 10203 to 370102, .* lost leading zeros"):
            add_fields(tiny, table, ["x"], digits=2)


def test_two_columns_of_one_field(tiny, digest):
    before = digest(tiny)
    table = pl.DataFrame({"instrument": ["SH600001"], "date": ["2020-01-02"], "PE": [1.0], "pe": [2.0]})
    with pytest.raises(DataError, match=r"'PE' and 'pe' are both the field \$pe"):
        add_fields(tiny, table, ["PE", "pe"])
    assert digest(tiny) == before


def test_a_calendar_with_times_takes_a_table(tiny):
    for file in (tiny / "calendars").glob("*.txt"):
        file.write_text("".join(f"{day} 00:00:00\n" for day in file.read_text().split()))
    add_fields(tiny, pl.DataFrame({"instrument": ["SH600001"], "date": ["2020-01-03"], "换手率": [1.0]}), ["换手率"])
    np.testing.assert_array_equal(field(tiny, "SH600001", "换手率")[:4], [math.nan, math.nan, 1, math.nan])


def test_an_empty_table_and_a_name_that_no_expression_can_read(tiny):
    with pytest.raises(DataError, match="None of the table's 0 instruments is in"):
        add_fields(tiny, CODES.clear(), ["industry"], date_column="start")
    for name in ("PE(TTM)", "instrument", "date"):
        with pytest.raises(DataError, match=f"'{re.escape(name)}' is no name for a field"):
            add_fields(tiny, CODES.with_columns(pl.col("industry").alias(name)), [name], date_column="start")


def test_the_command(tiny, tmp_path, capsys):
    CODES.write_csv(tmp_path / "codes.csv")
    args = [
        "fields",
        "--table",
        str(tmp_path / "codes.csv"),
        "--columns",
        "industry",
        "--date",
        "start",
        "--out",
        str(tiny),
    ]
    assert main([*args, "--hold", "--digits", "2"]) == 0
    said = capsys.readouterr()
    assert "left out 1 instruments unknown to" in said.err
    assert said.out == f"{tiny}: $industry of 2 instruments, 2 files changed\n"
    assert field(tiny, "SH600001").iloc[-1] == 22
    assert main(args) == 2
    assert "error: " in capsys.readouterr().err
    assert main([*args, "--overwrite"]) == 0
    assert "left out 2 rows outside the calendar" in capsys.readouterr().err


def test_a_table_in_gbk(tmp_path):
    text = "instrument,名称,x\nSH600001,股票,1\n"
    for encoding in ("utf-8", "utf-8-sig", "gbk", "gb18030"):
        (tmp_path / "x.csv").write_bytes(text.encode(encoding))
        assert read_table(tmp_path / "x.csv").to_dicts() == [{"instrument": "SH600001", "名称": "股票", "x": "1"}]
    (tmp_path / "x.csv").write_bytes(b"a,b\n\xff\xff,1\n")
    with pytest.raises(DataError, match="neither UTF-8 nor GBK"):
        read_table(tmp_path / "x.csv")


@pytest.mark.parametrize(("name", "content"), [("x.parquet", b""), ("x.csv", None), ("x.csv", b"a,b\n1,2,3\n")])
def test_a_file_that_is_no_table(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as CSV or Parquet") as refused:
        read_table(tmp_path / name)
    assert "\n" not in str(refused.value)

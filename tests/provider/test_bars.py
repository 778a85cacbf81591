"""A table of bars becomes a provider that Qlib reads, or an error that names what is wrong with it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import qlib
from qlib.data import D

from qlib_ext.cli import main
from qlib_ext.errors import DataError
from qlib_ext.provider.bars import named, write_bars
from qlib_ext.provider.check import check_future_days, check_provider

DAYS = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 1, 31), eager=True)
WEEKDAYS = DAYS.filter(DAYS.dt.weekday() <= 5)


def bars(*instruments: str, **columns) -> pl.DataFrame:
    """So many stocks on the weekdays of a month; ``columns`` replace theirs."""
    n = len(WEEKDAYS)
    parts = []
    for number, instrument in enumerate(instruments or ("600000.SH", "000001")):
        close = 10 + number + np.arange(n) / 10
        part = pl.DataFrame({"instrument": [instrument] * n, "date": WEEKDAYS, "open": close, "high": close + 0.2})
        parts.append(
            part.with_columns(
                low=pl.Series(close - 0.2),
                close=pl.Series(close),
                volume=pl.lit(1000.0),
                amount=pl.Series(1000 * (close + 0.1)),
            )
        )
    return pl.concat(parts).with_columns(**columns)


def spoil(table: pl.DataFrame, column: str, row: int, value) -> pl.DataFrame:
    values = table[column].cast(pl.String).to_list()
    values[row] = value
    return table.with_columns(pl.Series(column, values, dtype=pl.String))


def test_qlib_reads_what_was_written(tmp_path):
    table = bars("600000.SH", "000001", "sh.000300", factor=pl.lit(2.0), turnover=pl.lit(0.01))
    members = pl.DataFrame({"instrument": ["600000"], "start": ["2020-01-06"], "end": [""]})
    written = write_bars(tmp_path / "p", table, {"csi300": members}, ["000300.SH"])
    assert written.warnings == []
    assert (written.facts.stocks, written.facts.days, written.facts.simulated) == (2, len(WEEKDAYS), False)
    qlib.init(provider_uri=str(tmp_path / "p"), region="cn", kernels=1, logging_level=40)
    assert D.list_instruments(D.instruments("all"), as_list=True) == ["SH600000", "SZ000001"]
    spans = D.list_instruments(D.instruments("csi300"))
    assert [f"{day:%Y-%m-%d}" for day in spans["SH600000"][0]] == ["2020-01-06", "2020-01-31"]
    read = D.features(["SH600000"], ["$close", "$vwap", "$volume", "$factor", "$turnover"]).droplevel(0)
    close = 10 + np.arange(len(WEEKDAYS)) / 10
    expected = np.stack([2 * close, 2 * (close + 0.1), close * 0 + 500, close * 0 + 2, close * 0 + 0.01], axis=1)
    np.testing.assert_allclose(read, expected, rtol=1e-6)
    assert len(D.features(["SH000300"], ["$close"])) == len(WEEKDAYS)
    check_future_days(tmp_path / "p")


def test_a_csv_as_a_vendor_writes_it(tmp_path, digest):
    """A byte order mark, sh.600000, 2020/01/06, an empty row of a suspended stock: the files of the plain table."""
    table = bars("SH600000", "SZ000001", factor=pl.lit(2.0))
    prices = ["open", "high", "low", "close", "volume", "amount", "factor"]
    table = table.with_columns(pl.when(pl.int_range(pl.len()) != 5).then(pl.col(name)).alias(name) for name in prices)
    vendor = table.with_columns(
        date=table["date"].dt.strftime("%Y/%m/%d"),
        instrument=table["instrument"].str.head(2).str.to_lowercase() + "." + table["instrument"].str.slice(2),
    )
    written = []
    for name, each in (("plain", table.drop_nulls()), ("vendor", vendor)):
        (tmp_path / f"{name}.csv").write_text(each.write_csv(), encoding="utf-8-sig" if name == "vendor" else "utf-8")
        assert main(["provider", "--bars", str(tmp_path / f"{name}.csv"), "--out", str(tmp_path / name)]) == 0
        written.append(
            {file: bytes_ for file, bytes_ in digest(tmp_path / name).items() if file.startswith("features")}
        )
    assert written[0] == written[1]
    assert len(written[0]) > 10


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (bars().rename({"close": "clos"}), "no column 'close', but 'clos': rename it"),
        (bars().with_columns(facto=pl.lit(1.0)), "a column 'facto', and none 'factor': rename it"),
        (bars().with_columns(pl.lit(1.0).alias("p/e")), "'p/e' is no name for a field"),
        (spoil(bars(), "date", 3, "2020-13-01"), "1 of 46 rows of the column 'date' are not a day such as"),
        (spoil(bars(), "date", 3, "2222-01-10"), "'date' are not a day that has come"),
        (bars()[:0], "The bars have no row"),
        (spoil(bars(), "close", 3, "ten"), "rows of the column 'close' are not a number, first 'ten'"),
        (spoil(bars(), "volume", 3, "-1"), "1 of 46 rows of the column 'volume' are not at least 0, first '-1'"),
        (spoil(bars(), "close", 3, "0"), "'close' are not above 0; leave it empty on days without trading, first '0'"),
        (spoil(bars(), "high", 3, "1"), "'high' are not the day's highest price, first '1'"),
        (spoil(bars(), "instrument", 3, "1"), "1 of 46 rows have an instrument of fewer than six digits, first 1:"),
        (spoil(bars(), "instrument", 3, ""), "'instrument' are not an instrument"),
        (pl.concat([bars(), bars()[5:7]]), "4 rows have a twin, first those of SH600000 on 2020-01-08; leave one"),
        (bars(volume=pl.lit(10.0)), "amount / volume is 101 times the close on a median day: volume is in shares"),
        (spoil(bars(factor=pl.lit(1.0)), "factor", 3, ""), "'factor' are not known where there is a close"),
        (bars("SH000300"), "The bars are of indices alone"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_and_nothing_is_written(tmp_path, table, message):
    with pytest.raises(DataError) as raised:
        write_bars(tmp_path / "p", table, indices=["SH000300"] if "SH000300" in table["instrument"] else [])
    assert message in str(raised.value)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"instrument": "SH600009"}, "None of the 1 members of csi300 has bars, first SH600009"),
        ({"start": "soon"}, "'start' are not a day such as"),
        ({"end": "later"}, "'end' are not a day such as 2023-02-01, or empty, first 'later'"),
        ({"end": "2019-01-01"}, "'end' are not on or after its start"),
        ({"until": ""}, "The members of csi300 have no column 'end', but instrument, start, until"),
    ],
)
def test_members_that_cannot_be_used_are_named(tmp_path, member, message):
    row = {"instrument": "SH600000", "start": "2020-01-06", "end": ""} | member
    if "until" in member:
        del row["end"]
    with pytest.raises(DataError) as raised:
        write_bars(tmp_path / "p", bars(), {"csi300": pl.DataFrame([row])})
    assert message in str(raised.value)


def test_what_only_looks_wrong_is_counted(tmp_path):
    split = bars().drop("amount")
    halved = pl.when(pl.col("date") >= pl.date(2020, 1, 20)).then(0.5).otherwise(1.0)
    split = split.with_columns(pl.col("open", "high", "low", "close") * halved)
    sunday = split[:1].with_columns(date=pl.date(2020, 1, 5))
    members = pl.DataFrame({"instrument": ["600000", "600009"], "start": ["2020-01-06"] * 2, "end": ["", ""]})
    warnings = write_bars(tmp_path / "p", pl.concat([split, sunday]), {"csi300": members}).warnings
    assert len(warnings) == 4
    assert "no vwap and no amount" in warnings[0]
    assert warnings[1].startswith(
        "2 closes of 2 stocks move by more than 35% from the one before, first SH600000 on 2020-01-20"
    )
    assert warnings[2] == "1 days are Saturdays or Sundays, first 2020-01-05."
    assert warnings[3] == "1 of 2 members of csi300 have no bars, first SH600009."


def test_codes_in_every_form():
    forms = ["600519", "SH600519", "sh.600519", "600519.SH", "600519.XSHG", "1", "000001", "300750", "830799", "AAPL"]
    names = named(pl.Series([form for form in forms if form != "1"]))
    assert names.to_list() == [*["SH600519"] * 5, "SZ000001", "SZ300750", "BJ830799", "AAPL"]


def test_the_command_reads_gbk_and_says_what_comes_next(tmp_path, capsys):
    table = bars("600000.SH", "000001").with_columns(pl.col("amount").alias("成交额")).drop("amount")
    (tmp_path / "bars.csv").write_bytes(table.write_csv().encode("gbk"))
    (tmp_path / "csi300.csv").write_text("instrument,start,end\n600000.SH,2020-01-06,\n")
    options = ["--members", f"csi300={tmp_path}/csi300.csv", "--out", str(tmp_path / "p")]
    assert main(["provider", "--bars", str(tmp_path / "bars.csv"), *options]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"wrote {tmp_path}/p, 2020-01-01 to 2020-01-31, 23 days, 2 stocks")
    assert err.startswith("warning: There is no vwap and no amount")
    assert len(check_provider(tmp_path / "p")) == 23
    assert main(["provider", "--bars", str(tmp_path / "bars.csv"), *options]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["provider", "--bars", str(tmp_path / "bars.csv"), "--members", "csi300", "--out", "x"]) == 2

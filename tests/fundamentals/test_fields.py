"""Reports become daily fields: seen from the day after their announcement, as Qlib's own point-in-time data is."""

from __future__ import annotations

import struct
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
import qlib
from qlib.data import D

from qlib_ext.cli import main
from qlib_ext.errors import ConfigError, DataError, ProviderError
from qlib_ext.fundamentals.fields import add_fundamentals
from qlib_ext.fundamentals.pit import read_pit
from qlib_ext.provider.panels import read_panels
from qlib_ext.provider.writer import write_provider

DAYS = pd.bdate_range("2019-01-01", "2020-12-31")
STOCKS = ["SH600001", "SZ000002"]
TABLE = pl.DataFrame(
    [
        ("SH600001", "2018-09-30", "2018-10-30", 6.0),
        ("SH600001", "2018-12-31", "2019-03-29", 10.0),  # a Friday
        ("SH600001", "2019-03-31", "2019-04-30", 3.0),
        ("SH600001", "2018-12-31", "2019-06-12", 9.0),  # restated
        ("SH600001", "2019-06-30", "2019-08-31", 5.0),  # a Saturday
        ("SZ000002", "2019-12-31", None, 7.0),
        ("SZ999999", "2019-12-31", None, 7.0),
    ],
    schema=["instrument", "period", "announced", "profit"],
    orient="row",
)


@pytest.fixture
def provider(tmp_path):
    frame = pd.DataFrame({"close": np.ones(len(DAYS))}, index=DAYS)
    spans = [(stock, DAYS[0], DAYS[-1]) for stock in STOCKS]
    return write_provider(tmp_path / "provider", DAYS, [(stock, frame) for stock in STOCKS], {"all": spans})


def field(provider, name, stock=0) -> pd.Series:
    return pd.Series(read_panels(provider, [name], STOCKS)[name][:, stock], DAYS)


def test_a_value_is_seen_from_the_trading_day_after_its_announcement(provider):
    added = add_fundamentals(provider, TABLE, {"latest": ["profit"], "ttm": ["profit"]})
    assert (added.instruments, added.unknown) == (2, ["SZ999999"])
    profit = field(provider, "profit")
    assert profit["2019-01-01"] == 6.0, "announced before the calendar begins"
    assert profit[["2019-03-29", "2019-04-01"]].tolist() == [6.0, 10.0]
    assert profit[["2019-04-30", "2019-05-01"]].tolist() == [10.0, 3.0]
    assert profit[["2019-08-30", "2019-09-02"]].tolist() == [3.0, 5.0]
    assert profit.iloc[-1] == 5.0
    year = field(provider, "profit_ttm")
    assert year[["2019-04-01", "2019-04-30"]].tolist() == [10.0, 10.0]
    assert np.isnan(year["2019-05-01"]), "the first quarter before it is unknown: no older value stands for it"
    assert field(provider, "profit", 1).dropna().index[0] == pd.Timestamp("2020-05-01"), "the day after the deadline"


def test_a_stock_under_two_names_is_one(provider):
    names = ["600001.SH", "600001.XSHG", "sh600001", "SH.600001", "SH600001"]
    add_fundamentals(provider, TABLE.head(5).with_columns(instrument=pl.Series(names)), {"ttm": ["profit"]})
    under_two = field(provider, "profit_ttm")
    add_fundamentals(provider, TABLE.head(5), {"ttm": ["profit"]}, overwrite=True)
    pd.testing.assert_series_equal(under_two, field(provider, "profit_ttm"))


def test_what_comes_later_changes_nothing(provider):
    add_fundamentals(provider, TABLE.head(3), {"latest": ["profit"], "yoy": ["profit"]})
    before = [field(provider, name) for name in ("profit", "profit_yoy")]
    later = TABLE.with_columns(pl.col("profit") * pl.when(pl.col("announced") > "2019-05-30").then(-7).otherwise(1))
    add_fundamentals(provider, later, {"latest": ["profit"], "yoy": ["profit"]}, overwrite=True)
    after = [field(provider, name) for name in ("profit", "profit_yoy")]
    for old, new in zip(before, after, strict=True):
        pd.testing.assert_series_equal(old[:"2019-06-12"], new[:"2019-06-12"])
    assert (after[0]["2019-09-02":] == -35).all()


def write_pit(folder, instrument, field_name, records):
    """A field of Qlib's point-in-time data: records (date, period, value), each with the place of its revision."""
    folder = folder / instrument.lower()
    folder.mkdir(parents=True, exist_ok=True)
    none, size = 0xFFFFFFFF, struct.calcsize("<IIdI")
    first_year = min(period // 100 for _, period, _ in records)
    places, chain = {}, [none] * len(records)
    for number, (_, period, _) in enumerate(records):
        if period in places:
            chain[places[period][-1]] = number * size
        places.setdefault(period, []).append(number)
    (folder / f"{field_name}_q.data").write_bytes(
        b"".join(struct.pack("<IIdI", *record, after) for record, after in zip(records, chain, strict=True))
    )
    last = max(period // 100 for _, period, _ in records)
    index = [
        places[period][0] * size if (period := year * 100 + quarter) in places else none
        for year in range(first_year, last + 1)
        for quarter in (1, 2, 3, 4)
    ]
    (folder / f"{field_name}_q.index").write_bytes(struct.pack(f"<I{len(index)}I", first_year, *index))


def test_it_is_what_qlibs_own_operator_reads_the_day_before(provider):
    """``P($$x_q)`` of a day sees the announcements of the day itself, which nobody knew at its close."""
    random = np.random.default_rng(0)
    for stock in STOCKS:
        days = np.sort(random.choice(len(DAYS), 30, replace=False))
        records = []
        for number, day in enumerate(days):
            quarter = pd.Timestamp(DAYS[day]).to_period("Q") - 1 - int(random.integers(0, 2))
            value = float(random.integers(1, 100)) + number / 100
            records.append((int(f"{DAYS[day]:%Y%m%d}"), quarter.year * 100 + quarter.quarter, value))
        write_pit(provider / "financial", stock, "roe", records)
    add_fundamentals(provider, read_pit(provider / "financial"), {"latest": ["roe"]}, to_date=False)
    qlib.init(provider_uri=str(provider), region="cn", kernels=1, logging_level=40)
    theirs = D.features(STOCKS, ["P($$roe_q)"], DAYS[0], DAYS[-1])["P($$roe_q)"].unstack("instrument")
    for place, stock in enumerate(STOCKS):
        ours = field(provider, "roe", place)
        assert ours.notna().sum() > 300
        np.testing.assert_array_equal(ours.to_numpy()[1:], theirs[stock].to_numpy(np.float32)[:-1])


def test_fields_of_one_announcement_are_one_row(tmp_path):
    write_pit(tmp_path, "SH600001", "roe", [(20190420, 201804, 1.0), (20190830, 201902, np.nan)])
    write_pit(tmp_path, "SH600001", "debt", [(20190420, 201804, 5.0), (20190421, 201901, 6.0)])
    assert read_pit(tmp_path).sort("announced").rows() == [
        ("SH600001", date(2018, 12, 31), date(2019, 4, 20), 5.0, 1.0),
        ("SH600001", date(2019, 3, 31), date(2019, 4, 21), 6.0, None),
        ("SH600001", date(2019, 6, 30), date(2019, 8, 30), None, None),
    ]
    assert read_pit(tmp_path, ["roe"]).columns == ["instrument", "period", "announced", "roe"]


def test_folders_that_are_none(tmp_path):
    with pytest.raises(DataError, match=r"dump_pit\.py wrote"):
        read_pit(tmp_path)
    write_pit(tmp_path, "SH600001", "roe", [(20190420, 201804, 1.0)])
    with pytest.raises(DataError, match="no quarterly field 'roa', it has roe"):
        read_pit(tmp_path, ["roa"])
    file = tmp_path / "sh600001/roe_q.data"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="is damaged"):
        read_pit(tmp_path)


def test_the_command(provider, tmp_path, capsys):
    TABLE.write_csv(tmp_path / "reports.csv")
    command = ["fundamentals", "--table", str(tmp_path / "reports.csv"), "--out", str(provider)]
    assert main([*command, "--latest", "profit", "--yoy", "profit"]) == 0
    out = capsys.readouterr()
    assert "$profit $profit_yoy of 2 instruments" in out.out
    assert "left out 1 instruments unknown" in out.err
    assert main([*command, "--latest", "profit"]) == 2
    assert "has $profit already" in capsys.readouterr().err
    assert main(command) == 2
    assert "--ttm earnings" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="at least one measure"):
        add_fundamentals(provider, TABLE, {})
    with pytest.raises(ProviderError):
        add_fundamentals(tmp_path, TABLE, {"latest": ["profit"]})
    with pytest.raises(SystemExit):
        main(["fundamentals", "--help"])
    shown = capsys.readouterr().out
    assert "--ttm      q_P + q_(P-1)" in shown

"""A table of relations is checked, kept beside the provider and read again; a field and neighbours become tables."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlib_ext.cli import main
from qlib_ext.errors import DataError, ProviderError
from qlib_ext.provider.writer import write_provider
from qlib_ext.relations.tables import read_relations, write_relations

DAYS = pd.bdate_range("2020-01-01", periods=8)
STOCKS = ["SH600001", "SH600002", "SZ000001"]
GROUPS = {"instrument": ["SH600001", "sz000001", "BJ430017"], "group": ["bank", "bank", "steel"]}
GROUPS |= {"from": ["2019-05-30", "2020-01-03", "2020-01-01"], "to": ["", "2020-01-06", ""]}
PAIRS = {"source": ["SH600001", "SH600001"], "target": ["SH600002", "BJ430017"], "weight": ["0.5", "2"]}
PAIRS |= {"from": ["2020-01-01"] * 2, "to": ["2020-01-02"] * 2}


@pytest.fixture
def provider(tmp_path):
    """Three stocks; the industry of the first changes, that of the second is unknown for a day."""
    industries = {
        "SH600001": [37, 37, 22, 22, 22, 37, 37, 37],
        "SH600002": [22, math.nan, 22, 22, 6401010, 6401020, 22, 22],
        "SZ000001": [22] * 8,
    }
    frames = [
        (name, pd.DataFrame({"close": np.arange(1.0, 9.0) * (k + 1), "industry": industries[name]}, index=DAYS))
        for k, name in enumerate(STOCKS)
    ]
    spans = [(name, DAYS[0], DAYS[-1]) for name in STOCKS]
    return write_provider(tmp_path / "provider", DAYS, frames, {"all": spans})


def test_memberships_and_edges_are_kept_and_read_in_the_order_asked_for(provider):
    groups = write_relations(provider, pl.DataFrame(GROUPS), "industry")
    pairs = write_relations(provider, pl.DataFrame(PAIRS), "suppliers")
    assert (groups.rows, groups.instruments, groups.unknown) == (2, 2, ["BJ430017"])
    assert (pairs.rows, pairs.instruments, pairs.unknown) == (1, 2, ["BJ430017"])
    tables = read_relations(provider, ["suppliers", "industry"])
    assert list(tables) == ["suppliers", "industry"]
    day = pl.Series(["2020-01-01", "2020-01-02", "2019-05-30", "2020-01-03", "2020-01-06"]).str.to_date()
    assert tables["suppliers"].rows() == [("SH600001", "SH600002", 0.5, day[0], day[1])]
    assert tables["industry"].rows() == [("SH600001", "bank", day[2], None), ("SZ000001", "bank", day[3], day[4])]


def test_stocks_are_named_as_the_provider_names_them(provider):
    table = pl.DataFrame(PAIRS | {"source": ["600001.SH"] * 2, "target": ["600002.XSHG", " sz.000001"]})
    assert write_relations(provider, table, "suppliers").unknown == []
    assert read_relations(provider, ["suppliers"])["suppliers"]["target"].to_list() == ["SH600002", "SZ000001"]


@pytest.mark.parametrize("column", ["source", "target"])
def test_a_code_that_lost_its_leading_zeros_is_no_unknown_stock(provider, column):
    table = pl.DataFrame(PAIRS | {column: [1, 2]})
    with pytest.raises(DataError, match="have fewer than six digits, first 1: leading zeros lost"):
        write_relations(provider, table, "suppliers")


def test_a_weight_and_a_last_day_need_not_be_given(provider):
    table = pl.DataFrame(PAIRS).select("source", "target", "from")
    write_relations(provider, table, "suppliers")
    assert read_relations(provider, ["suppliers"])["suppliers"].select("weight", "to").rows() == [(1.0, None)]


def test_a_flipped_bit_is_refused(provider):
    write_relations(provider, pl.DataFrame(PAIRS), "suppliers")
    file = provider / "relations" / "suppliers.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"suppliers\.parquet is not as .* wrote it.*--overwrite"):
        read_relations(provider, ["suppliers"])
    write_relations(provider, pl.DataFrame(PAIRS), "suppliers", overwrite=True)
    read_relations(provider, ["suppliers"])


def test_a_kind_is_replaced_only_when_asked(provider):
    write_relations(provider, pl.DataFrame(GROUPS), "industry")
    with pytest.raises(ProviderError, match="has relations of the kind industry already"):
        write_relations(provider, pl.DataFrame(PAIRS), "industry")
    write_relations(provider, pl.DataFrame(PAIRS), "industry", overwrite=True)
    assert "source" in read_relations(provider, ["industry"])["industry"].columns


@pytest.mark.parametrize(
    ("table", "change", "says"),
    [
        (GROUPS, {"group": ["bank", "", "steel"]}, "1 of 3 rows of the column 'group' are not the name of a group"),
        (GROUPS, {"instrument": ["SH600001", None, "SH600002"]}, "column 'instrument' are not an instrument"),
        (GROUPS, {"from": ["2019-05-30", "soon", ""]}, "2 of 3 rows of the column 'from' are not a day .* 'soon'"),
        (GROUPS, {"to": ["2020-01-32", "", ""]}, "1 of 3 rows of the column 'to' are not empty or a day"),
        (GROUPS, {"to": ["2019-05-29", "", ""]}, "1 of 3 rows end before they begin, first instrument SH"),
        (GROUPS, {"instrument": ["SZ000001"] * 3, "to": ["2020-01-03", "", ""]}, "begin before an earlier"),
        (GROUPS, {"instrument": ["SZ000001"] * 3}, "begin before an earlier span of theirs ends"),
        (GROUPS, {"instrument": ["600001"] * 3, "group": ["a", "b", "c"]}, "No row .* its 1, such as 600001, are not"),
        (PAIRS, {"target": ["SH600002", None]}, "1 of 2 rows of the column 'target' are not an instrument"),
        (PAIRS, {"target": ["SH600001", "SH600002"]}, "1 of 2 rows relate a stock to itself, first source SH600001"),
        (PAIRS, {"weight": ["0.5", "inf"]}, "1 of 2 rows of the column 'weight' are not a finite number, first 'inf'"),
        (PAIRS, {"weight": ["0.5", "much"]}, "not a finite number, first 'much'"),
        (PAIRS, {"target": ["SH600002"] * 2}, "1 of 2 rows begin before an earlier span of theirs ends"),
        (PAIRS, {"source": ["BJ430017"] * 2, "target": ["SH600002", "SZ000001"]}, "No row of the table"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used(provider, table, change, says):
    with pytest.raises(DataError, match=says):
        write_relations(provider, pl.DataFrame(table | change), "kind")
    assert not (provider / "relations").exists()


def test_one_group_twice_in_a_row_is_no_overlap(provider):
    change = {"instrument": ["SZ000001"] * 2, "group": ["a", "a"], "from": ["2020-01-01", "2020-01-03"]}
    assert write_relations(provider, pl.DataFrame(change | {"to": ["2020-01-02", ""]}), "industry").rows == 2


@pytest.mark.parametrize("columns", [["instrument", "from"], ["source", "target"], ["instrument", "group", "source"]])
def test_a_table_of_other_columns(provider, columns):
    with pytest.raises(DataError, match=f"this one has {', '.join(columns)}"):
        write_relations(provider, pl.DataFrame({column: ["SH600001"] for column in columns}), "kind")


def test_a_kind_that_is_not_there_names_the_nearest(provider):
    with pytest.raises(DataError, match="no relations of the kind 'industry', it has none"):
        read_relations(provider, ["industry"])
    write_relations(provider, pl.DataFrame(GROUPS), "industry")
    with pytest.raises(DataError, match="of the kind 'industries', did you mean industry"):
        read_relations(provider, ["industries"])
    with pytest.raises(DataError, match="'my kind' is no name"):
        write_relations(provider, pl.DataFrame(GROUPS), "my kind")


def test_a_field_relates_stocks_by_its_value_of_the_day(provider):
    table = read_relations(provider, ["$industry"])["$industry"]
    walk = {}
    for row in table.iter_rows(named=True):
        for day in DAYS:
            if row["from"] <= day.date() <= row["to"]:
                walk[row["instrument"], day] = float(row["group"])
    for name in STOCKS:
        content = np.fromfile(provider / f"features/{name.lower()}/industry.day.bin", dtype="<f4")[1:]
        np.testing.assert_array_equal([walk.get((name, day), math.nan) for day in DAYS], content)
    assert len(table) == 9
    with pytest.raises(ProviderError, match=r"has the field \$industri"):
        read_relations(provider, ["$industri"])


def test_the_command(provider, tmp_path, capsys):
    pl.DataFrame(GROUPS).write_csv(tmp_path / "groups.csv")
    args = ["relations", "--kind", "industry", "--out", str(provider)]
    assert main([*args, "--table", str(tmp_path / "groups.csv")]) == 0
    shown = capsys.readouterr()
    assert "left out 1 instruments unknown to" in shown.err
    assert shown.out == f"{provider}: 2 rows of industry relate 2 instruments\n"
    assert main([*args, "--table", str(tmp_path / "groups.csv")]) == 2
    assert "error: " in capsys.readouterr().err
    near = ["relations", "--kind", "near", "--out", str(provider), "--neighbours", "1"]
    assert main(near) == 2
    assert "belong together" in capsys.readouterr().err
    assert main([*near, "--expressions", "$close", "$industry", "--days", "2", "--every", "week"]) == 0
    assert "rows of near relate" in capsys.readouterr().out

"""Names are those of Qlib: of fields in expressions, of folders, of universes, and codes of stocks."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest
from qlib.data.base import Feature
from qlib.data.data import ExpressionD
from qlib.data.storage.file_storage import FileFeatureStorage
from qlib.utils import code_to_fname

from qlib_ext.errors import DataError
from qlib_ext.provider.names import (
    codes_of,
    feature_folder,
    fields_in,
    instrument_of,
    instruments_with_features,
    instruments_with_field,
    is_field,
    lost_names,
    require_universe,
    short_codes,
)
from qlib_ext.provider.writer import write_provider


def leaves(node):
    """The daily fields of an expression's tree."""
    if type(node) is Feature:
        yield str(node).removeprefix("$")
    for child in vars(node).values():
        if hasattr(child, "__dict__"):
            yield from leaves(child)


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("Ref($close, -2)/Ref($close, -1) - 1", ["close"]),
        ("$high-$low", ["high", "low"]),
        ("$5d + $换手率 * $PE（TTM）", ["5d", "PE（TTM）", "换手率"]),
        ("P($$roe_q)/$close", ["close"]),
        ("PRef($$net_profit_q, 202001)", []),
        ("If($close > 0, Mean($volume,5), 1)", ["close", "volume"]),
    ],
)
def test_fields_are_the_leaves_of_qlibs_tree(qlib_expressions, expression, fields):
    assert fields_in([expression]) == sorted(fields)
    tree = ExpressionD.get_expression_instance(expression)
    assert sorted(set(leaves(tree))) == sorted(fields)


@pytest.mark.parametrize("name", ["close", "5d", "换手率", "PE（TTM）", "_x", "hf_skew"])
def test_a_name_that_expressions_read(name):
    assert is_field(name)
    assert fields_in([f"Mean(${name}, 2)"]) == [name]


@pytest.mark.parametrize("name", ["", "PE(TTM)", "a b", "a-b", "$close", "a.b", "../x"])
def test_a_name_that_no_expression_reads(name):
    assert not is_field(name)


@pytest.mark.parametrize("instrument", ["SH600000", "con", "PRN", "COM1", "LPT1", "NUL", "BRK.B"])
def test_folders_are_where_qlib_looks(tmp_path, instrument):
    expected = FileFeatureStorage(code_to_fname(instrument), "close", "day").file_name
    folder = feature_folder(tmp_path, instrument)
    assert folder.parent == tmp_path / "features"
    assert f"{folder.name}/close.day.bin" == expected
    assert instrument_of(folder) == instrument.upper()


def test_instruments_of_a_provider_with_names_that_qlib_renames(tmp_path, calendar):
    frame = pd.DataFrame({"close": 1.0}, calendar)
    symbols = ["CON", "LPT1", "SH600000"]
    folder = write_provider(
        tmp_path / "p",
        calendar,
        [(s, frame) for s in symbols],
        {"all": [(s, calendar[0], calendar[-1]) for s in symbols]},
    )
    assert instruments_with_features(folder) == instruments_with_field(folder, "close") == set(symbols)
    assert instruments_with_field(folder, "open") == set()


def test_universes(tiny):
    require_universe(tiny, "all")
    require_universe(tiny, "ALL")
    with pytest.raises(DataError, match=r"universe 'csi300' is not in .*/instruments, which has all\."):
        require_universe(tiny, "csi300")
    (tiny / "instruments/all.txt").rename(tiny / "instruments/CSI300.txt")
    for name in ("csi300", "CSI300"):
        with pytest.raises(DataError, match=r"in .*/CSI300.txt, and Qlib reads csi300.txt alone. Rename the file"):
            require_universe(tiny, name)


def test_names_that_qlib_loses():
    names = ["SH600000", "NA", "NULL", "nan", "NAN", "None", "N/A", "000001", "TRUE", "1e5"]
    assert lost_names(names) == ["NA", "NULL", "nan", "None", "N/A"]
    assert lost_names([]) == []


@pytest.mark.parametrize("security", ["600519", "SH600519", "sh.600519", "600519.SH", "600519.XSHG", "600519.ss"])
def test_codes_however_they_are_written(security):
    code, exchange = codes_of(pl.Series([security])).row(0)
    assert (code, exchange) == ("600519", None if security == "600519" else "SH")
    assert not short_codes(pl.Series([security])).item()


def test_codes_that_are_none_or_too_short():
    securities = pl.Series(["1", "SZ1", "300.SZ", "60051", "10004567", "IF2303", None, "SZ000001"])
    assert codes_of(securities)["code"].to_list() == [None] * 7 + ["000001"]
    assert short_codes(securities).to_list() == [True] * 4 + [False] * 4

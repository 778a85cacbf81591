"""The mean of the others of a group equals the slow one, and is made of its own day."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from qlib_ext.cli import main
from qlib_ext.errors import DataError
from qlib_ext.provider.group_means import add_group_mean, mean_of_others
from qlib_ext.provider.panels import read_panels


def slow(values, groups, day, stock):
    others = [
        values[day, other]
        for other in range(values.shape[1])
        if other != stock and groups[day, other] == groups[day, stock] and not np.isnan(values[day, other])
    ]
    return np.mean(others) if others and not np.isnan(values[day, stock]) else np.nan


def test_the_mean_of_the_others(small, tmp_path, capsys):
    folder, market = small
    shutil.copytree(folder, tmp_path / "provider")
    assert main(["group-mean", "--data", str(tmp_path / "provider"), "--field", "change", "--group", "industry"]) == 0
    assert "$industry_change" in capsys.readouterr().out
    stocks = list(market.symbols)
    panels = read_panels(tmp_path / "provider", ("change", "industry", "industry_change"), stocks)
    change, industry, found = panels.values()
    expected = [[slow(change, industry, day, stock) for stock in range(len(stocks))] for day in range(0, 300, 7)]
    np.testing.assert_allclose(found[::7], expected, rtol=1e-4, atol=1e-7)
    assert 0 < np.isnan(found).mean() < 0.5
    with pytest.raises(DataError, match=r"has the field \$industry_change already"):
        add_group_mean(tmp_path / "provider", "change", "industry")
    assert add_group_mean(tmp_path / "provider", "change", "industry", overwrite=True) == ("industry_change", 0)
    with pytest.raises(DataError, match=r"None of the 20 stocks .* has the field \$sector"):
        add_group_mean(tmp_path / "provider", "change", "sector")


def test_a_stock_alone_has_no_others():
    values = np.array([[1.0, 2.0, 4.0, np.nan, 8.0, 9.0]])
    groups = np.array([[1.0, 1.0, 1.0, 1.0, 2.0, np.nan]])
    np.testing.assert_array_equal(mean_of_others(values, groups), [[3.0, 2.5, 1.5, np.nan, np.nan, np.nan]])

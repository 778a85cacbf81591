from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.cross_section import matrix
from qlib_ext.cross_section.matrix import to_matrix, without_infinite
from qlib_ext.errors import DataError

DAYS = pd.bdate_range("2020-01-01", periods=4)
STOCKS = ["SH600000", "SH600001", "SZ000001"]
INDEX = pd.MultiIndex.from_product([DAYS, STOCKS], names=["datetime", "instrument"])


def series(values=None, index=INDEX):
    return pd.Series(np.arange(len(index), dtype=float) if values is None else values, index)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(len(INDEX))), st.integers(1, len(INDEX)), st.booleans())
def test_rows_in_any_order_give_what_unstack_gives(order, kept, swapped):
    rows = series().iloc[list(order)[:kept]]
    expected = rows.unstack("instrument").sort_index().sort_index(axis=1)
    given_rows = rows.swaplevel() if swapped else rows
    pd.testing.assert_frame_equal(to_matrix(given_rows, "score"), expected, check_freq=False, check_names=False)


def test_days_of_a_slice_are_its_own():
    assert list(to_matrix(series().loc[DAYS[1:3]], "score").index) == list(DAYS[1:3])


def test_float32_and_integers_become_float64():
    for dtype in ("float32", "int64", "Float64"):
        assert (to_matrix(series().astype(dtype), "score").dtypes == np.float64).all()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (series().replace(5.0, np.inf), r"score is infinite in 1 of 12 rows, first on 2020-01-02 at SZ000001"),
        (pd.concat([series(), series().iloc[3:5]]), r"there twice in 2 of 14 rows, first on 2020-01-02 at SH600000"),
        (series() * np.nan, "12 rows and none is a number"),
        (series().iloc[:0], "0 rows and none is a number"),
        (series().rename_axis(["date", "instrument"]), r"by \['date', 'instrument'\]"),
        (series().droplevel(0), r"by \['instrument'\]"),
        (
            pd.Series([1.0, 2.0], pd.MultiIndex.from_tuples([(DAYS[0], "A"), (None, "A")], names=INDEX.names)),
            "without a day or an instrument in 1 of 2",
        ),
    ],
)
def test_what_is_refused(broken, message):
    with pytest.raises(DataError, match=message):
        to_matrix(broken, "score")


def test_infinite_values_are_missing_where_that_is_asked_for(monkeypatch):
    broken = series().replace(5.0, np.inf).replace(7.0, -np.inf)
    warnings = []
    monkeypatch.setattr(matrix, "logger", SimpleNamespace(warning=warnings.append))
    found = without_infinite(broken, "label")
    assert found.isna().to_numpy().nonzero()[0].tolist() == [5, 7]
    (warning,) = warnings
    assert "The label is infinite in 2 of 12 rows, first on 2020-01-02 at SZ000001" in warning
    assert without_infinite(series(), "label").equals(series())

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.cross_section.cells import by_row, cells_of, index_of
from qlib_ext.errors import DataError

DAYS = pd.bdate_range("2020-01-01", periods=4)
STOCKS = pd.Index(["SH600000", "SH600001", "SZ000001"])
WHOLE = pd.MultiIndex.from_product([DAYS, STOCKS], names=["datetime", "instrument"])


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(len(WHOLE))), st.integers(0, len(WHOLE)), st.booleans())
def test_cells_are_the_places_in_the_whole_grid_and_back(order, kept, swapped):
    places = np.array(order[:kept], dtype=int)
    index = WHOLE[places]
    given_index = index.swaplevel() if swapped else index
    cells = cells_of(given_index, DAYS, STOCKS)
    np.testing.assert_array_equal(cells, places)
    assert cells.dtype == np.int32
    assert index_of(cells, DAYS, STOCKS).equals(index)
    grid = np.arange(len(WHOLE)).reshape(len(DAYS), len(STOCKS))
    wanted = by_row(given_index, lambda days, names: grid[DAYS.get_indexer(days)][:, STOCKS.get_indexer(names)])
    np.testing.assert_array_equal(wanted, places)


@pytest.mark.parametrize(
    "row", [(DAYS[0] - pd.Timedelta(days=1), "SH600000"), (DAYS[0], "SH699999"), (None, "SH600000"), (DAYS[0], None)]
)
def test_a_row_that_is_not_on_the_axes_is_refused(row):
    index = pd.MultiIndex.from_tuples([(DAYS[1], "SH600001"), row], names=WHOLE.names)
    with pytest.raises(DataError, match="1 labels or groups have no row of features"):
        cells_of(index, DAYS, STOCKS)


@pytest.mark.parametrize("index", [DAYS, WHOLE.rename(["date", "instrument"]), WHOLE.droplevel(0)])
def test_another_index_is_refused(index):
    with pytest.raises(DataError, match=r"are by \["):
        cells_of(index, DAYS, STOCKS)

from __future__ import annotations

import numpy as np
import pytest

from qlib_ext.data.shapes.half_hours import fold, half_hours
from tests.provider.test_sessions import day_of_bars


@pytest.mark.parametrize("named", ["end", "start"])
@pytest.mark.parametrize("minutes", [1, 5, 15, 30])
def test_a_day_has_eight_halves(minutes, named):
    np.testing.assert_array_equal(half_hours(day_of_bars(minutes, named), minutes), np.repeat(range(8), 30 // minutes))


def test_bars_are_joined_from_what_is_known():
    nan = np.nan
    bars = np.array([[
        [nan, nan, nan, nan, nan], [2, 4, 1, 3, 10], [3, 5, 2, nan, 20], [nan, 9, nan, nan, nan],  # the first
        [nan] * 5, [nan] * 5,  # the second
        [7, 8, 6, 7, 1],  # the third
    ]], dtype="f4")  # fmt: skip
    expected = [[2, 9, 1, 3, 30], [nan] * 5, [7, 8, 6, 7, 1]]
    np.testing.assert_array_equal(fold(bars, np.array([0, 4, 6]))[0], expected)

"""What a field's file holds after values of some days have come to it."""

from __future__ import annotations

import numpy as np
import pytest

from qlib_ext.provider.fields import merged

NAN = np.nan


def after(before, positions, series):
    content = merged(np.array(before, dtype="<f4"), np.array(positions), np.array(series, dtype=np.float32))
    return np.frombuffer(content, dtype="<f4").tolist()


@pytest.mark.parametrize(
    ("before", "positions", "series", "expected"),
    [
        pytest.param([], [3, 4, 5], [1, 2, 3], [3, 1, 2, 3], id="a new file"),
        pytest.param([], [3, 4, 5], [NAN, 2, NAN], [4, 2, NAN], id="from the first known value to the last day"),
        pytest.param([], [3, 6], [1, NAN], [3, 1, NAN, NAN, NAN], id="days between are not known"),
        pytest.param([], [3, 4], [NAN, NAN], [], id="nothing known, no file"),
        pytest.param([2, 7, 8], [4, 5], [NAN, NAN], [2, 7, 8, NAN, NAN], id="a file grows with the days"),
        pytest.param([2, 7, 8], [5], [9], [2, 7, 8, NAN, 9], id="a gap"),
        pytest.param([2, 7, 8], [2, 3], [NAN, 5], [2, NAN, 5], id="values are replaced, by NaN too"),
        pytest.param([4, 7, 8], [1, 2], [NAN, 5], [2, 5, NAN, 7, 8], id="it grows to the front"),
        pytest.param([4, 7, 8], [1, 2], [NAN, NAN], [4, 7, 8], id="but not by what is not known"),
        pytest.param([4, 7, 8, 9], [3, 5], [NAN, 1], [4, 7, 1, 9], id="its last day stays"),
    ],
)
def test_content(before, positions, series, expected):
    np.testing.assert_array_equal(after(before, positions, series), expected)


def test_a_day_at_the_end_of_the_history_is_what_it_is_later():
    """Built day by day, a file is at each day what it is of that day in the end."""
    values = [NAN, 1, NAN, NAN, 2, NAN]
    files, content = [], []
    for place, value in enumerate(values):
        content = after(content, [place], [value])
        files.append(content)
    for place, file in enumerate(files):
        assert len(file) == (place + 1 if place else 0), "from the first value, of day 1, to the day"
        np.testing.assert_array_equal(file, files[-1][: len(file)])

"""Percentiles are those of pandas, day by day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qlib_ext.cross_section.percentiles import percentiles

VALUES = st.sampled_from([np.nan, np.inf, -np.inf, -2.0, 0.0, 1.0, 1e30, 3e-20])


@given(arrays(np.float32, (7, 2), elements=VALUES), st.integers(1, 7))
def test_equals_pandas(values, first):
    days = [values[:first], values[first:]] if first < 7 else [values]
    mask = torch.zeros(len(days), max(map(len, days)), dtype=torch.bool)
    for row, day in enumerate(days):
        mask[row, : len(day)] = True
    expected = []
    for day in days:
        known = pd.DataFrame(day).replace([np.inf, -np.inf], np.nan)
        expected.append(((known.rank() - 0.5) / known.count() - 0.5).fillna(0.0))
    found = percentiles(torch.from_numpy(values.copy()), mask)
    np.testing.assert_allclose(found, pd.concat(expected), atol=1e-6)


def test_the_shape_stays():
    x = torch.randn(4, 3, 2)
    found = percentiles(x, torch.ones(1, 4, dtype=torch.bool))
    assert found.shape == x.shape
    assert sorted(found[:, 1, 0].tolist()) == [-0.375, -0.125, 0.125, 0.375]

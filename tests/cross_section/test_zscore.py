from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qlib_ext.cross_section.zscore import mean_of_zscores, zscore, zscore_of_all, zscore_or_mean

VALUES = st.sampled_from([-1.5, -0.1, 0.0, 0.1, 2.0, np.nan])


def frame_of(values: np.ndarray) -> pd.DataFrame:
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-01", periods=len(values)), range(values.shape[1])], names=["datetime", "instrument"]
    )
    return pd.DataFrame({"score": values.ravel()}, index)


@settings(max_examples=100, deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 3), st.integers(1, 6)), elements=VALUES))
def test_each_day_equals_the_slow_reference(values):
    frame = frame_of(values)
    found, whole = (function(frame)["score"].to_numpy().reshape(values.shape) for function in (zscore, zscore_or_mean))
    for day, z, filled in zip(values, found, whole, strict=True):
        known = ~np.isnan(day)
        if len(set(day[known])) < 2:
            assert (filled == 0).all(), "nothing varies"
            continue
        expected = (day - day[known].mean()) / day[known].std(ddof=1)
        np.testing.assert_allclose(z, expected, atol=1e-12)
        np.testing.assert_allclose(filled, np.nan_to_num(expected), atol=1e-12)


def test_scores_count_alike_whatever_their_scale():
    values = np.random.default_rng(0).standard_normal((3, 8))
    scores = [frame_of(values)["score"], frame_of(-100 * values)["score"], frame_of(7 + values)["score"]]
    mean = mean_of_zscores(scores)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, zscore(scores[0].to_frame())["score"] / 3, rtol=1e-5, atol=1e-6)
    assert mean_of_zscores(scores[:1]) is scores[0]


def test_zscores_of_all_equal_the_definition():
    random = np.random.default_rng(1)
    values, weight = random.standard_normal((4, 30)), random.uniform(1, 9, (4, 30))
    known = random.random((4, 30)) < 0.8
    values[2] = 0.1 + 0.2  # alike
    known[3] = False
    for weights in (None, weight):
        found = zscore_of_all(values, known, weights)
        for day in range(2):
            x = values[day, known[day]]
            mean = np.average(x, weights=None if weights is None else weights[day, known[day]])
            np.testing.assert_allclose(found[day], (values[day] - mean) / x.std(), rtol=0, atol=1e-12)
        assert np.isnan(found[2:]).all()

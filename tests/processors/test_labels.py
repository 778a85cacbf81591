"""Labels for training: normal scores equal scipy's, rows that are not learnt stay in the windows of others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qlib_ext.data.views import leaves_features
from qlib_ext.processors.neutralise import MADClip
from qlib_ext.processors.normal_scores import CSNormalScores
from qlib_ext.processors.rows import KeepRows
from tests.processors.test_normalise import LAYOUTS


def slow(day: pd.Series) -> pd.Series:
    known = day[np.isfinite(day)]
    ranks = stats.rankdata(known)
    return pd.Series(stats.norm.ppf((ranks - 0.5) / len(known)), known.index).reindex(day.index)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_normal_scores_equal_scipys(layout):
    frame = LAYOUTS[layout]()
    before = frame.copy()
    after = CSNormalScores("label")(frame)
    assert after is frame
    for column in before.columns:
        expected = before[column]
        if column[0] == "label":
            expected = pd.concat([slow(day) for _, day in expected.groupby(level="datetime")]).reindex(before.index)
        np.testing.assert_allclose(after[column], expected, rtol=1e-5, atol=1e-6)


def test_infinite_values_take_no_rank():
    index = pd.MultiIndex.from_product([[pd.Timestamp("2020-01-01")], list("ABCD")], names=["datetime", "instrument"])
    frame = pd.DataFrame({("label", "LABEL0"): [np.inf, 1.0, 2.0, np.nan]}, index=index)
    values = CSNormalScores("label")(frame).iloc[:, 0].to_numpy()
    np.testing.assert_allclose(values, [np.nan, stats.norm.ppf(0.25), stats.norm.ppf(0.75), np.nan])


@pytest.mark.parametrize("layout", ["rows together", "by stock"])
def test_only_given_rows_are_kept(layout):
    frame = LAYOUTS[layout]()
    kept = LAYOUTS["rows together"]().index[::3]
    after = KeepRows(kept)(frame)
    assert set(after.index) == {row if layout != "by stock" else row[::-1] for row in kept}
    pd.testing.assert_frame_equal(after, frame.loc[after.index])


@pytest.mark.parametrize("kind", [CSNormalScores, MADClip, lambda group: KeepRows(pd.MultiIndex.from_arrays([[], []]))])
def test_they_need_no_second_copy_of_the_features(kind):
    assert leaves_features(kind("label"))

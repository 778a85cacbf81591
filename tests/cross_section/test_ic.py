from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from qlib.contrib.eva.alpha import calc_ic
from scipy import stats

from qlib_ext.cross_section import ic as metrics
from qlib_ext.cross_section import tensor_ic
from tests.analysis.matrices import random_frame

FEW = st.sampled_from([-1.5, 0.0, -0.0, 1e-300, 2.0, 7.0, np.nan])


@settings(max_examples=200, deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=FEW))
def test_ranks_are_those_of_pandas(values):
    expected = pd.DataFrame(values).rank(axis=1).to_numpy()
    np.testing.assert_array_equal(metrics.cross_sectional_rank(values), expected)


def test_ranks_of_more_days_than_are_sorted_at_once():
    values = random_frame(2 * metrics.ROWS_AT_ONCE + 3, 11).to_numpy()
    np.testing.assert_array_equal(metrics.cross_sectional_rank(values), pd.DataFrame(values).rank(axis=1).to_numpy())


def rows_of(values):
    return pd.DataFrame(values).rename_axis("datetime").stack(future_stack=True)


EIGHTHS = st.sampled_from([-1.5, -0.125, 0.0, 0.25, 2.0, 7.0, np.nan])  # exact in float32


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 9))
def test_the_numpy_and_the_torch_form_are_those_of_qlib_and_scipy(data, days, stocks):
    score, label = (data.draw(arrays(float, (days, stocks), elements=EIGHTHS)) for _ in range(2))
    both = ~(np.isnan(score) | np.isnan(label))
    mask = torch.from_numpy(both)
    tensors = [torch.from_numpy(values).float() for values in (score, label)]
    for ours, of_tensors, theirs, of_qlib in (
        (metrics.information_coefficient, tensor_ic.information_coefficient, stats.pearsonr, 0),
        (metrics.rank_information_coefficient, tensor_ic.rank_information_coefficient, stats.spearmanr, 1),
    ):
        found = ours(score, label)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of days without a correlation
            days_of = zip(score, label, both, strict=True)
            expected = [theirs(s[m], y[m])[0] if m.sum() > 1 else np.nan for s, y, m in days_of]
            qlibs = calc_ic(rows_of(score), rows_of(label))
        np.testing.assert_allclose(found, expected, atol=1e-12)
        np.testing.assert_allclose(found, qlibs[of_qlib], atol=1e-12)
        np.testing.assert_allclose(of_tensors(*tensors, mask), np.nan_to_num(found), atol=2e-6)


@settings(max_examples=50, deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=FEW), st.randoms())
def test_ranks_of_tensors_are_those_of_scipy(values, random):
    mask = ~np.isnan(values)
    found = tensor_ic.cross_sectional_rank(torch.from_numpy(values), torch.from_numpy(mask)).numpy()
    for rank, y, m in zip(found, values, mask, strict=True):
        np.testing.assert_array_equal(rank[m], stats.rankdata(y[m]))


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e-6, 1.0, 1e30, 1e300])
def test_the_ic_is_of_no_scale(scale):
    score, label = random_frame(20, 9, seed=0).to_numpy(), random_frame(20, 9, seed=1).to_numpy()
    expected = metrics.information_coefficient(score, label)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(metrics.information_coefficient(score * scale, label), expected, rtol=1e-12)
    if 1e-38 < scale < 1e38:
        mask = torch.from_numpy(~np.isnan(score + label))
        s, y = torch.tensor(score * scale), torch.tensor(label)
        np.testing.assert_allclose(tensor_ic.information_coefficient(s, y, mask), expected, atol=2e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_both_ics_of_many_days_are_those_of_qlib(ties):
    score, label = random_frame(300, 40, seed=0, ties=ties), random_frame(300, 40, seed=1, ties=ties)
    long = [frame.stack().rename(name) for frame, name in ((score, "score"), (label, "label"))]
    ic, rank_ic = calc_ic(*long)
    s, y = score.to_numpy(), label.to_numpy()
    np.testing.assert_allclose(metrics.information_coefficient(s, y), ic, atol=1e-12)
    np.testing.assert_allclose(metrics.rank_information_coefficient(s, y), rank_ic, atol=1e-12)


def test_the_rank_ic_of_rows_is_that_of_their_matrices():
    score, label = random_frame(6, 9, seed=0), random_frame(6, 9, seed=1)
    label.iloc[2] = np.nan
    label.iloc[3, 4] = np.inf
    rows = [frame.stack(future_stack=True).sample(frac=1, random_state=0) for frame in (score, label)]
    found = metrics.daily_rank_ic(rows[0].dropna(), rows[1])
    known = label.replace(np.inf, np.nan)
    np.testing.assert_allclose(found, metrics.rank_information_coefficient(score.to_numpy(), known.to_numpy()))
    assert list(found.index) == list(score.index)


def test_a_perfect_and_a_reversed_score():
    s = np.array([[1.0, 2.0, 3.0, np.nan], [3.0, 2.0, 1.0, 5.0]])
    y = np.array([[1.0, 4.0, 9.0, 1.0], [1.0, 4.0, 9.0, np.nan]])
    np.testing.assert_allclose(metrics.rank_information_coefficient(s, y), [1, -1])


def test_days_that_have_no_ic():
    s = np.array([[0.1] * 7, [1, np.nan, 2, 3, 4, 5, 6], [1, *[np.nan] * 6], [np.nan] * 7])
    y = np.array([[1, 2, 3, 4, 5, 6, 7], [0.3] * 7, [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7]], dtype=float)
    assert np.isnan(metrics.information_coefficient(s, y)).all(), "a constant one, one stock, none"
    assert np.isnan(metrics.rank_information_coefficient(s, y)).all()


def test_a_large_level_does_not_hide_the_correlation():
    s, y = random_frame(5, 30, holes=0).to_numpy(), random_frame(5, 30, seed=1, holes=0).to_numpy()
    np.testing.assert_allclose(
        metrics.information_coefficient(s + 1e6, y), metrics.information_coefficient(s, y), atol=1e-8
    )


def test_summary_by_year():
    ic = pd.Series([0.1, 0.3, -0.1, np.nan, 0.2], pd.to_datetime(["2019-12-30", "2019-12-31", *DAYS_OF_2020]))
    summary = metrics.ic_summary(ic)
    assert list(summary.index) == ["all", "2019", "2020"]
    np.testing.assert_allclose(summary.loc["2019"], [0.2, np.sqrt(0.02), 0.2 / np.sqrt(0.02), 1, 2])
    np.testing.assert_allclose(summary.loc["2020"], [0.05, np.sqrt(0.045), 0.05 / np.sqrt(0.045), 0.5, 2])
    known = ic.dropna()
    expected = [known.mean(), known.std(), known.mean() / known.std(), 0.75, 4]
    np.testing.assert_allclose(summary.loc["all"], expected)


DAYS_OF_2020 = ["2020-01-02", "2020-01-03", "2020-02-03"]


def test_an_ic_of_nought_is_not_above_it():
    assert metrics.ic_summary(pd.Series([0.0, 0.1], pd.to_datetime(DAYS_OF_2020[:2]))).loc["all", "positive"] == 0.5


def test_an_icir_needs_two_days_that_differ():
    one = metrics.ic_summary(pd.Series([0.1], pd.to_datetime(["2020-01-02"])))
    assert one.loc["all", "mean"] == 0.1
    assert np.isnan(one.loc["all", "icir"])


def test_months_of_the_years():
    ic = random_frame(300, 1, holes=0).iloc[:, 0]
    table = metrics.monthly_mean(ic)
    assert list(table.columns) == list(range(1, 13))
    assert list(table.index) == [2019, 2020, 2021]
    assert table.loc[2020, 3] == pytest.approx(ic["2020-03"].mean())
    assert np.isnan(table.loc[2019, 11]), "before the first day"

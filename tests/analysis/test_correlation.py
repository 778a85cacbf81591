from __future__ import annotations

import numpy as np
import pytest

from qlib_ext.analysis.correlation import rank_correlation, score_correlation
from tests.analysis.matrices import random_frame


def slow(a, b):
    """Day by day, with pandas."""
    daily = [a.loc[day].corr(b.loc[day], method="spearman") for day in a.index]
    return np.nanmean(daily)


@pytest.fixture(scope="module")
def frames():
    base = random_frame(140, 20, seed=0)
    frames = {
        name: base * weight + random_frame(140, 20, seed=k, holes=hole)
        for k, (name, weight, hole) in enumerate([("one", 1.0, 0.0), ("holes", 0.5, 0.3), ("whole", -0.3, 0.0)], 1)
    }
    return frames | {"ties": random_frame(140, 20, seed=9, ties=True, holes=0.2)}


def test_every_pair_is_the_mean_of_the_days_spearman_correlations(frames):
    matrices = {name: frame.to_numpy() for name, frame in frames.items()}
    table = rank_correlation(matrices, matrices)
    for name, a in frames.items():
        for other, b in frames.items():
            assert table.loc[name, other] == pytest.approx(slow(a, b), abs=1e-12)


def test_two_sides_may_share_a_name(frames):
    matrices = {name: frame.to_numpy() for name, frame in frames.items()}
    turned = dict(zip(matrices, reversed(matrices.values()), strict=True))
    table = rank_correlation(matrices, turned)
    for name, other in zip(frames, reversed(frames), strict=True):
        assert table.loc[name, "one"] == pytest.approx(slow(frames[name], frames["ties"]), abs=1e-12)
        assert table.loc[name, other] == pytest.approx(slow(frames[name], frames[name]), abs=1e-12)


def test_a_constant_has_no_correlation(frames):
    a = frames["one"].to_numpy()
    table = rank_correlation({"a": a}, {"constant": np.ones_like(a), "a": a})
    assert np.isnan(table.loc["a", "constant"])
    assert table.loc["a", "a"] == pytest.approx(1)


def test_days_without_common_stocks_do_not_count():
    a = random_frame(10, 8, holes=0)
    b = a.copy()
    b.iloc[:5] = np.nan
    table = rank_correlation({"a": a.to_numpy()}, {"b": b.to_numpy()})
    assert table.loc["a", "b"] == pytest.approx(1)


def test_each_pair_of_scores_is_compared_where_both_are():
    """Scores of other days and other stocks each; the reference walks over what a pair shares."""
    base = random_frame(60, 12, seed=3, holes=0.0)
    scores = {
        "long": base + random_frame(60, 12, seed=4),
        "late": (base + random_frame(60, 12, seed=5)).iloc[25:, :9],
        "other": (random_frame(60, 12, seed=6) - base).iloc[:40, 4:],
    }
    table = score_correlation(scores)
    for name, a in scores.items():
        for other, b in scores.items():
            days, stocks = a.index.intersection(b.index), a.columns.intersection(b.columns)
            assert table.loc[name, other] == pytest.approx(slow(a.loc[days, stocks], b.loc[days, stocks]), abs=1e-12)
    assert table.loc["late", "other"] < 0


def test_scores_that_share_no_day_have_no_correlation():
    frame = random_frame(20, 8, holes=0.0)
    table = score_correlation({"early": frame.iloc[:10], "late": frame.iloc[10:]})
    assert np.isnan(table.loc["early", "late"])
    assert table.loc["late", "late"] == pytest.approx(1)

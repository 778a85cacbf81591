"""The k highest scores against a loop over days, and exposures against a loop over stocks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.analysis.exposures import exposure_frames
from qlib_ext.analysis.top_k import top_k_frame

DAYS = pd.bdate_range("2020-01-01", periods=60)


@pytest.fixture
def frames():
    random = np.random.default_rng(2)
    score = pd.DataFrame(random.normal(size=(60, 45)), DAYS)
    score = score.mask(random.random(score.shape) < 0.1)
    return score, pd.DataFrame(np.exp(random.normal(0, 0.02, score.shape).cumsum(0)), DAYS)


def test_the_highest_scores_are_held(frames):
    score, price = frames
    table = top_k_frame(score, price, 7)
    assert list(table.index) == ["10", "20"], "at most half of the stocks"
    for k in (10, 20):
        excess, new, before = pd.Series(np.nan, DAYS), [], None
        for start in range(0, 60, 7):
            own = score.iloc[start].dropna().sort_values(ascending=False).index
            end = min(start + 8, 59)
            bought = price.iloc[start + 1 : end + 1] / price.iloc[start + 1]
            daily = [bought[list(held)].mean(axis=1).pct_change() for held in (own[:k], own)]
            excess.iloc[start + 2 : end + 1] = (daily[0] - daily[1]).iloc[1:]
            new += [] if before is None else [len({*own[:k]} - before) / k]
            before = {*own[:k]}
        r = excess.dropna()
        row = table.loc[str(k)]
        assert row["annual_excess_return"] == pytest.approx((1 + r).prod() ** (252 / len(r)) - 1)
        assert row["information_ratio"] == pytest.approx(np.sqrt(252) * r.mean() / r.std())
        assert row["turnover"] == pytest.approx(np.mean(new))


def test_few_stocks_have_no_top(frames):
    score, price = (frame.iloc[:, :15] for frame in frames)
    assert top_k_frame(score, price, 5).empty


def test_exposures_to_size_and_industries(frames):
    score, price = frames
    industry = pd.DataFrame([np.arange(45) % 3 + 1.0] * 60, DAYS, score.columns)
    size = price * 1e9
    found = exposure_frames(score, {"$industry": industry, "$float_mv": size}, 10)["exposures.pkl"]
    assert list(found.columns) == ["size", "industry_1", "industry_2", "industry_3"]
    assert list(found.index) == list(DAYS[::10])
    for day in found.index:
        s = score.loc[day].dropna()
        z = (s - s.mean()) / s.std(ddof=0)
        assert found.loc[day, "size"] == pytest.approx(s.corr(size.loc[day], method="spearman"))
        for number in (1, 2, 3):
            expected = z[industry.loc[day, z.index] == number].mean()
            assert found.loc[day, f"industry_{number}"] == pytest.approx(expected)
    assert exposure_frames(score, {"$industry": industry}, 10) == {}

"""A score inside indices against a test of each day's members, one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.analysis.groups import group_test
from qlib_ext.analysis.indices import index_frames, index_metrics, index_test
from tests.analysis.matrices import random_frame, random_prices


@pytest.fixture
def market():
    """A score, a label and prices from December 2019 on, a year and a half."""
    days = 380
    score, price = random_frame(days, 30), random_prices(days, 30)
    return score, random_frame(days, 30, seed=7), price


def test_the_figures_of_a_period_are_those_of_its_days(market):
    score, label, price = market
    found, test = index_test(score, label, price, 3, 5)
    assert list(found.index) == ["all", "since_2020", "2019", "2020", "2021"]
    excess = group_test(score, price, 5, 5).returns
    excess = (excess[1] - excess["universe"]).dropna()
    for period, span in {
        "all": slice(None),
        "since_2020": slice("2020-01-01", None),
        "2020": slice("2020", "2020"),
    }.items():
        ic = score.iloc[::3].loc[span].corrwith(label.iloc[::3].loc[span], axis=1, method="spearman").dropna()
        own, row = excess.loc[span], found.loc[period]
        value = (1 + own).cumprod()
        assert row["rank_ic"] == pytest.approx(ic.mean())
        assert row["icir"] == pytest.approx(ic.mean() / ic.std())
        assert row["positive"] == pytest.approx((ic > 0).mean())
        assert row["annual_excess_return"] == pytest.approx(value.iloc[-1] ** (252 / len(own)) - 1)
        assert row["excess_volatility"] == pytest.approx(own.std() * np.sqrt(252))
        peak = np.maximum.accumulate(np.append(1.0, value))[1:]
        assert row["excess_max_drawdown"] == pytest.approx((value / peak - 1).min())
        assert row["turnover"] == pytest.approx(test.turnover[1].loc[span].mean())
        assert row["stocks"] == score.count(axis=1).loc[span].median()


def test_members_are_those_of_the_day(copy, init):
    first, last = pd.Timestamp("2000-01-01"), pd.Timestamp("2030-01-01")
    turn = pd.Timestamp("2020-06-01")
    names = [f"SH{600000 + i}" for i in range(20)]
    members = {name: [(first, turn) if i < 8 else (first, last)] for i, name in enumerate(names)}
    init(copy("provider", members))
    score, label, price = random_frame(200, 20, holes=0), random_frame(200, 20, seed=3, holes=0), random_prices(200, 20)
    frames, missing = index_frames(score, label, price, ["csi300", "csi9"], 5, 5)
    expected, _ = index_test(score.where((score.index <= turn)[:, None] | (np.arange(20) >= 8)), label, price, 5, 5)
    pd.testing.assert_frame_equal(frames["index_tests.pkl"].loc["csi300"], expected, check_names=False)
    assert expected.loc["2019", "stocks"] == 20
    assert frames["index_tests.pkl"].index.get_level_values(0).unique().tolist() == ["csi300"]
    assert "The universe 'csi9' is not in" in missing["csi9"]
    assert index_metrics(frames)["factor.csi300.rank_ic"] == expected.loc["all", "rank_ic"]
    assert frames["index_groups.pkl"].index.tolist() == [1, 2, 3, 4, 5]


def test_an_index_without_scores_or_too_small_is_left_out(copy, init):
    span = [(pd.Timestamp("2000-01-01"), pd.Timestamp("2030-01-01"))]
    score, price = random_frame(60, 20), random_prices(60, 20)
    init(copy("few", {f"SH{600000 + i}": span for i in range(3)}))
    frames, missing = index_frames(score, score, price, ["csi300"], 5, 5)
    assert (frames, index_metrics(frames)) == ({}, {})
    assert "forms 5 groups" in missing["csi300"]
    init(copy("strangers", {"SH699999": span}))
    assert index_frames(score, score, price, ["csi300"], 5, 5)[1] == {"csi300": "none of its members has a score"}

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qlib.contrib.eva.alpha import calc_long_short_return

from qlib_ext.analysis.groups import (
    UNIVERSE,
    assign_groups,
    group_summary,
    group_test,
    turnover,
)
from qlib_ext.errors import ConfigError, DataError
from tests.analysis.matrices import random_frame, random_prices


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 60), st.integers(2, 20), st.randoms())
def test_groups_are_as_large_as_each_other_and_in_the_scores_order(count, n, random):
    score = np.array([random.sample(range(1000), count)], dtype=float)
    group = assign_groups(score, n)[0]
    if count < n:
        assert not group.any()
        return
    sizes = np.bincount(group, minlength=n + 1)[1:]
    assert sizes.sum() == count
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(group[np.argsort(-score[0])]) >= 0).all(), "1 is the group of the highest scores"


@pytest.mark.parametrize(("count", "n"), [(60, 5), (60, 20), (23, 5), (48, 10), (21, 20)])
def test_groups_are_those_of_qcut(count, n):
    for seed in range(20):
        score = random_frame(1, count, seed=seed, holes=0)
        theirs = pd.qcut(score.iloc[0], n, labels=False)
        np.testing.assert_array_equal(assign_groups(score.to_numpy(), n)[0], n - theirs)


def test_equal_scores_share_the_lower_group():
    score = np.array([[1.0, 2.0, 2.0, 2.0, 3.0, np.nan]])
    assert assign_groups(score, 2).tolist() == [[2, 2, 2, 2, 1, 0]]
    assert assign_groups(np.array([[1.0, 1.0, 1.0]]), 2).tolist() == [[0, 0, 0]], "a constant score forms none"


def slow_returns(score, price, n, rebalance):
    """The same test, stock by stock."""
    price = price.ffill()
    days = list(score.index)
    result = pd.DataFrame(np.nan, score.index, [*range(1, n + 1), UNIVERSE])
    holdings, bought = None, None
    for now, day in enumerate(days):
        if holdings is not None and now > bought:
            for name, stocks in holdings.items():
                values = {}
                for when in (days[now - 1], day):
                    paid = [price.loc[when, s] / price.loc[days[bought], s] for s in stocks]
                    values[when] = np.mean(paid) if paid else np.nan
                result.loc[day, name] = values[day] / values[days[now - 1]] - 1
        formed = (now - 1) % rebalance == 0 and score.iloc[now - 1].notna().sum() >= n
        if now and formed:
            group = n - pd.qcut(score.iloc[now - 1], n, labels=False)
            ready = [s for s in score if group.notna()[s] and np.isfinite(price.loc[day, s])]
            holdings = {g: [s for s in ready if group[s] == g] for g in range(1, n + 1)} | {UNIVERSE: ready}
            bought = now
    return result


@pytest.mark.parametrize("rebalance", [1, 3, 5])
def test_returns_are_those_of_the_slow_way(rebalance):
    score, price = random_frame(days=31), random_prices(days=31)
    price.iloc[:9, 2] = np.nan  # listed late
    price.iloc[15:, 7] = np.nan  # delisted
    score.iloc[rebalance * 2, 3:] = np.nan  # fewer scores than groups: holdings stay
    score.iloc[25:] = np.nan  # holdings to the end
    test = group_test(score, price, 5, rebalance)
    pd.testing.assert_frame_equal(test.returns, slow_returns(score, price, 5, rebalance), check_names=False, rtol=1e-10)


@pytest.mark.parametrize("wrong", [0.0, -1.0])
def test_a_price_that_is_not_above_zero_is_none(wrong):
    score, price = random_frame(days=31), random_prices(days=31, holes=0)
    halted = random_frame(days=31, seed=5, holes=0.2).isna()
    expected = group_test(score, price.mask(halted), 5)
    found = group_test(score, price.mask(halted, wrong), 5)
    pd.testing.assert_frame_equal(found.returns, expected.returns)
    pd.testing.assert_frame_equal(found.turnover, expected.turnover)


def test_the_score_of_a_day_earns_nothing_before_the_day_after_next():
    score, price = random_frame(days=12, holes=0), random_prices(days=12, holes=0)
    returns = group_test(score, price, 5, 5).returns
    assert returns.iloc[:2].isna().all(axis=None)
    assert returns.iloc[2:].notna().all(axis=None)
    later = price.copy()
    later.iloc[8:] *= random_prices(days=12, seed=9, holes=0).iloc[8:]
    pd.testing.assert_frame_equal(group_test(score, later, 5, 5).returns.iloc[:8], returns.iloc[:8])


def test_daily_groups_are_qlibs_long_short_return():
    score, price = random_frame(80, 40, holes=0), random_prices(80, 40, holes=0)
    label = price.shift(-2) / price.shift(-1) - 1
    half, average = calc_long_short_return(score.stack(), label.stack(future_stack=True), quantile=0.2)
    test = group_test(score, price, 5, rebalance=1)
    np.testing.assert_allclose(test.long_short.iloc[2:], 2 * half.iloc[:-2], atol=1e-12)
    np.testing.assert_allclose(test.returns[UNIVERSE].iloc[2:], average.iloc[:-2], atol=1e-12)


def test_turnover_counts_new_names():
    groups = np.array([[1, 1, 2, 2], [1, 2, 1, 2], [1, 2, 1, 0], [0, 2, 0, 0]])
    np.testing.assert_array_equal(turnover(groups, 2), [[np.nan] * 2, [0.5, 0.5], [0, 0], [np.nan, 0]])


def test_summary_puts_the_pieces_together():
    score, price = random_frame(days=120, holes=0), random_prices(days=120)
    test = group_test(score, price, 5)
    summary = group_summary(test)
    assert list(summary.index) == [1, 2, 3, 4, 5, "long_short"]
    top = test.returns[1] - test.returns[UNIVERSE]
    assert summary.loc[1, "information_ratio"] == pytest.approx(np.sqrt(252) * top.mean() / top.std())
    assert summary.loc[1, "annual_excess_return"] == pytest.approx((1 + top).prod() ** (252 / top.count()) - 1)
    assert summary.loc[3, "sharpe"] == pytest.approx(np.sqrt(252) * test.returns[3].mean() / test.returns[3].std())
    assert summary.loc[2, "turnover"] == pytest.approx(test.turnover[2].mean())
    hedge = test.returns[1] - test.returns[5]
    assert summary.loc["long_short", "volatility"] == pytest.approx(np.sqrt(252) * hedge.std())
    assert summary.loc["long_short"].isna().sum() == 6


def test_perfect_foresight_sorts_the_groups():
    price = random_prices(120, 40, holes=0)
    foresight = price.shift(-6) / price.shift(-1) - 1
    returns = group_summary(group_test(foresight, price, 5))["annual_return"]
    assert (returns.loc[1:5].diff().dropna() < 0).all()


@pytest.mark.parametrize(("n", "rebalance"), [(1, 5), (5, 0)])
def test_settings_that_make_no_sense(n, rebalance):
    with pytest.raises(ConfigError, match="at least"):
        group_test(random_frame(), random_prices(), n, rebalance)


def test_scores_that_form_no_groups():
    with pytest.raises(DataError, match=r"forms 24 groups .* 23 scores at most"):
        group_test(random_frame(), random_prices(), 24)
    with pytest.raises(DataError, match="forms 5 groups"):
        group_test(random_frame() * 0, random_prices(), 5)

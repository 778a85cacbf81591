"""Weightings of the whole market's scores: found on earlier days alone, by the formulas that they name."""
from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import truth_weights
from benchmarks.truth_train import REACH
from benchmarks.truth_weights import WEIGHTINGS, by_icir, walked
from qlib_ext.cross_section.ic import daily_rank_ic

DAYS, STOCKS = 70, 30


@pytest.fixture(autouse=True)
def short_history(monkeypatch):
    monkeypatch.setattr(truth_weights, "TRAIN", 35)
    monkeypatch.setattr(truth_weights, "STEP", 8)


@pytest.fixture(scope="module")
def market():
    random = np.random.default_rng(0)
    days = pd.bdate_range("2020-01-01", periods=DAYS)
    index = pd.MultiIndex.from_product([days, [f"S{k}" for k in range(STOCKS)]], names=["datetime", "instrument"])
    label = pd.Series(random.standard_normal(len(index)), index, name="label")
    noise = random.standard_normal((len(index), 2))
    features = pd.DataFrame({"good": label + noise[:, 0], "bad": noise[:, 1] - 0.2 * label})
    return features, label


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_weighting_knows_no_label_that_is_not_known_yet(market, name):
    features, label = market
    days = features.index.unique("datetime")
    first = truth_weights.TRAIN + REACH + truth_weights.STEP  # the second block's first day
    garbled = label.where(label.index.get_level_values("datetime") < days[first - REACH], 9.0)
    scores, again = (walked(features, own, WEIGHTINGS[name]) for own in (label, garbled))
    until = days[first + truth_weights.STEP - 1]
    pd.testing.assert_series_equal(scores[:until], again[:until])
    assert scores.index.unique("datetime").equals(days[truth_weights.TRAIN + REACH :])
    if name != truth_weights.EQUAL:
        assert not scores.equals(again)


def test_icir_weights_are_those_of_the_known_days(market):
    features, label = market
    ic = pd.DataFrame({name: daily_rank_ic(score, label) for name, score in features.items()})
    weights = ic.mean() / ic.std()
    assert weights["good"] > 1 > 0 > weights["bad"]
    expected = features["good"] * weights["good"] + features["bad"] * weights["bad"]
    pd.testing.assert_series_equal(by_icir(features, label, features), expected, check_names=False)


def test_trees_find_the_good_source(market):
    features, label = market
    scores = walked(features, label, WEIGHTINGS["trees"])
    assert daily_rank_ic(scores, label).mean() > 0.3

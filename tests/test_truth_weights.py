"""Weightings of the whole market's scores: found on earlier days alone, by the formulas that they name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import truth_weights
from benchmarks.truth_state import by_long_only_and_state
from benchmarks.truth_train import REACH
from benchmarks.truth_weights import WEIGHTINGS, by_icir, walked
from tests.models.cases import risk_folder
from tests.models.test_state_weighting import slow_long_only

DAYS, STOCKS = 70, 30


@pytest.fixture(autouse=True)
def short_history(monkeypatch):
    monkeypatch.setattr(truth_weights, "TRAIN", 35)
    monkeypatch.setattr(truth_weights, "STEP", 8)


@pytest.fixture(scope="module")
def market():
    random = np.random.default_rng(0)
    label = random.standard_normal((DAYS, STOCKS))
    label[3, :5] = np.nan
    noise = random.standard_normal((2, DAYS, STOCKS))
    features = np.stack([np.nan_to_num(label) + noise[0], noise[1] - 0.3 * np.nan_to_num(label)])
    features[:, 60, 2] = np.nan
    return features, label


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_weighting_knows_no_label_that_is_not_known_yet(market, name):
    features, label = market
    first = truth_weights.TRAIN + REACH + truth_weights.STEP  # the second block's first day
    garbled = label.copy()
    garbled[first - REACH :] = np.random.default_rng(1).standard_normal((DAYS - first + REACH, STOCKS))
    scores, again = (walked(features, own, WEIGHTINGS[name]) for own in (label, garbled))
    assert scores.shape == (DAYS - truth_weights.TRAIN - REACH, STOCKS)
    until = 2 * truth_weights.STEP
    np.testing.assert_array_equal(scores[:until], again[:until])
    assert np.array_equal(scores, again, equal_nan=True) == (name == truth_weights.EQUAL)
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(features[0, -len(scores) :]))


def test_icir_weights_are_those_of_the_known_days(market):
    features, label = market
    y = pd.DataFrame(label)
    daily = [pd.DataFrame(score).corrwith(y, axis=1, method="spearman") for score in features]
    good, bad = (ic.mean() / ic.std() for ic in daily)
    assert good > 1 > 0 > bad
    np.testing.assert_allclose(by_icir(features, label, features), good * features[0] + bad * features[1], rtol=1e-9)


def test_trees_find_the_good_source(market):
    features, label = market
    scores = pd.DataFrame(walked(features, label, WEIGHTINGS["trees"]))
    ic = scores.corrwith(pd.DataFrame(label[-len(scores) :]), axis=1, method="spearman")
    assert ic.mean() > 0.3


def by_state(features, label):
    days = pd.bdate_range("2020-01-01", periods=DAYS)
    windows = range(truth_weights.TRAIN + REACH, DAYS, truth_weights.STEP)
    return by_long_only_and_state(features, label, days, risk_folder(), windows, truth_weights.TRAIN, 0.4)


def test_weightings_by_state_know_no_label_that_is_not_known_yet(market):
    features, label = market
    garbled = label.copy()
    garbled[truth_weights.TRAIN + truth_weights.STEP :] *= -7
    scores, again = by_state(features, label), by_state(features, garbled)
    for name, score in scores.items():
        assert score.shape == (DAYS - truth_weights.TRAIN - REACH, STOCKS)
        until = 2 * truth_weights.STEP
        np.testing.assert_array_equal(score[:until], again[name][:until])
    assert not np.allclose(scores["long-only"], again["long-only"], equal_nan=True)


def test_long_only_weights_are_what_the_best_stocks_earned_on_the_known_days(market):
    features, label = market
    index = pd.MultiIndex.from_product([range(DAYS), range(STOCKS)], names=["datetime", "instrument"])
    columns = pd.MultiIndex.from_tuples([("feature", "F0"), ("feature", "F1"), ("label", "LABEL0")])
    rows = pd.DataFrame(np.stack([*features, label], -1).reshape(-1, 3), index, columns)
    v = slow_long_only(rows.loc[: truth_weights.TRAIN - 1].dropna(), 0.1).to_numpy()
    first = slice(truth_weights.TRAIN + REACH, truth_weights.TRAIN + REACH + truth_weights.STEP)
    found = by_state(features, label)["long-only"][: truth_weights.STEP]
    np.testing.assert_allclose(found, np.tensordot(v / v.sum(), features[:, first], 1), rtol=1e-9)

"""Weightings of the whole market's scores: found on earlier days alone, by the formulas that they name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import truth_weights
from benchmarks.truth_train import REACH
from benchmarks.truth_weights import WEIGHTINGS, by_icir, walked

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

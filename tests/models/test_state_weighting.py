"""Weights by long-only returns and by the market's state against slow formulas, and what of the future they read."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from qlib_ext.cross_section.ic import daily_rank_ic
from qlib_ext.errors import ConfigError, DataError, NotFittedError
from qlib_ext.models import weighting
from qlib_ext.models.state_weighting import Moments, StateWeight
from qlib_ext.models.weighting import LongOnlyWeight
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.testing.rows import SEGMENTS, dataset_of, random_rows
from tests.models.cases import risk_folder, risk_model_of
from tests.models.test_weighting import part, z_scored

ROWS = random_rows(stocks=30, fields=3, holes=0.05, seed=4)
LONG = {
    "train": ("2020-01-01", "2020-06-30"),
    "valid": ("2020-07-01", "2020-08-31"),
    "test": ("2020-09-01", "2020-10-30"),
}


def slow_long_only(train: pd.DataFrame, top: float) -> pd.Series:
    """Day by day and stock by stock."""
    excess = []
    for _, day in train.groupby(level="datetime"):
        label = day["label"]["LABEL0"]
        own = {}
        for name, feature in day["feature"].items():
            best = [k for k in range(len(day)) if (feature <= feature.iloc[k]).sum() > len(day) * (1 - top)]
            own[name] = label.iloc[best].mean() - label.mean()
        excess.append(own)
    return pd.DataFrame(excess).mean().clip(lower=0)


def two_regimes(folder) -> tuple[pd.DataFrame, str]:
    """The label follows F0 after days on which the market rose, F1 after others; and the risk model of that market."""
    rows = random_rows(days=220, stocks=40, fields=2, holes=0.0, seed=2)
    generator = np.random.default_rng(3)
    days = pd.bdate_range("2019-11-25", "2020-12-31")
    market = 0.01 * np.repeat(generator.choice([-1.0, 1.0], len(days) // 15 + 1), 15)[: len(days)]
    returns = pd.DataFrame({"f.market": market, "f.size": 0.001 * generator.standard_normal(len(days))}, days)
    rising = (returns["f.market"] > 0).reindex(rows.index.get_level_values("datetime")).to_numpy()
    noise = generator.standard_normal(len(rows))
    rows[("label", "LABEL0")] = np.where(rising, rows[("feature", "F0")], rows[("feature", "F1")]) + noise
    return rows, risk_model_of(returns, str(folder))


@pytest.fixture(scope="module")
def regimes(tmp_path_factory):
    rows, risk = two_regimes(tmp_path_factory.mktemp("risk") / "model")
    data = dataset_of(rows, segments=LONG, purge=0)
    model = StateWeight(risk, state_days=3, start="equal", lr=0.02, n_epochs=100)
    model.fit(data)
    return model, data, rows


def test_long_only_weights_are_what_the_best_stocks_earned():
    data = dataset_of(ROWS, purge=0)
    model = LongOnlyWeight(top=0.2)
    model.fit(data)
    expected = slow_long_only(part(ROWS, "train"), 0.2)
    np.testing.assert_allclose(model.weights_, expected, rtol=1e-5)
    z = z_scored(part(ROWS, "test")["feature"])
    found = model.predict(data)
    np.testing.assert_allclose(found, sum(z[k] * w for k, w in expected.items()) / expected.sum(), rtol=1e-4, atol=1e-6)


def test_a_feature_whose_best_stocks_lose_counts_nothing():
    rows = ROWS.copy()
    rows[("feature", "F1")] = -rows[("label", "LABEL0")]
    data = dataset_of(rows, purge=0)
    model = StateWeight(risk_folder(), n_epochs=3)
    model.fit(data)
    assert model.weights_["F1"] == 0
    assert (model.state_weights(pd.DatetimeIndex(["2020-03-10"]))["F1"] == 0).all()


def test_where_no_features_best_stocks_win_all_count_the_same_and_it_is_said(monkeypatch):
    rows, lines = ROWS.copy(), []
    for name in ("F0", "F1", "F2"):
        rows[("feature", name)] = -rows[("label", "LABEL0")]
    monkeypatch.setattr(weighting, "logger", SimpleNamespace(warning=lines.append))
    model = LongOnlyWeight()
    model.fit(dataset_of(rows, purge=0))
    assert (model.weights_ == 1).all()
    assert "best 10% of the stocks by each of 3 features did no better than all over 33 training days" in lines[0]


def test_the_correlation_by_moments_is_that_of_the_weighted_score():
    train = part(ROWS, "train").dropna()
    weights = np.random.default_rng(0).uniform(size=(train.index.unique("datetime").size, 3))
    moments = Moments.of_rows(train["feature"], train["label"]["LABEL0"])
    z = z_scored(train["feature"])
    expected = [
        np.corrcoef(z.loc[day].to_numpy() @ w, train["label"]["LABEL0"].loc[day])[0, 1]
        for day, w in zip(moments.days, weights, strict=True)
    ]
    np.testing.assert_allclose(moments.ic(torch.from_numpy(weights)), expected, rtol=1e-5)


def test_without_training_the_weights_are_those_of_long_only_returns():
    data = dataset_of(ROWS, purge=0)
    state, alone = StateWeight(risk_folder(), n_epochs=0), LongOnlyWeight()
    for model in (state, alone):
        model.fit(data)
    np.testing.assert_allclose(state.predict(data), alone.predict(data), rtol=1e-5, atol=1e-7)


def test_the_score_of_a_day_is_weighted_by_its_state(regimes):
    model, data, rows = regimes
    z = z_scored(rows.loc[slice(*LONG["test"])]["feature"])
    weights = model.state_weights(z.index.unique("datetime"))
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    slow = [(z.loc[day] * weights.loc[day]).sum(axis=1).to_numpy() for day in weights.index]
    np.testing.assert_allclose(model.predict(data), np.concatenate(slow), rtol=1e-4, atol=1e-6)


def test_the_state_says_which_feature_counts(regimes):
    """What was planted is found: after days of a rising market F0, else F1; equal weights know of neither."""
    model, data, rows = regimes
    equal = StateWeight(model.risk, state_days=3, start="equal", n_epochs=0)
    equal.fit(data)
    label = rows.loc[slice(*LONG["test"])]["label"]["LABEL0"]
    by_state, alike = (daily_rank_ic(each.predict(data), label).mean() for each in (model, equal))
    assert by_state > alike + 0.1


def test_returns_from_a_day_on_change_no_weight_before(regimes, tmp_path):
    model, data, _ = regimes
    days = data.prepare("test", col_set="feature").index.unique("datetime")
    returns = StyleRiskModel.read(model.risk).factor_returns.add_prefix("f.")
    returns.loc[returns.index > days[10]] *= -7
    weights, scores = model.state_weights(days), model.predict(data)
    risk, model.state_.folder = model.state_.folder, risk_model_of(returns, str(tmp_path / "garbage"))
    other, others = model.state_weights(days), model.predict(data)
    model.state_.folder = risk
    pd.testing.assert_frame_equal(weights.iloc[:11], other.iloc[:11])
    pd.testing.assert_series_equal(scores.loc[: days[10]], others.loc[: days[10]])
    assert not np.allclose(weights.iloc[11:], other.iloc[11:])


def test_the_training_knows_neither_test_days_nor_later_ones():
    other = ROWS.copy()
    other.loc[SEGMENTS["test"][0] :] *= -7
    weights = []
    for rows in (ROWS, other):
        model = StateWeight(risk_folder(), n_epochs=5)
        model.fit(dataset_of(rows, purge=0))
        weights.append(model.state_weights(pd.bdate_range("2020-03-09", "2020-03-20")))
    pd.testing.assert_frame_equal(*weights)


def test_the_same_seed_gives_the_same_weights_and_draws_no_number_of_the_users():
    data, days, weights = dataset_of(ROWS, purge=0), pd.bdate_range("2020-03-09", "2020-03-20"), []
    for seed in (0, 0, 1):
        torch.manual_seed(5)
        model = StateWeight(risk_folder(), n_epochs=5, lr=0.1, seed=seed)
        model.fit(data)
        weights.append(model.state_weights(days))
        assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(5))
    pd.testing.assert_frame_equal(weights[0], weights[1])
    assert not np.allclose(weights[0], weights[2])


def test_what_cannot_be_weighted_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="top is the share of the stocks that are held, between 0 and 1, not 1"):
        StateWeight(risk_folder(), top=1.0)
    with pytest.raises(ConfigError, match="start is one of"):
        StateWeight(risk_folder(), start="icir")
    with pytest.raises(ConfigError, match="did you mean 'early_stop'"):
        StateWeight(risk_folder(), early_stopp=3)
    with pytest.raises(ConfigError, match="StateWeight reads the returns of factors: give risk"):
        StateWeight()
    with pytest.raises(NotFittedError, match="StateWeight has no weights yet"):
        StateWeight(risk_folder()).predict(dataset_of(ROWS))
    with pytest.raises(DataError, match="holds no risk model"):
        StateWeight(str(tmp_path / "none")).fit(dataset_of(ROWS, purge=0))
    returns = StyleRiskModel.read(risk_folder()).factor_returns.add_prefix("f.")
    late = risk_model_of(returns.loc["2020-01-15":], str(tmp_path / "late"))
    with pytest.raises(DataError, match="lacks returns of factors for"):
        StateWeight(late).fit(dataset_of(ROWS, purge=0))

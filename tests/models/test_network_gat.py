"""NetworkGAT hears of the networks that it was told, weighs them by what was known, and refuses what is not there."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.models.base import layout_of
from qlib_ext.models.network_gat import NetworkGAT
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.testing.rows import dataset_of, random_rows
from tests.models.cases import INDICATORS, risk_folder, risk_model_of

SMALL = {
    "hidden_size": 6,
    "num_factors": 4,
    "num_heads": 2,
    "head_size": 3,
    "n_epochs": 2,
    "lr": 0.02,
    "GPU": -1,
    "seed": 0,
}
DAY = pd.Timestamp("2020-03-18")


@pytest.fixture(scope="module")
def rows():
    return random_rows(seed=7)


@pytest.fixture(scope="module")
def model(rows):
    model = NetworkGAT(**SMALL, risk=risk_folder())
    model.fit(dataset_of(rows, INDICATORS))
    return model


def related(rows, tables):
    data = dataset_of(rows, INDICATORS)
    data.handler.relation_tables = lambda: tables
    return data


def same_until(found, expected, day=DAY):
    days = expected.index.get_level_values("datetime")
    pd.testing.assert_series_equal(found[days <= day], expected[days <= day], check_exact=True)
    assert not np.allclose(found[days > day], expected[days > day])


def test_returns_of_factors_from_a_day_on_change_nothing_before(model, rows, tmp_path, monkeypatch):
    returns = StyleRiskModel.read(risk_folder()).factor_returns
    garbage = returns.copy()
    garbage.loc[garbage.index > DAY] = np.random.default_rng(1).uniform(-5, 5, garbage[garbage.index > DAY].shape)
    data = dataset_of(rows, INDICATORS)
    scores, weights = model.predict(data), model.state_weights(returns.index[30:])
    state = model.nets_[0].state
    monkeypatch.setattr(state, "folder", risk_model_of(garbage.add_prefix("f."), str(tmp_path)))
    same_until(model.predict(data), scores)
    same_until(model.state_weights(returns.index[30:]).stack(), weights.stack())


def test_relations_from_a_day_on_change_nothing_before(model, rows):
    data = dataset_of(rows, INDICATORS)
    tables = data.handler.relation_tables()
    ended = {name: table.with_columns(to=pl.lit(DAY.date())) for name, table in tables.items()}
    nobody = {name: table.with_columns(pl.lit(date(2021, 1, 1)).alias("from")) for name, table in tables.items()}
    same_until(model.predict(related(rows, ended)), model.predict(data))
    alone = model.predict(related(rows, nobody))
    assert not np.allclose(alone, model.predict(data)), "the networks are heard"


@pytest.mark.parametrize("read", [True, False])
def test_indicators_join_before_the_output(rows, read):
    """Where nothing comes of the bars, stocks differ by their indicators alone."""
    data = dataset_of(rows, INDICATORS)
    samples = data.samples("train", learn=True)
    model = NetworkGAT(**SMALL, weights="equal", indicators=read)
    net = model.build(layout_of(data.window, samples.panel), pd.Index([]))
    model.bind(net, samples.panel)
    for parameter in [*net.encoder.parameters(), *net.attention.parameters()]:
        parameter.data.zero_()
    batch = samples.batch(np.array([3]), data.window)
    scores = net.eval()(batch).score
    assert (scores.std() > 1e-3) == read
    bars = batch.x.clone()
    bars[:, :20] += torch.randn_like(bars[:, :20])  # the window, not the indicators behind it
    assert torch.equal(net(replace(batch, x=bars)).score, scores)
    assert torch.equal(net(replace(batch, x=batch.x + 1)).score, scores) != read


def test_networks_are_those_that_are_named(rows):
    data = dataset_of(rows)
    options = SMALL | {"weights": "equal", "indicators": False}
    industry = NetworkGAT(**options, networks=["industry"])
    industry.fit(data)
    assert industry.nets_[0].networks == ["industry"]
    assert industry.state_weights(pd.DatetimeIndex([DAY])) is None
    scores, tables = industry.predict(data), data.handler.relation_tables()
    unlike = tables["beside"].with_columns(source=pl.col("source").reverse())
    data.handler.relation_tables = lambda: tables | {"beside": unlike.filter(pl.col("source") != pl.col("target"))}
    pd.testing.assert_series_equal(industry.predict(data), scores)


def test_without_networks_the_encoder_and_the_indicators_are_left(rows):
    model = NetworkGAT(**SMALL, weights="equal", networks=[])
    alone = dataset_of(rows, INDICATORS, related=False)
    model.fit(alone)
    scores = model.predict(alone)
    pd.testing.assert_series_equal(model.predict(dataset_of(rows, INDICATORS)), scores)
    assert model.nets_[0].mlp.in_features == SMALL["hidden_size"] + 4
    assert model.state_weights(pd.DatetimeIndex([DAY])) is None


def test_weights_of_days_are_those_of_the_batches(model, rows):
    data = dataset_of(rows, INDICATORS)
    days = data.samples("test", learn=False).index.unique("datetime")
    weights = model.state_weights(days)
    assert list(weights.columns) == ["industry", "beside"]
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert weights["industry"].nunique() > 1, "the state changes them"
    trainer = model._trainer(model.nets_[0], data.samples("test", learn=False).panel, data.window)
    seen = [scores.network_weights for *_, scores in trainer.score(data.samples("test", learn=False))]
    np.testing.assert_allclose(np.concatenate([w.numpy() for w in seen]), weights, atol=1e-6)


def test_weights_that_are_not_equal_cost_what_they_lack_in_entropy(model, rows):
    data = dataset_of(rows, INDICATORS)
    samples = data.samples("train", learn=True)
    batch = samples.batch(np.array([3, 4]), data.window)
    scores = model.nets_[0](batch)._replace(network_weights=torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    without = model.loss(scores._replace(network_weights=None), batch)
    lacking = model.options.entropy * np.log(2) / 2
    assert (model.loss(scores, batch) - without).item() == pytest.approx(lacking, rel=1e-3)


def test_what_is_missing_is_refused_by_name(model, rows, tmp_path):
    def fit(data=None, **options):
        NetworkGAT(**SMALL, **options).fit(data or dataset_of(rows, INDICATORS))

    with pytest.raises(ConfigError, match="The network 'flow' is not among the relations of the handler, industry, be"):
        fit(weights="equal", networks=["industry", "flow"])
    with pytest.raises(ConfigError, match="give the handler relations"):
        fit(dataset_of(rows, INDICATORS, related=False), weights="equal")
    with pytest.raises(ConfigError, match=r"windows are window 5 x 4: take handlers\.fundamentals"):
        fit(dataset_of(rows), weights="equal")
    with pytest.raises(ConfigError, match="give risk, a folder"):
        NetworkGAT(**SMALL)
    with pytest.raises(ConfigError, match="networks names none, and weights: state would weigh them"):
        NetworkGAT(**SMALL, risk=risk_folder(), networks=[])
    with pytest.raises(DataError, match="holds no risk model"):
        fit(risk=str(tmp_path / "nothing"))
    returns = StyleRiskModel.read(risk_folder()).factor_returns.add_prefix("f.")
    late = risk_model_of(returns.loc["2020-02-03":], str(tmp_path / "late"))
    with pytest.raises(DataError, match="lacks returns of factors for 42 of 65 days, the first 2020-01-01"):
        fit(risk=late)
    without = related(
        rows, {name: t for name, t in dataset_of(rows).handler.relation_tables().items() if name != "beside"}
    )
    with pytest.raises(ConfigError, match="trained on the network 'beside'"):
        model.predict(without)

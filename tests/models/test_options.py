from __future__ import annotations

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
from qlib.contrib.model import pytorch_gats_ts, pytorch_gru_ts, pytorch_lstm_ts

from qlib_ext.errors import ConfigError
from qlib_ext.models import base
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.gats import GATs
from qlib_ext.models.gru import GRU
from qlib_ext.models.multitask_gru import MultiTaskGRU
from qlib_ext.models.resnet_gru import ResNetGRU
from qlib_ext.models.rsr import RSR
from qlib_ext.models.training import days_per_step
from qlib_ext.testing.rows import dataset_of, random_rows

ZOO = [(pytorch_gru_ts.GRU, GRU), (pytorch_lstm_ts.LSTM, GRU), (pytorch_gats_ts.GATs, GATs)]


@pytest.mark.parametrize(("zoo", "ours"), ZOO)
def test_every_keyword_of_the_zoo_is_taken_with_its_default(zoo, ours):
    defaults = {
        name: p.default
        for name, p in inspect.signature(zoo.__init__).parameters.items()
        if p.default is not inspect.Parameter.empty
    }
    model = ours(**defaults)
    for name in defaults.keys() - {"d_feat", "batch_size", "metric", "n_jobs"}:
        assert getattr(model.options, name) == getattr(ours().options, name) == defaults[name]


def test_an_unknown_keyword_names_the_nearest_one():
    with pytest.raises(ConfigError, match=r"'hiden_size'; did you mean 'hidden_size'\?"):
        GRU(hiden_size=32)
    with pytest.raises(ConfigError, match=r"'proximty'; did you mean 'proximity'\?"):
        ASTGNN(proximty=0.1)


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "mae"},
        {"metric": "sharpe"},
        {"optimizer": "newton"},
        {"n_epochs": 0},
        {"early_stop": 0},
        {"days_per_batch": 0},
        {"ema_decay": 1.0},
        {"ema_decay": -0.1},
        {"seeds": []},
        {"seeds": 1},
        {"seeds": "01"},
        {"seeds": ["x"]},
        {"n_epochs": "x"},
        {"n_epochs": 2.5},
        {"n_epochs": True},
        {"lr": "1e-3"},
        {"autocast": "yes"},
        {"metric": 1},
        {"batch_size": "5000"},
    ],
)
def test_values_that_make_no_sense_are_named(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        GRU(**options)


@pytest.mark.parametrize("kind", [GRU, GATs, MultiTaskGRU, RSR, ResNetGRU])
@pytest.mark.parametrize("options", [{"hidden_size": 0}, {"num_layers": 0}, {"dropout": 1.0}, {"base_model": "RNN"}])
def test_encoder_options_that_make_no_sense_are_named(kind, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        kind(**options)


@pytest.mark.parametrize("options", [{"n_epochs": np.int64(3)}, {"lr": 1}, {"batch_size": None}, {"seeds": (0, 1)}])
def test_values_of_the_options_types_are_taken(options):
    ((name, value),) = options.items()
    assert getattr(GRU(**options).options, name) == value


@pytest.mark.parametrize("options", [{"num_layers_gat": 0}])
def test_attention_options_that_make_no_sense_are_named(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        GATs(**options)


@pytest.mark.parametrize("options", [{"num_graph_layers": 0}, {"node_embedding": "industry"}])
def test_graph_options_that_make_no_sense_are_named(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        ASTGNN(**options)


def test_batch_size_becomes_whole_days():
    samples = dataset_of(random_rows(stocks=10, holes=0.0)).samples("train", learn=True)
    assert days_per_step(samples, GRU(batch_size=42).options) == 4
    assert days_per_step(samples, GRU(batch_size=1).options) == 1
    assert days_per_step(samples, GRU(days_per_batch=3).options) == 3


def test_one_line_says_that_the_cpu_takes_over(monkeypatch):
    messages: list[str] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(base, "logger", SimpleNamespace(info=messages.append))
    options = {"n_epochs": 1, "hidden_size": 4, "num_layers": 1, "num_factors": 2}
    GRU(GPU=-1, **options).fit(dataset_of(random_rows()))
    assert not messages
    GRU(GPU=0, **options).fit(dataset_of(random_rows()))
    assert len(messages) == 1
    assert "training on the CPU" in messages[0]


def test_proximity_needs_a_group_or_relations():
    model = ASTGNN(proximity=0.1, n_epochs=1, hidden_size=4, num_layers=1, num_factors=2, GPU=-1)
    with pytest.raises(ConfigError, match=r"group: \"\$industry\""):
        model.fit(dataset_of(random_rows(), related=False))


@pytest.mark.parametrize("node_embedding", ["state", "instrument"])
def test_proximity_draws_stocks_of_a_group_together(node_embedding):
    """Their states where these make the graph; else their vectors, whatever the features tell of the group."""
    rows = random_rows(stocks=16, holes=0.0, seed=3)
    industry = rows.index.get_level_values("instrument").str[-2:].astype(int) % 4
    rows["group", "GROUP"] = industry.astype(float)
    if node_embedding == "state":
        rows["feature", "F0"] = industry.to_numpy() + 0.1 * rows["feature", "F0"]

    def likeness(proximity: float) -> float:
        net = {"hidden_size": 6, "num_layers": 1, "node_embedding": node_embedding}
        model = ASTGNN(**net, proximity=proximity, n_epochs=12, lr=0.01, seed=0, GPU=-1)
        data = dataset_of(rows)
        model.fit(data)
        samples = data.samples("test", learn=False)
        batch = samples.batch(np.array([0]), data.window)
        state = model.nets_[0](batch).state.detach()
        same = batch.group[:, None] == batch.group
        similarity = state @ state.T
        return float(similarity[same].mean() - similarity[~same].mean())

    assert likeness(1.0) > likeness(0.0) + 0.1

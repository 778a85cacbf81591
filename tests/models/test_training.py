from __future__ import annotations

import copy
import io
import sys

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from qlib_ext.errors import TrainingError
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.gru import GRU
from qlib_ext.models.training import MovingAverage
from qlib_ext.testing.rows import dataset_of, random_rows

SMALL = {"hidden_size": 4, "num_layers": 1, "num_factors": 2, "n_epochs": 3, "GPU": -1, "seed": 0}


@pytest.fixture
def run(tmp_path):
    """An active mlflow run, which is what Qlib's recorder is; returns its metrics by name."""
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    with mlflow.start_run(experiment_id="0") as active:  # whatever experiment a test before has set
        client = mlflow.MlflowClient()
        yield lambda name: [(m.step, m.value) for m in client.get_metric_history(active.info.run_id, name)]


def test_curves_are_logged_by_epoch_to_the_active_recorder(run):
    model = GRU(**SMALL)
    model.fit(dataset_of(random_rows()))
    for name, curve in model.curves_[0].items():
        logged = run(f"GRU.{name}")
        assert [step for step, _ in logged] == [0, 1, 2]
        np.testing.assert_allclose([value for _, value in logged], curve)


def test_every_seed_has_curves_of_its_own(run):
    ASTGNN(**SMALL, seeds=[5, 6]).fit(dataset_of(random_rows()))
    assert len(run("ASTGNN.seed5.valid_rank_ic")) == len(run("ASTGNN.seed6.valid_rank_ic")) == 3


def test_a_terminal_sees_loss_and_ic_of_each_epoch(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    GRU(**SMALL).fit(dataset_of(random_rows()))
    for word in ("GRU epoch 1/3", "GRU epoch 3/3", "loss=", "ic="):
        assert word in terminal.getvalue()


def test_validation_metrics_are_those_of_the_predictions():
    data = dataset_of(random_rows(holes=0.2, seed=4), purge=0)
    model = GRU(**SMALL | {"n_epochs": 1})
    model.fit(data)
    label = data.prepare("valid", col_set="label").iloc[:, 0]
    score = model.predict(data, "valid")
    for name, method in (("ic", "pearson"), ("rank_ic", "spearman")):
        by_day = score.groupby(level="datetime").corr(label, method=method)
        np.testing.assert_allclose(model.curves_[0][f"valid_{name}"][0], by_day.mean(), atol=1e-5)


def test_weight_decay_and_clipping_reach_the_optimiser():
    data = dataset_of(random_rows())

    def weights(**options) -> float:
        model = GRU(**SMALL | {"lr": 0.05} | options)
        model.fit(data)
        return float(sum(p.detach().abs().sum() for p in model.nets_[0].parameters()))

    assert weights(weight_decay=1.0) < weights()
    assert weights(clip_norm=1e-6, optimizer="sgd") != weights(clip_norm=0, optimizer="sgd")


def test_the_moving_average_of_the_weights_is_kept_and_validated():
    data, model = dataset_of(random_rows(holes=0.2, seed=4), purge=0), GRU(**SMALL | {"n_epochs": 1, "ema_decay": 0.6})
    build, built, seen = model.build, [], []
    model.build = lambda *what: built.append(build(*what)) or built[-1]
    hook = register_optimizer_step_post_hook(lambda *_: seen.append(copy.deepcopy(built[-1].state_dict())))
    try:
        model.fit(data)
    finally:
        hook.remove()
    assert len(seen) > 20  # 9 / 23 < 0.4
    for name, kept in model.nets_[0].state_dict().items():
        expected = seen[0][name].double().numpy()
        for step, state in enumerate(seen[1:], start=1):
            share = max(0.4, 9 / (10 + step))
            expected = (1 - share) * expected + share * state[name].double().numpy()
        if not kept.is_floating_point():
            expected = seen[-1][name].numpy()
        np.testing.assert_allclose(kept, expected, rtol=1e-5, atol=1e-7, err_msg=name)
    rank_ic = (
        model.predict(data, "valid")
        .groupby(level="datetime")
        .corr(data.prepare("valid", col_set="label").iloc[:, 0], method="spearman")
    )
    np.testing.assert_allclose(model.curves_[0]["valid_rank_ic"][0], rank_ic.mean(), atol=1e-5)


def test_numbers_of_instruments_are_not_averaged():
    net = nn.Module()
    net.register_buffer("position", torch.arange(2000))
    average = MovingAverage(net, 0.95)
    for _ in range(100):
        average.update(net)
    assert torch.equal(average.net.position, torch.arange(2000))


def test_a_slice_of_days_has_the_scores_that_its_days_have():
    data, model = dataset_of(random_rows(holes=0.2)), GRU(**SMALL)
    model.fit(data)
    whole = model.predict(data)
    days = whole.index.unique("datetime")[2:5]
    pd.testing.assert_series_equal(model.predict(data, segment=slice(days[0], days[-1])), whole.loc[days[0] : days[-1]])


def test_a_printed_model_tells_its_options():
    assert "hidden_size=5" in repr(GRU(hidden_size=5))
    assert "n_epochs=200" in repr(GRU())


class LostInValidation(GRU):
    """Its loss is a number in training alone."""

    def loss(self, scores, batch):
        return super().loss(scores, batch) * (1 if torch.is_grad_enabled() else float("nan"))


def test_a_validation_that_is_never_a_number_is_refused():
    with pytest.raises(TrainingError, match="validation loss is NaN in every epoch"):
        LostInValidation(**SMALL).fit(dataset_of(random_rows()))


def test_a_day_with_one_stock_is_scored_by_several_nets():
    rows = random_rows(holes=0.0)
    alone = rows.drop(rows.loc[["2020-03-16"]].index[1:])
    model = GRU(**SMALL, seeds=[0, 1])
    model.fit(dataset_of(rows))
    score = model.predict(dataset_of(alone))
    assert np.isfinite(score).all()
    assert list(score.loc["2020-03-16"]) == [0.0]

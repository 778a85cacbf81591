"""A training that is killed goes on after its last epoch, and ends in the same bits as one that nothing stops."""

from __future__ import annotations

import shutil

import mlflow
import pandas as pd
import pytest
import torch

from qlib_ext.errors import ConfigError
from qlib_ext.models.base import NeuralModel
from qlib_ext.models.gru import GRU
from qlib_ext.recorder.checkpoints import FOLDER
from qlib_ext.system.files import CHECKSUM
from qlib_ext.testing.rows import dataset_of, random_rows
from tests.killed import epochs_trained, kill_in_epoch
from tests.models.cases import case_of

EPOCHS = 4
KEPT = {"checkpoint": True, "n_epochs": EPOCHS, "early_stop": EPOCHS}
# dropout, the average of the weights and an instrument's chance, correlations that are counted, several nets
CASES = {
    "dropout": ("ASTGNN 2 layers", {}),
    "average": ("ASTGNN instrument", {}),
    "tasks": ("MultiTaskGRU apart", {}),
    "nets": ("GRU", {"seeds": [5, 6]}),
    "stopped early": ("GRU", {"lr": 1.0, "early_stop": 1, "n_epochs": 20}),
}


@pytest.fixture
def store(database, tmp_path):
    """The folder of a store of runs of its own, which is the active one."""
    shutil.copy(database, tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.create_experiment("net", artifact_location=(tmp_path / "artifacts").as_uri())
    return tmp_path


def fit(model: NeuralModel, dataset) -> NeuralModel:
    """Train within a run of the experiment."""
    mlflow.set_experiment("net")
    with mlflow.start_run():
        model.fit(dataset)
    return model


def fit_case(uri: str, name: str, options: dict) -> None:
    mlflow.set_tracking_uri(uri)
    case = case_of(name)
    fit(case.make(**options), case.dataset())


def fit_small(uri: str, seed: int) -> None:
    mlflow.set_tracking_uri(uri)
    fit(GRU(**SMALL), dataset_of(random_rows(seed=seed)))


def require_equal(one: NeuralModel, other: NeuralModel, dataset) -> None:
    """Weights, curves and scores are the same to the bit."""
    for a, b in zip(one.nets_, other.nets_, strict=True):
        assert a.state_dict().keys() == b.state_dict().keys()
        assert all(torch.equal(a.state_dict()[name], b.state_dict()[name]) for name in a.state_dict())
    assert one.curves_ == other.curves_
    pd.testing.assert_series_equal(one.predict(dataset), other.predict(dataset), check_exact=True)


@pytest.mark.parametrize("case", CASES)
def test_a_killed_training_ends_in_the_same_bits(case, store, monkeypatch):
    name, options = CASES[case]
    made = case_of(name)
    dataset = made.dataset()
    whole = made.make(**KEPT | options | {"checkpoint": False})
    whole.fit(dataset)
    done = sum(len(curves["valid_loss"]) for curves in whole.curves_)
    after = done - 1 if case == "stopped early" else done // 2 + 1
    kill_in_epoch(after + 1, 2, fit_case, mlflow.get_tracking_uri(), name, KEPT | options)
    trained = epochs_trained(monkeypatch)
    resumed = fit(made.make(**KEPT | options), dataset)
    assert len(trained) == done - after, "no epoch is trained again"
    kept = [path for path in store.rglob(f"{FOLDER}/*") if path.suffix != CHECKSUM]
    assert len(kept) == len(whole.nets_), "one of each net, which the run that goes on has taken over"
    require_equal(resumed, whole, dataset)
    if case == "tasks":
        assert resumed.undefined_ == whole.undefined_
    if case == "stopped early":
        assert done < 20
    logged = mlflow.MlflowClient().get_metric_history(
        mlflow.last_active_run().info.run_id, f"{name_of(whole)}.valid_ic"
    )
    assert [each.step for each in logged] == [*range(len(whole.curves_[-1]["valid_ic"]))], "the curves are whole"


def name_of(model: NeuralModel) -> str:
    """What the curves of the last net are called."""
    kind = type(model).__name__
    return kind if model.options.seeds is None else f"{kind}.seed{model.options.seeds[-1]}"


SMALL = {"hidden_size": 4, "num_layers": 1, "num_factors": 2, "GPU": -1, "seed": 0, "n_epochs": 3, "checkpoint": True}


def test_another_training_begins_anew(store, monkeypatch):
    rows = {seed: random_rows(seed=seed) for seed in (4, 5)}
    kill_in_epoch(2, 0, fit_small, mlflow.get_tracking_uri(), 4)
    trained = epochs_trained(monkeypatch)
    for options, seed in (({"lr": 0.002}, 4), ({"seed": 1}, 4), ({"hidden_size": 5}, 4), ({}, 5)):
        fit(GRU(**SMALL | options), dataset_of(rows[seed]))
        assert trained == [0, 1, 2], options
        trained.clear()
    fit(GRU(**SMALL), dataset_of(rows[4]))
    assert trained == [1, 2], "this one was begun"


def test_a_damaged_checkpoint_is_not_taken(store, monkeypatch):
    kill_in_epoch(2, 0, fit_small, mlflow.get_tracking_uri(), 4)
    (file,) = (path for path in store.rglob(f"{FOLDER}/*") if path.suffix == "")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    trained = epochs_trained(monkeypatch)
    fit(GRU(**SMALL), dataset_of(random_rows(seed=4)))
    assert trained == [0, 1, 2]


def test_without_a_recorder_nothing_is_kept_and_without_a_seed_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    GRU(**SMALL).fit(dataset_of(random_rows(seed=4)))
    assert not list(tmp_path.rglob(FOLDER))
    with pytest.raises(ConfigError, match="checkpoint: true needs a seed"):
        GRU(checkpoint=True)

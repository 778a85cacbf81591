"""The Model Zoo's ``_ts`` workflows run on our models once module_path says so, dataset TSDatasetH included."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from qlib_ext.provider.calendar import read_calendar
from qlib_ext.simulator.simulate import write_market
from tests.docs.terminal import Terminal

FEATURES = ["RESI5", "WVMA5", "RSQR5", "KLEN", "RSQR10", "CORR5", "CORD5", "CORR10", "ROC60", "RESI10", "VSTD5"]
FEATURES += ["RSQR60", "CORR60", "WVMA60", "STD5", "RSQR20", "CORD60", "CORD10", "CORR20", "KLOW"]
NET = {"d_feat": 20, "hidden_size": 64, "num_layers": 2, "early_stop": 10, "metric": "loss", "loss": "mse", "GPU": 0}
# the keywords of the Zoo's benchmarks on Alpha158, but for the epochs and GATs' pretrained file
MODELS = {
    "GRU": ("gru", NET | {"dropout": 0.0, "lr": 2e-4, "batch_size": 800, "n_jobs": 20}),
    "LSTM": ("gru", NET | {"dropout": 0.0, "lr": 1e-3, "batch_size": 800, "n_jobs": 20, "base_model": "LSTM"}),
    "GATs": ("gats", NET | {"dropout": 0.7, "lr": 1e-4, "base_model": "LSTM", "with_pretrain": False}),
}


def workflow(name: str, provider: Path) -> dict:
    module, options = MODELS[name]
    handler = {
        "start_time": "2008-01-01",
        "end_time": "2020-08-01",
        "fit_start_time": "2008-01-01",
        "fit_end_time": "2014-12-31",
        "instruments": "csi300",
        "infer_processors": [
            {"class": "FilterCol", "kwargs": {"fields_group": "feature", "col_list": FEATURES}},
            {"class": "RobustZScoreNorm", "kwargs": {"fields_group": "feature", "clip_outlier": True}},
            {"class": "Fillna", "kwargs": {"fields_group": "feature"}},
        ],
        "learn_processors": [{"class": "DropnaLabel"}, {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}}],
        "label": ["Ref($close, -2) / Ref($close, -1) - 1"],
    }
    segments = {
        "train": ["2008-01-01", "2014-12-31"],
        "valid": ["2015-01-01", "2016-12-31"],
        "test": ["2017-01-01", "2020-08-01"],
    }
    manager = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder.store"}
    manager["kwargs"] = {"uri": "sqlite:///mlruns/mlflow.db", "default_exp_name": name}
    record = {"module_path": "qlib.workflow.record_temp"}
    return {
        "qlib_init": {"provider_uri": str(provider), "region": "cn", "kernels": 1, "exp_manager": manager},
        "experiment_name": name,
        "task": {
            "model": {
                "class": "GATs" if name == "GATs" else "GRU",
                "module_path": f"qlib_ext.models.{module}",
                "kwargs": options | {"n_epochs": 1},
            },
            "dataset": {
                "class": "TSDatasetH",
                "module_path": "qlib.data.dataset",
                "kwargs": {
                    "handler": {"class": "Alpha158", "module_path": "qlib.contrib.data.handler", "kwargs": handler},
                    "segments": segments,
                    "step_len": 20,
                },
            },
            "record": [
                record | {"class": "SignalRecord", "kwargs": {"model": "<MODEL>", "dataset": "<DATASET>"}},
                record | {"class": "SigAnaRecord", "kwargs": {"ana_long_short": False, "ann_scaler": 252}},
            ],
        },
    }


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """A market that has days in all segments of the Zoo."""
    folder = tmp_path_factory.mktemp("zoo") / "market"
    write_market(folder, stocks=20, days=680, start="2014-09-01")
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_a_zoo_workflow_runs_after_its_module_path_is_changed(name, provider, database, tmp_path):
    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump(workflow(name, provider)))
    (tmp_path / "mlruns").mkdir()
    shutil.copy(database, tmp_path / "mlruns")
    Terminal(tmp_path)("qrun zoo.yaml")
    (pred,) = (tmp_path / "mlruns" / "artifacts" / name).glob("*/artifacts/pred.pkl")
    score = pd.read_pickle(pred)["score"]
    assert np.isfinite(score).all()
    days = read_calendar(provider)
    assert list(score.index.unique("datetime")) == list(days[days >= "2017-01-01"])
    assert score.groupby(level="datetime").size().min() > 10

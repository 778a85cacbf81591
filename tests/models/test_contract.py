"""What every model promises, on each of ours, and that the check finds who breaks a promise."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset import TSDatasetH

from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.testing.contract import PROMISES
from qlib_ext.testing.rows import SEGMENTS, handler_of
from tests.models.cases import NOISE, devices_apart

ON_CUDA = pytest.mark.parametrize(
    "device", [pytest.param("cuda", marks=pytest.mark.cuda)], indirect=True, scope="module"
)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_every_model_keeps_every_promise(case, promise):
    promise(case)


def test_the_best_weights_are_restored(case):
    overfit = {"lr": 0.05, "early_stop": 12, "metric": "loss"}
    model = case.fitted(n_epochs=12, **overfit)
    best = int(np.argmin(model.curves_[0]["valid_loss"]))
    assert best < 11, "the case must overfit to say anything"
    stopped = case.fitted(n_epochs=best + 1, **overfit)
    scores = (one.predict(case.dataset()) for one in (model, stopped))
    pd.testing.assert_series_equal(*scores, check_exact=True)


def test_early_stopping_counts_epochs_without_progress(case):
    curves = case.fitted(n_epochs=60, lr=0.05, early_stop=3, metric="loss").curves_[0]["valid_loss"]
    assert len(curves) == int(np.argmin(curves)) + 1 + 3


def test_reads_qlibs_own_dataset(case, qlib_expressions):
    theirs = TSDatasetH(handler=handler_of(case.rows, case.window, case.related), segments=SEGMENTS, step_len=5)
    theirs.handler.data_loader.fields = {"label": (["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"])}
    model = case.make()
    model.fit(theirs)
    expected = case.trained.predict(CrossSectionDataset.of(theirs))
    pd.testing.assert_series_equal(model.predict(theirs), expected, check_exact=True)


@ON_CUDA
def test_training_on_the_gpu_agrees_with_the_cpu(case):
    if case.make().options.dropout or case.transductive:
        pytest.skip("the devices draw other numbers")
    apart, _ = devices_apart(case)
    assert apart < NOISE


@ON_CUDA
def test_a_model_moves_between_gpu_and_cpu(case):
    on_gpu = case.fitted()
    score = on_gpu.predict(case.dataset())
    on_cpu = pickle.loads(pickle.dumps(on_gpu))
    on_cpu.options.GPU = -1
    pd.testing.assert_series_equal(on_cpu.predict(case.dataset()), score, atol=1e-4)
    on_cpu.options.GPU = 0
    pd.testing.assert_series_equal(on_cpu.predict(case.dataset()), score, atol=1e-6)

"""A panel that is too large for the GPU stays on the host, and gives the same scores to the bit."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from qlib_ext.data import gather
from qlib_ext.data.panel import Panel
from qlib_ext.errors import TrainingError
from qlib_ext.models.gru import GRU
from qlib_ext.models.rsr import RSR
from qlib_ext.testing.rows import dataset_of, random_rows
from tests.models.cases import case_of

ELSEWHERE = torch.device("meta")  # a device that holds no numbers


@pytest.mark.parametrize(("free", "home"), [(1e12, "meta"), (1e3, "cpu")])
def test_a_panel_lies_on_the_device_where_it_fits(free, home, monkeypatch):
    told: list[str] = []
    monkeypatch.setattr(gather, "free_bytes", lambda device: free)
    monkeypatch.setattr(gather, "logger", SimpleNamespace(info=told.append))
    data = dataset_of(random_rows(seed=1))
    homes = {data.samples(name, learn=False, device=ELSEWHERE).panel.values.device.type for name in ("train", "test")}
    assert homes == {home}
    assert len(told) == (home == "cpu")  # once, for all segments
    assert all("stays in the host's memory" in text for text in told)


def test_the_limit_is_a_share_of_what_is_free(monkeypatch):
    panel = dataset_of(random_rows(seed=1)).panel()
    for free, home in ((panel.nbytes / gather.SHARE_FOR_PANEL, ELSEWHERE), (panel.nbytes, torch.device("cpu"))):
        monkeypatch.setattr(gather, "free_bytes", lambda device, free=free: free)
        assert gather.home_of(panel, ELSEWHERE) == home


@pytest.mark.parametrize("model", [GRU, RSR])
def test_days_gathered_ahead_train_and_score_the_same_to_the_bit(model, monkeypatch):
    def curves_and_scores():
        case, curves = case_of(model.__name__), {}
        net, data = case.make(), case.dataset()
        net.fit(data, evals_result=curves)
        return curves, net.predict(data)

    curves, scores = curves_and_scores()
    monkeypatch.setattr(Panel, "away_from", lambda self, device: True)
    monkeypatch.setattr(Panel, "to", lambda self, device: self)
    assert curves_and_scores()[0] == curves
    np.testing.assert_array_equal(curves_and_scores()[1], scores)


def test_a_batch_goes_to_another_device_whole():
    case = case_of("RSR")
    data = case.dataset()
    batch = data.samples("train", learn=True).batch(np.array([0, 1]), data.window)
    moved = batch.to(ELSEWHERE)
    assert {tensor.device for tensor in (moved.x, moved.labels, moved.mask, moved.relations.group)} == {ELSEWHERE}
    assert moved.x.shape == batch.x.shape
    assert moved.day.dtype == batch.day.dtype


def test_what_goes_wrong_in_gathering_is_raised_where_it_is_read(monkeypatch):
    data = dataset_of(random_rows(seed=1))
    samples = data.samples("train", learn=True)
    monkeypatch.setattr(Panel, "away_from", lambda self, device: True)

    def fails(days, window):
        assert threading.current_thread() is not threading.main_thread()
        raise TrainingError(f"no rows of {days}")

    monkeypatch.setattr(samples, "batch", fails)
    with pytest.raises(TrainingError, match="no rows of"):
        list(gather.batches(samples, [np.array([0])], data.window, torch.device("cpu")))


@pytest.mark.cuda
def test_a_gpu_scores_the_same_with_the_panel_on_the_host(monkeypatch):
    def scores():
        case = case_of("GRU", gpu=0)
        net, data = case.make(), case.dataset()
        net.fit(data)
        return net.predict(data), data.panel(torch.device("cuda", 0)).values.device.type

    on_device, home = scores()
    assert home == "cuda"
    monkeypatch.setattr(gather, "free_bytes", lambda device: 0.0)
    on_host, home = scores()
    assert home == "cpu"
    np.testing.assert_array_equal(on_host, on_device)

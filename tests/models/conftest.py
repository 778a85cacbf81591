"""Every model of the contract, and rows to train it on."""

from __future__ import annotations

import pytest

from qlib_ext.models.multitask_gru import MultiTaskGRU
from tests import frames
from tests.frames import random_rows
from tests.models.cases import MODELS, SMALL


@pytest.fixture(params=MODELS)
def make(request, monkeypatch):
    kind, options = MODELS[request.param]
    shape = frames.three_day_images if kind.images else None
    monkeypatch.setattr(frames, "SHAPE", (lambda x: x.repeat(1, 4, 1)) if kind is MultiTaskGRU else shape)
    return lambda **more: kind(**SMALL | options | more)


@pytest.fixture(scope="module")
def rows():
    return random_rows(seed=7)

"""Where a model trains, and what it sets before it uses a GPU."""

from __future__ import annotations

import os

import pytest
import torch

from qlib_ext.models.gru import GRU

NAMES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")


@pytest.mark.parametrize("own", [{}, {"PYTORCH_ALLOC_CONF": "max_split_size_mb:64"}])
@pytest.mark.parametrize("gpu", [0, -1])
def test_the_allocator_is_set_for_a_gpu_alone_and_never_against_the_user(own, gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    assert GRU(GPU=gpu).device == torch.device("cuda:0" if gpu == 0 else "cpu")
    ours = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"} if gpu == 0 and not own else {}
    assert {name: os.environ[name] for name in NAMES if name in os.environ} == own | ours
    os.environ.pop("PYTORCH_CUDA_ALLOC_CONF", None)

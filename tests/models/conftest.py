"""Every model of the contract on each device, and the rows that it is trained on."""

from __future__ import annotations

import os

import pytest
import torch

from tests.models.cases import MODELS, case_of

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it no matrix product on CUDA repeats its bits


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)], scope="module")
def device(request):
    """The CPU, and CUDA, set as by someone who wants float32 and the same bits each time."""
    if request.param == "cpu":
        yield "cpu"
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.backends.cudnn, "allow_tf32", False)
        torch.use_deterministic_algorithms(True, warn_only=True)
        yield "cuda"
    torch.use_deterministic_algorithms(False)


@pytest.fixture(params=MODELS, scope="module")
def case(request, device):
    if request.param.startswith(("RSR", "NetworkGAT")):
        pytest.importorskip("polars", reason="relations are read by polars")
    return case_of(request.param, gpu=0 if device == "cuda" else -1)

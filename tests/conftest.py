"""Skips what this machine cannot run, and says so."""

from __future__ import annotations

import os

import pytest
import qlib
import torch

torch.set_num_threads(1)  # the nets of the tests are too small to share

REASONS = {
    "real": "QLIB_EXT_REAL does not name the folder of the real providers (make test-real)",
    "cuda": "no CUDA device",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    present = {"real": bool(os.environ.get("QLIB_EXT_REAL")), "cuda": torch.cuda.is_available()}
    for item in items:
        for mark, reason in REASONS.items():
            if mark in item.keywords and not present[mark]:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def qlib_expressions(tmp_path):
    """Qlib initialised without data: enough to read expressions."""
    qlib.init(provider_uri=str(tmp_path), region="cn")

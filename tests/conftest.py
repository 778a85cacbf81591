"""Skips what this machine cannot run, and says so."""

from __future__ import annotations

import os

import pytest
import torch

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

"""Processes that run on one GPU at the same time."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def shared_gpu(scratch: Path) -> Iterator[None]:
    """Processes started within run on the GPU at the same time, where MPS is installed; else in turns."""
    control = shutil.which("nvidia-cuda-mps-control")
    if not control:
        yield
        return
    for name in ("PIPE", "LOG"):
        folder = scratch / f"mps_{name.lower()}"
        folder.mkdir()
        os.environ[f"CUDA_MPS_{name}_DIRECTORY"] = str(folder)
    subprocess.run([control, "-d"], check=True)
    try:
        yield
    finally:
        subprocess.run([control], input="quit\n", text=True, check=False)

"""Which line of ours dispatches which operations, and at which the host waits for the device."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import qlib_ext

PACKAGE = str(Path(qlib_ext.__file__).parent)
BY_MASK = " by a mask"
ASKS = ("nonzero", "masked_select", "_local_scalar_dense", "repeat_interleave")  # the host asks the device for a number
ELSEWHERE = "elsewhere"  # the backward pass runs in a thread without our frames


def line_here() -> str:
    """The innermost line of the package that is being executed, as ``data/batch.py:101``."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            return f"{frame.f_code.co_filename[len(PACKAGE) + 1 :]}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ELSEWHERE


class Dispatched(TorchDispatchMode):
    """Counts operations by (line, name) while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[tuple[str, str]] = Counter()

    def waits(self) -> Counter[tuple[str, str]]:
        """What would make the host wait, were all tensors on a GPU."""
        asked = {where: n for where, n in self.counts.items() if where[1] in ASKS or where[1].endswith(BY_MASK)}
        return Counter(asked)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        indices = args[1] if "index" in name and len(args) > 1 and isinstance(args[1], list | tuple) else ()
        if any(isinstance(index, Tensor) and index.dtype == torch.bool for index in indices):
            name += BY_MASK
        self.counts[line_here(), name] += 1
        return func(*args, **kwargs or {})


@contextmanager
def synchronisations() -> Iterator[Counter[str]]:
    """Counts by line where the host waits for the device, as torch warns of it; nothing without CUDA."""
    counts: Counter[str] = Counter()

    def count(message: Warning | str, *_: Any, **__: Any) -> None:
        if "synchronizing" in str(message):
            counts[line_here()] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = count
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("warn")
        try:
            yield counts
        finally:
            if torch.cuda.is_available():
                torch.cuda.set_sync_debug_mode("default")

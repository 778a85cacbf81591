"""The global random numbers of Python, numpy and torch, which belong to the user."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_states() -> dict[str, Any]:
    """The states of the three on the CPU; CUDA is not asked, since that would start it."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002  the global one, which users' code draws from
    return {"python": random.getstate(), "numpy": legacy, "torch": torch.get_rng_state().numpy()}


@contextmanager
def keep_random_states() -> Iterator[None]:
    """Leave the three as they were, whatever is drawn or seeded within."""
    before = random_states()
    try:
        yield
    finally:
        random.setstate(before["python"])
        np.random.set_state(before["numpy"])  # noqa: NPY002
        torch.set_rng_state(torch.from_numpy(before["torch"]))

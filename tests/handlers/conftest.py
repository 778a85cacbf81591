"""What the tests of the handlers read: a provider's copies, and the windows that a dataset makes of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlib_ext.data.dataset import CrossSectionDataset


@pytest.fixture
def copy(small, tmp_path):
    """Another provider like the small one, with the bars edited: ``edit(bars, start)``, in place."""

    def of(name: str, edit: Callable, files: str = "*/*.day.bin") -> Path:
        folder = tmp_path / name
        shutil.copytree(small[0], folder)
        for path in (folder / "features").glob(files):
            bars = np.fromfile(path, dtype="<f4")
            edit(bars[1:], int(bars[0]))
            bars.tofile(path)
        return folder

    return of


def garbage_from(day: int) -> Callable:
    """An edit that makes every bar from this day of the calendar on meaningless."""

    def edit(bars: np.ndarray, start: int) -> None:
        later = bars[max(day - start, 0) :]
        later[:] = np.random.default_rng(0).uniform(1, 1000, len(later))

    return edit


def windows(handler, start=None, end=None, learn: bool = False) -> tuple[pd.MultiIndex, np.ndarray]:
    """The samples of the days from start to end, and what a net reads of them."""
    data = CrossSectionDataset(handler, {"days": (start, end)})
    samples = data.samples("days", learn=learn)
    return samples.index, samples.batch(np.arange(samples.n_days), data.window).x.numpy()

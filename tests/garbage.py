"""Bars that no market ever had, to show that nothing reads them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

DAY_BINS = "*/*.day.bin"


def garbage_from(day: int) -> Callable:
    """An edit that makes every bar from this day of the calendar on meaningless."""

    def edit(bars: np.ndarray, start: int) -> None:
        later = bars[max(day - start, 0) :]
        later[:] = np.random.default_rng(0).uniform(1, 1000, len(later))

    return edit


def edit_bins(provider: Path, edit: Callable, files: str = DAY_BINS) -> None:
    """Let ``edit(values, place of the first in the calendar)`` change the .bin files of a provider."""
    for path in (provider / "features").glob(files):
        bars = np.fromfile(path, dtype="<f4")
        edit(bars[1:], int(bars[0]))
        bars.tofile(path)


def garbage_after(provider: Path, today: int, folder: Path) -> Path:
    """A copy of a provider whose bars are meaningless after a day of its calendar."""
    shutil.copytree(provider, folder)
    edit_bins(folder, garbage_from(today + 1))
    return folder

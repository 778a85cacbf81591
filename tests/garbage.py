"""Bars that no market ever had, to show that nothing reads them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def garbage_from(day: int) -> Callable:
    """An edit that makes every bar from this day of the calendar on meaningless."""

    def edit(bars: np.ndarray, start: int) -> None:
        later = bars[max(day - start, 0) :]
        later[:] = np.random.default_rng(0).uniform(1, 1000, len(later))

    return edit

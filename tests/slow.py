"""Slow and obvious ways to what the package does in one stroke: one stock, one day, one number at a time."""

from __future__ import annotations

import numpy as np


def standardised(values: np.ndarray) -> np.ndarray:
    """The z-scores of one place over the stocks of one day, ``[stocks]`` float64, as ``cross_section.standardise``."""
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return np.zeros(len(values))
    middle = np.median(known)
    reach = 3 * 1.4826 * np.median(np.abs(known - middle))
    clipped = np.clip(known, middle - reach, middle + reach)
    if reach == 0:
        return np.zeros(len(values))
    result = np.zeros(len(values))
    result[np.isfinite(values)] = (clipped - clipped.mean()) / clipped.std(ddof=1)
    return result


def standardised_places(values: np.ndarray) -> np.ndarray:
    """``standardised`` of every place: ``[stocks, ...]``."""
    result = np.empty(values.shape)
    for place in np.ndindex(values.shape[1:]):
        result[(slice(None), *place)] = standardised(values[(slice(None), *place)])
    return result

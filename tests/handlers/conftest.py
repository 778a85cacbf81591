"""What the tests of the handlers read: a provider's copies, and the windows that a dataset makes of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qlib_ext.data.dataset import CrossSectionDataset


def windows(handler, start=None, end=None, learn: bool = False) -> tuple[pd.MultiIndex, np.ndarray]:
    """The samples of the days from start to end, and what a net reads of them."""
    data = CrossSectionDataset(handler, {"days": (start, end)})
    samples = data.samples("days", learn=learn)
    return samples.index, samples.batch(np.arange(samples.n_days), data.window).x.numpy()

"""What each network of related stocks, or each family of factors, counted on the days of a score."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qlib.utils import get_callable_kwargs

from qlib_ext.errors import DataError
from qlib_ext.recorder.runs import load
from qlib_ext.recorder.windows import MODEL, TEST_FROM, TEST_TO, run_of_window

WEIGHTS_OF = "state_weights"  # the method of a model that has them


def state_frames(*of: Any) -> dict[str, pd.DataFrame]:
    """``state_weights`` by the name of its file; nothing for a model that the state does not weigh."""
    weights = state_weights(*of)
    return {} if weights is None else {"state_weights.pkl": weights}


def state_weights(model: Any, store: str, experiment: str, days: pd.DatetimeIndex) -> pd.DataFrame | None:
    """[days, networks or families], each day's sum is 1; None for a model without weights by the market's state.

    model: as it was fitted. Within a RollingModel each day has the weights of its window, the mean over the seeds; the
    nets are read from ``store``, the recorder. Raises DataError where it has lost one.
    """
    if hasattr(model, WEIGHTS_OF):
        found: pd.DataFrame | None = model.state_weights(days)
        return found
    windows = getattr(model, "windows_", None)
    if windows is None or not hasattr(get_callable_kwargs(model.model)[0], WEIGHTS_OF):
        return None
    parts = []
    for window in windows.to_dict("records"):
        inner, problem = load(run_of_window(store, window, experiment), MODEL)
        if problem:
            raise DataError(f"The weights by the market's state are not known: {problem}.")
        own = days[(days >= pd.Timestamp(window[TEST_FROM])) & (days <= pd.Timestamp(window[TEST_TO]))]
        part = inner.state_weights(own)
        if part is None:
            return None
        parts.append(part)
    return pd.concat(parts).groupby(level=0).mean()

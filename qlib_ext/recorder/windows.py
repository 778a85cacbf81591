"""The table of a rolling model's windows, as its run keeps it."""

from __future__ import annotations

import pandas as pd
from mlflow.entities import Run

from qlib_ext.recorder.runs import artifacts_of

WINDOWS = "rolling_windows.csv"


def windows_of(run: Run) -> pd.DataFrame | None:
    """The table of a rolling model's windows; None for a run of another model."""
    path = artifacts_of(run) / WINDOWS
    return pd.read_csv(path, dtype={"run": str, "seed": "Int64"}) if path.is_file() else None

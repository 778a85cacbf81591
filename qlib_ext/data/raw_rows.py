"""The rows of a Qlib handler before any processor, in an attribute that Qlib promises to nobody: ``_data``."""

from __future__ import annotations

import pandas as pd
from qlib.data.dataset.handler import DataHandler


def raw_rows(handler: DataHandler) -> pd.DataFrame | None:
    """The rows as they were loaded, whatever ``drop_raw`` says; None where they are dropped already."""
    rows: pd.DataFrame | None = getattr(handler, "_data", None)
    return rows


def put_raw_rows(handler: DataHandler, rows: pd.DataFrame) -> None:
    """Give a handler other rows; ``process_data`` makes its views of them."""
    handler._data = rows

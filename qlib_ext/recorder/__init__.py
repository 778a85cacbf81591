"""The store of the runs, and how a finished run is found and read."""

from __future__ import annotations

from qlib_ext.recorder.store import SQLiteExpManager

__all__ = ["SQLiteExpManager"]

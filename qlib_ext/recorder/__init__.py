"""The store of the runs, and how a finished run is found and read."""

from __future__ import annotations

from qlib_ext.recorder.store import SQLiteExpManager, record_in

__all__ = ["SQLiteExpManager", "record_in"]

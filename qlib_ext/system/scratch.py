"""Folders for what is needed only while a run lasts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from qlib_ext.system.vendored_loky import resource_tracker


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder below the system's temporary one, removed in the end, even where this process is killed."""
    folder = tempfile.mkdtemp(prefix="qlib_ext_")
    resource_tracker.register(folder, "folder")  # a process of its own, which outlives this one
    try:
        yield Path(folder)
    finally:
        rmtree(folder)
        resource_tracker.unregister(folder, "folder")

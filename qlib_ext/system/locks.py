"""Locks between processes: what only one of them may do at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from qlib_ext.errors import OutputError, QlibExtError


@contextmanager
def locked(file: Path, busy: QlibExtError | None = None) -> Iterator[None]:
    """Hold a lock while the block runs; its file is made with the folders it needs, and stays.

    busy: the error to raise at once where another process holds the lock; None waits until it does not.
    Raises OutputError where the file cannot be made.
    """
    lock = FileLock(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if busy is None else 0)
    except Timeout as error:
        if busy is None:
            raise
        raise busy from error
    except OSError as error:
        raise OutputError(
            f"The lock {file} cannot be made ({error.strerror or error}). Make room, or choose a folder that can be "
            "written to."
        ) from error
    try:
        yield
    finally:
        lock.release()

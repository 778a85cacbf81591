"""By what the data of a provider folder are known again: its files, their sizes, and when they were changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PARTS = ("calendars", "instruments", "features", "financial", "relations")  # of a provider folder, that its readers see


def state_of(provider: Path, of_this_disk: bool = False) -> Iterator[str]:
    """A line for each file of a provider: where it lies, its size, and when it was changed.

    of_this_disk: with the time that no program can set, which a copy of the folder does not share.
    """
    for part in PARTS:
        yield from _lines(provider / part, part, of_this_disk)


def _lines(folder: Path, name: str, of_this_disk: bool) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        own = f"{name}/{entry.name}"
        if entry.is_dir():
            yield from _lines(Path(entry.path), own, of_this_disk)
        elif entry.is_file():
            about = entry.stat()
            yield f"{own} {about.st_size} {about.st_mtime_ns}{f' {about.st_ctime_ns}' if of_this_disk else ''}\n"

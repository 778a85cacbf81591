"""Fields of a Qlib provider day by day: values of some days go into .bin files that may hold others already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from qlib_ext.provider.check import check_features, check_provider
from qlib_ext.system.files import write_whole

AGAIN = "make room and run once more: finished days are kept"


def calendar_of(provider: Path) -> dict[str, int]:
    """Position of each day ("2023-02-01") in the provider's calendar."""
    check_provider(provider)
    lines = (provider / "calendars" / "day.txt").read_text(encoding="utf-8").split()
    return {day: place for place, day in enumerate(lines)}


def known_to(provider: Path) -> set[str]:
    """The instruments that have a folder of features, in capital letters."""
    return {place.name.upper() for place in (provider / "features").iterdir() if place.is_dir()}


def holding(provider: Path, field: str) -> set[str]:
    """The instruments that have a file of this field."""
    return {file.parent.name.upper() for file in (provider / "features").glob(f"*/{field}.day.bin")}


def write_field(provider: Path, field: str, positions: Sequence[int], values: Mapping[str, np.ndarray]) -> int:
    """Write one field of all instruments, and return how many files have changed.

    positions    increasing places of the days in the calendar
    values       instrument -> values [days]; they replace what the file holds for these days, NaN included, and
                 leave its other days as they are

    A file is float32: the position of its first value, then its values, NaN on days that are not known.
    Raises ProviderError for a file that is damaged, OutputError for one that cannot be written.
    """
    files = {symbol: provider / "features" / symbol.lower() / f"{field}.day.bin" for symbol in values}
    if old := [symbol for symbol, file in files.items() if file.exists()]:
        check_features(provider, [field], old)
    changed = 0
    for symbol, series in values.items():
        before = files[symbol].read_bytes() if files[symbol].exists() else b""
        after = merged(np.frombuffer(before, dtype="<f4"), np.asarray(positions), series)
        if after != before:
            write_whole(files[symbol], after, AGAIN)
            changed += 1
    return changed


def merged(before: np.ndarray, positions: np.ndarray, series: np.ndarray) -> bytes:
    """A .bin file's content after new values [days] at these positions have come to it.

    From the first known value, or the file's own first day, to the last of the positions at least, NaN where nothing is
    known: a mean over the past days is then the same whether later days have been added or not. Empty where there was
    no file and nothing is known.
    """
    held = range(int(before[0]), int(before[0]) + len(before) - 1) if len(before) else range(0)
    known = positions[~np.isnan(series)]
    if not held and not len(known):
        return b""
    first, last = int(min([*known[:1], *held[:1]])), int(max([positions[-1], *held[-1:]]))
    content = np.full(last - first + 2, np.nan, dtype="<f4")
    content[0] = first
    content[1:][held.start - first : held.stop - first] = before[1:]
    inside = positions >= first
    content[positions[inside] - first + 1] = series[inside]
    return content.tobytes()

"""Fields of a Qlib provider day by day: values of some days go into .bin files that may have others already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from qlib_ext.provider.check import check_features
from qlib_ext.provider.names import feature_folder
from qlib_ext.system.files import write_whole

MAKE_ROOM = "Make room and run once more: finished days are kept."


def write_field(provider: Path, field: str, positions: Sequence[int], values: Mapping[str, np.ndarray]) -> int:
    """Write one field of all instruments, and return how many files have changed.

    positions    increasing positions of the days in the calendar
    values       instrument -> values [days]; they replace what the file has for these days, NaN included, and
                 leave its other days as they are

    A file is float32: the position of its first value, then its values, NaN on days that are not known.
    Raises ProviderError for a file that is damaged, OutputError for one that cannot be written.
    """
    files = {symbol: feature_folder(provider, symbol) / f"{field}.day.bin" for symbol in values}
    if old := [symbol for symbol, file in files.items() if file.exists()]:
        check_features(provider, [field], old)
    changed = 0
    for symbol, series in values.items():
        before = files[symbol].read_bytes() if files[symbol].exists() else b""
        after = merged(np.frombuffer(before, dtype="<f4"), np.asarray(positions), series)
        if after != before:
            write_whole(files[symbol], after, MAKE_ROOM)
            changed += 1
    return changed


def merged(before: np.ndarray, positions: np.ndarray, series: np.ndarray) -> bytes:
    """A .bin file's content after new values [days] at these positions have come to it.

    From the first known value, or the file's own first day, to the last of the positions at least, NaN where nothing is
    known: a mean over the past days is then the same whether later days have been added or not. Empty where there was
    no file and nothing is known.
    """
    old = range(int(before[0]), int(before[0]) + len(before) - 1) if len(before) else range(0)
    known = positions[~np.isnan(series)]
    if not old and not len(known):
        return b""
    first, last = int(min([*known[:1], *old[:1]])), int(max([positions[-1], *old[-1:]]))
    content = np.full(last - first + 2, np.nan, dtype="<f4")
    content[0] = first
    content[1:][old.start - first : old.stop - first] = before[1:]
    inside = positions >= first
    content[positions[inside] - first + 1] = series[inside]
    return content.tobytes()

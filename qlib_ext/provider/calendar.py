"""The calendars of a provider: the one reader of their lines, and which frequencies Qlib's provider has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from qlib_ext.errors import ProviderError

DAYS_PER_YEAR = 252  # of trading, to which returns and risks of days are brought


def calendar_file(folder: Path, freq: str = "day", future: bool = False) -> Path:
    """Where a provider keeps the times of its bars; with ``future``, those of the days that are to come as well."""
    return folder / "calendars" / f"{freq}{'_future' if future else ''}.txt"


def read_calendar(folder: Path, freq: str = "day", future: bool = False) -> pd.DatetimeIndex:
    """The times of a provider's bars, increasing; the position of a bar in a .bin file is its position here.

    With ``future``, times that are to come follow. Lines are read as Qlib reads them: empty ones are passed over, and
    "2020-01-02" and "2020-01-02 00:00:00" are one day. Raises ProviderError where the file cannot be read, where a line
    is no time or names a time zone, where a time is there twice or out of order, and where a calendar of days has a
    time of day.
    """
    path = calendar_file(folder, freq, future)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ProviderError(f"The calendar {path} cannot be read ({error}). Copy it from a good provider.") from error
    lines = [line for line in lines if line]
    if not lines:
        raise ProviderError(f"The calendar {path} has no line. Copy it from a good provider.")
    times = _times(lines, path)
    if len(wrong := times[:-1][times[1:] <= times[:-1]]):
        place = list(times).index(wrong[0]) + 1
        fault = "is there twice" if times[place] == wrong[0] else f"comes after {lines[place - 1]}"
        raise ProviderError(
            f"The calendar {path} does not increase at {len(wrong)} of its {len(lines)} times: {lines[place]} {fault}. "
            "Sort it and leave each time once; the .bin files count by it, so write them again as well."
        )
    if freq == "day" and len(late := times[times != times.normalize()]):
        raise ProviderError(
            f"The calendar {path} has a time of day in {len(late)} of its {len(lines)} lines, first {late[0]}. Write "
            f"the day alone: {late[0]:%Y-%m-%d}."
        )
    return times


def _times(lines: Sequence[str], path: Path) -> pd.DatetimeIndex:
    for form in ("ISO8601", "mixed"):  # the first is twice as fast, the second reads whatever Qlib reads
        with suppress(ValueError):
            times = pd.DatetimeIndex(pd.to_datetime(lines, format=form)).as_unit("ns")
            if times.tz is None and not times.hasnans:
                return times
    wrong = next((line for line in lines if not _is_time(line)), lines[0])
    raise ProviderError(
        f"The calendar {path} has the line {wrong!r}, which is no time without a zone. Write it as 2020-01-02, or as "
        "2020-01-02 09:31:00."
    )


def _is_time(line: str) -> bool:
    with suppress(ValueError):
        time = pd.Timestamp(line)
        return time is not pd.NaT and time.tz is None
    return False


def longest_bars(minutes: Sequence[int]) -> int | None:
    """The longest of these bars, in minutes, that the provider has with which Qlib was initialised, or None.

    Its folders may differ by frequency: ``qlib.init(provider_uri={"day": ..., "15min": ...})``.
    """
    from qlib.config import C  # who reads a calendar alone starts sooner without

    for length in sorted(minutes, reverse=True):
        freq = f"{length}min"
        named = freq in C.dpm.provider_uri or C.DEFAULT_FREQ in C.dpm.provider_uri
        if named and calendar_file(Path(C.dpm.get_data_uri(freq)), freq).is_file():
            return length
    return None

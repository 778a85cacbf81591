"""Write Qlib provider folders: the calendars, instruments and .bin files that ``qlib.init`` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qlib_ext.errors import ProviderError
from qlib_ext.provider.calendar import calendar_file, read_calendar
from qlib_ext.provider.dates import exchange_time
from qlib_ext.provider.names import feature_folder, is_field, lost_names
from qlib_ext.system.files import whole_folder

ABOUT = "market.json"
_PARTS = {"calendars", "instruments", "features", "features_cache", "dataset_cache", "relations", ABOUT}
_LONGEST = 2**24  # the first row's position is stored as a float32, exact only up to here

Span = tuple[str, Any, Any]
Features = Iterable[tuple[str, pd.DataFrame]]


def write_provider(
    folder: str | Path,
    calendar: pd.DatetimeIndex,
    features: Features,
    instruments: Mapping[str, Iterable[Span]],
    future_days: int = 30,
    freq: str = "day",
    about: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a whole provider folder, or nothing at all, and return its absolute path.

    calendar     increasing times of the bars; ``freq`` is "day" or "<n>min"; times with a zone are put on the
                 exchange's clock, here and below
    features     pairs (symbol, frame): rows are times of the calendar, columns are fields; times that the
                 frame leaves out between its first and last row become NaN
    instruments  name -> spans (symbol, first, last), both ends included, several spans a symbol allowed; a
                 last day that is to include its minute bars is given as "2020-01-31 23:59:59"
    future_days  business days after the calendar's end in ``<freq>_future.txt``; without them a Qlib backtest up
                 to the last day of the calendar ends in an IndexError
    about        how the data was made; kept in market.json

    The folder is written beside its place and renamed, so an interrupted write leaves no half provider.

    Raises ProviderError when the folder has something in it (with ``overwrite``: something other than a provider),
    when the calendar does not increase, a frame's times are not of the calendar, a name is one that Qlib cannot read,
    two names are those of one file, or the disk refuses.
    """
    target = Path(folder).expanduser().resolve()
    calendar = _checked_calendar(calendar, freq)
    with whole_folder(target, _PARTS, "provider", overwrite) as new:
        for part in ("calendars", "instruments", "features"):
            (new / part).mkdir()
        _write_features(new, calendar, features, freq)
        _write_instruments(new, instruments)
        _write_calendars(new, calendar, freq, future_days)
        if about is not None:
            (new / ABOUT).write_text(json.dumps(dict(about), indent=2) + "\n")
    return target


def add_frequency(
    folder: str | Path,
    calendar: pd.DatetimeIndex,
    features: Features,
    freq: str,
    future_days: int = 30,
) -> Path:
    """Add the bars of one more frequency to an existing provider folder and return its absolute path.

    Arguments as in ``write_provider``. Qlib sees a frequency once its calendar is there; the calendar is
    written last, so an interrupted call adds nothing that Qlib sees, and may be repeated.

    Raises ProviderError when the folder is no provider, already has this frequency, or the data is not fit.
    """
    target = Path(folder).expanduser().resolve()
    calendar = _checked_calendar(calendar, freq)
    path = calendar_file(target, freq)
    if not path.parent.is_dir():
        raise ProviderError(f"{target} is no provider to add {freq} bars to. Write it with write_provider first.")
    if path.exists():
        raise ProviderError(f"{target} already has {freq} bars. Write the whole provider again to replace them.")
    try:
        _write_features(target, calendar, features, freq)
        _write_calendars(target, calendar, freq, future_days)
    except OSError as error:
        raise ProviderError(
            f"The {freq} bars of {target} cannot be written ({error}). Make room and run once more."
        ) from error
    return target


def add_future_days(folder: str | Path, days: int = 30) -> Path:
    """Write the days that are to come, ``calendars/day_future.txt``, of a provider; return the file's path.

    They are the calendar's days and so many business days after its end: holidays that are to come are not known.
    Raises ProviderError where the calendar cannot be read or the disk refuses.
    """
    target = Path(folder).expanduser().resolve()
    try:
        return _write_future(target, read_calendar(target), "day", days)
    except OSError as error:
        raise ProviderError(f"The days to come cannot be written to {target} ({error}). Make room.") from error


def read_about(folder: str | Path) -> dict[str, Any] | None:
    """Return how the folder's data was made, the ``about`` of ``write_provider``, or None where it does not say.

    Raises ProviderError when market.json is not readable as JSON.
    """
    path = Path(folder).expanduser() / ABOUT
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ProviderError(f"{path} cannot be read ({error}). Delete the folder and write it again.") from error


def _checked_calendar(calendar: pd.DatetimeIndex, freq: str) -> pd.DatetimeIndex:
    """The calendar on the exchange's clock."""
    if not re.fullmatch(r"day|[1-9]\d*min", freq):
        raise ProviderError(f"The frequency {freq!r} is none of Qlib's provider frequencies. Use 'day' or '<n>min'.")
    if not 0 < len(calendar) < _LONGEST:
        raise ProviderError(f"The {freq} calendar has {len(calendar)} entries. A provider needs 1 to {_LONGEST - 1}.")
    calendar = exchange_time(calendar)
    if not (calendar.is_monotonic_increasing and calendar.is_unique):
        raise ProviderError(f"The {freq} calendar does not increase strictly. Sort it and leave each time once.")
    if freq == "day" and len(late := calendar[calendar != calendar.normalize()]):
        raise ProviderError(
            f"The calendar of days has a time of day in {len(late)} of {len(calendar)} entries, first {late[0]}. "
            "Normalise it."
        )
    return calendar


def _write_instruments(folder: Path, instruments: Mapping[str, Iterable[Span]]) -> None:
    for name, spans in instruments.items():
        rows = list(spans)
        if lost := lost_names(symbol for symbol, _, _ in rows):
            raise ProviderError(
                f"{len(lost)} of {len(rows)} instruments of {name} have a name that Qlib reads as missing, first "
                f"{lost[0]!r}. Rename them, for example to {lost[0]}_."
            )
        path = folder / "instruments" / f"{name.lower()}.txt"
        if path.exists():
            raise ProviderError(f"Two universes are called {name.lower()} in small letters. Rename one.")
        _write_lines(path, (f"{symbol}\t{_stamp(first)}\t{_stamp(last)}" for symbol, first, last in rows))


def _write_calendars(folder: Path, calendar: pd.DatetimeIndex, freq: str, future_days: int) -> None:
    _write_future(folder, calendar, freq, future_days)
    partial = folder / "calendars" / f".{freq}"
    _write_lines(partial, calendar.strftime(_form(freq)))
    partial.replace(calendar_file(folder, freq))


def _write_future(folder: Path, calendar: pd.DatetimeIndex, freq: str, days: int) -> Path:
    after = pd.bdate_range(calendar[-1].normalize() + pd.Timedelta(days=1), periods=days)
    clock = (calendar - calendar.normalize()).unique().sort_values()
    future = pd.DatetimeIndex([day + time for day in after for time in clock])
    path = calendar_file(folder, freq, future=True)
    _write_lines(path, calendar.append(future).strftime(_form(freq)))
    return path


def _form(freq: str) -> str:
    return "%Y-%m-%d" if freq == "day" else "%Y-%m-%d %H:%M:%S"


def _write_features(folder: Path, calendar: pd.DatetimeIndex, features: Features, freq: str) -> None:
    written: dict[Path, str] = {}
    for symbol, frame in features:
        times = exchange_time(pd.DatetimeIndex(frame.index))
        rows = calendar.get_indexer(times)
        if not len(rows) or (rows < 0).any() or (np.diff(rows) <= 0).any():
            wrong = times[rows < 0]
            raise ProviderError(
                f"{symbol}: {len(wrong)} of {len(rows)} rows are not in the {freq} calendar, first "
                f"{wrong[0] if len(wrong) else 'none'}. Give at least one row, in the calendar's order."
            )
        stock = feature_folder(folder, symbol)
        stock.mkdir(exist_ok=True)
        for field, values in frame.items():
            path = stock / f"{str(field).lower()}.{freq}.bin"
            if not is_field(str(field)):
                raise ProviderError(
                    f"{symbol}: {field!r} is no name for a field, $name in expressions. Rename it, to letters, digits "
                    "and _."
                )
            if path in written:
                raise ProviderError(
                    f"{written[path]} and {symbol} {field} would both be {path.relative_to(folder)}, since Qlib's "
                    "files are in small letters. Rename one of the two."
                )
            written[path] = f"{symbol} {field}"
            bars = np.full(rows[-1] - rows[0] + 2, np.nan, dtype="<f4")
            bars[0] = rows[0]
            bars[rows - rows[0] + 1] = values.to_numpy()
            path.write_bytes(bars.tobytes())


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _stamp(time: Any) -> str:
    time = exchange_time(pd.Timestamp(time))
    return time.strftime("%Y-%m-%d" if time == time.normalize() else "%Y-%m-%d %H:%M:%S")

"""Write Qlib provider folders: the calendars, instruments and .bin files that `qlib.init` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qlib_ext.errors import ProviderError
from qlib_ext.system.folder import whole_folder

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

    calendar     increasing times of the bars; `freq` is "day" or "<n>min"
    features     pairs (symbol, frame): rows are times of the calendar, columns are fields; times that the
                 frame leaves out between its first and last row become NaN
    instruments  name -> spans (symbol, first, last), both ends included, several spans a symbol allowed; a
                 last day that is to include its minute bars is given as "2020-01-31 23:59:59"
    future_days  business days after the calendar's end in `<freq>_future.txt`; without them a Qlib backtest up
                 to the last day of the calendar ends in an IndexError
    about        how the data was made; kept in market.json

    The folder is written beside its place and renamed, so an interrupted write leaves no half provider.

    Raises ProviderError when the folder holds something (with `overwrite`: something other than a provider),
    when the calendar does not increase, a frame's times are not of the calendar, or the disk refuses.
    """
    target = Path(folder).expanduser().resolve()
    _check_calendar(calendar, freq)
    with whole_folder(target, _PARTS, "provider", overwrite) as new:
        for part in ("calendars", "instruments", "features"):
            (new / part).mkdir()
        _write_features(new, calendar, features, freq)
        for name, spans in instruments.items():
            _write_lines(
                new / "instruments" / f"{name.lower()}.txt",
                (f"{symbol}\t{_stamp(first)}\t{_stamp(last)}" for symbol, first, last in spans),
            )
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

    Arguments as in `write_provider`. Qlib sees a frequency once its calendar is there; the calendar is
    written last, so an interrupted call adds nothing that Qlib sees, and may be repeated.

    Raises ProviderError when the folder is no provider, already has this frequency, or the data is not fit.
    """
    target = Path(folder).expanduser().resolve()
    _check_calendar(calendar, freq)
    if not (target / "calendars").is_dir():
        raise ProviderError(f"{target} is no provider to add {freq} bars to; write it with write_provider first")
    if (target / "calendars" / f"{freq}.txt").exists():
        raise ProviderError(f"{target} already has {freq} bars; write the whole provider again to replace them")
    try:
        _write_features(target, calendar, features, freq)
        _write_calendars(target, calendar, freq, future_days)
    except OSError as err:
        raise ProviderError(f"cannot write the {freq} bars of {target}: {err}; make room and repeat") from err
    return target


def read_about(folder: str | Path) -> dict[str, Any] | None:
    """Return how the folder's data was made, as `write_provider` was told, or None where it does not say.

    Raises ProviderError when market.json is not readable as JSON.
    """
    path = Path(folder).expanduser() / ABOUT
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as err:
        raise ProviderError(f"{path} cannot be read: {err}; delete the folder and write it again") from err


def _check_calendar(calendar: pd.DatetimeIndex, freq: str) -> None:
    if not re.fullmatch(r"day|[1-9]\d*min", freq):
        raise ProviderError(f"the frequency {freq!r} is none of Qlib's provider frequencies; use 'day' or '<n>min'")
    if not 0 < len(calendar) < _LONGEST:
        raise ProviderError(f"the {freq} calendar has {len(calendar)} entries; a provider needs 1 to {_LONGEST - 1}")
    if not (calendar.is_monotonic_increasing and calendar.is_unique):
        raise ProviderError(f"the {freq} calendar does not increase strictly; sort it and drop what is double")


def _write_calendars(folder: Path, calendar: pd.DatetimeIndex, freq: str, future_days: int) -> None:
    after = pd.bdate_range(calendar[-1].normalize() + pd.Timedelta(days=1), periods=future_days)
    clock = (calendar - calendar.normalize()).unique().sort_values()
    future = [day + time for day in after for time in clock]
    form = "%Y-%m-%d" if freq == "day" else "%Y-%m-%d %H:%M:%S"
    lines = calendar.strftime(form).tolist()
    _write_lines(folder / "calendars" / f"{freq}_future.txt", [*lines, *(time.strftime(form) for time in future)])
    partial = folder / "calendars" / f".{freq}"
    _write_lines(partial, lines)
    partial.replace(folder / "calendars" / f"{freq}.txt")


def _write_features(folder: Path, calendar: pd.DatetimeIndex, features: Features, freq: str) -> None:
    for symbol, frame in features:
        rows = calendar.get_indexer(pd.DatetimeIndex(frame.index))
        if not len(rows) or (rows < 0).any() or (np.diff(rows) <= 0).any():
            wrong = frame.index[rows < 0]
            raise ProviderError(
                f"{symbol}: {len(wrong)} of {len(rows)} rows are not in the {freq} calendar, "
                f"first {wrong[0] if len(wrong) else 'none'}; give at least one row, in the calendar's order"
            )
        place = folder / "features" / symbol.lower()
        place.mkdir(exist_ok=True)
        for field, values in frame.items():
            bars = np.full(rows[-1] - rows[0] + 2, np.nan, dtype="<f4")
            bars[0] = rows[0]
            bars[rows - rows[0] + 1] = values.to_numpy()
            (place / f"{str(field).lower()}.{freq}.bin").write_bytes(bars.tobytes())


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _stamp(time: Any) -> str:
    time = pd.Timestamp(time)
    return time.strftime("%Y-%m-%d" if time == time.normalize() else "%Y-%m-%d %H:%M:%S")

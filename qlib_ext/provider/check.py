"""Say in one sentence what is wrong with a Qlib provider folder before Qlib stumbles over it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from qlib_ext.errors import ProviderError
from qlib_ext.provider.calendar import calendar_file, read_calendar
from qlib_ext.provider.names import feature_folder

_HELP = (
    "set QLIB_DATA to a provider folder, make a simulated one with `qlib-ext market --out DIR`, "
    "or get Qlib's own data with `python -m qlib.cli.data qlib_data --target_dir ~/.qlib/qlib_data/cn_data --region cn`"
)

WITHOUT_VWAP = "The workflows yahoo_csi300_gru and yahoo_csi300_lightgbm do without; docs/data.md says where to get it."
MADE_BY_TICKS = (
    "The fields $hf_... are the high-frequency factors: `qlib-ext ticks build` writes them into a provider, from "
    "minute bars, trades and orders."
)


def check_provider(uri: str | Path, freq: str = "day") -> pd.DatetimeIndex:
    """Make sure that a folder is a Qlib provider with bars of this frequency, and return its calendar.

    Raises ProviderError when the folder is missing, has no calendar, no instruments or no features, or has a calendar
    that ``read_calendar`` refuses.
    """
    folder = Path(uri).expanduser().absolute()
    if not folder.is_dir():
        raise ProviderError(f"The Qlib provider folder {folder} does not exist; {_HELP}.")
    calendar = calendar_file(folder, freq)
    has = {
        f"calendars/{freq}.txt": calendar.is_file() and calendar.stat().st_size > 0,
        "instruments/*.txt": any((folder / "instruments").glob("*.txt")),
        f"features/*/*.{freq}.bin": any((folder / "features").glob(f"*/*.{freq}.bin")),
    }
    if missing := [part for part, there in has.items() if not there]:
        raise ProviderError(f"The folder {folder} is no Qlib provider, it lacks {', '.join(missing)}; {_HELP}.")
    return read_calendar(folder, freq)


def check_future_days(uri: str | Path) -> None:
    """Make sure that a provider knows a trading day after its last one, without which no backtest reaches that one.

    Raises ProviderError, which says how such days are added.
    """
    folder = Path(uri).expanduser().absolute()
    path, last = calendar_file(folder, future=True), read_calendar(folder)[-1]
    if path.is_file() and (read_calendar(folder, future=True) > last).any():
        return
    found = f"ends on {last:%Y-%m-%d} or before" if path.is_file() else "is missing"
    raise ProviderError(
        f"The calendar of the days to come, {path}, {found}: a backtest up to the provider's last day {last:%Y-%m-%d} "
        f"would end in an IndexError after all training. Add such days: "
        f"python -c \"from qlib_ext.provider.writer import add_future_days; add_future_days('{folder}')\"."
    )


def check_features(uri: str | Path, fields: Iterable[str], instruments: Iterable[str], freq: str = "day") -> None:
    """Make sure that the .bin files of these fields ("$close" or "close") and instruments can be read.

    A stock without a field's file is allowed, as a stock may have no data. Reads 4 bytes a file.

    Raises ProviderError as ``check_provider`` does, when a file is damaged, or when none of the instruments
    has one of the fields.
    """
    length = len(check_provider(uri, freq))
    folder = Path(uri).expanduser().absolute()
    stocks = [feature_folder(folder, symbol) for symbol in instruments]
    for field in fields:
        name = field.removeprefix("$").lower()
        found = 0
        for stock in stocks:
            path = f"{stock}/{name}.{freq}.bin"
            try:
                with open(path, "rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    head = file.read(4)
            except FileNotFoundError:
                continue
            found += 1
            refuse_damage(path, size, head, length)
        if not found:
            raise ProviderError(_unknown(name, stocks, freq))


def refuse_damage(path: str, size: int, head: bytes, length: int) -> None:
    """Raise ProviderError for a damaged bin of ``size`` bytes beginning with ``head``, in a calendar of ``length``."""
    if fault := _fault(size, head, length):
        raise ProviderError(
            f"The file {path} is damaged: {fault}; copy it from a good provider, or write "
            "the folder again (`qlib-ext market --out DIR --overwrite`, or download it anew)."
        )


def _fault(size: int, head: bytes, length: int) -> str | None:
    """What is wrong with a .bin of ``size`` bytes that begins with ``head``; the calendar has ``length`` entries."""
    if size < 8 or size % 4:
        return f"{size} bytes are not a start and at least one value of 4 bytes each"
    start = float(np.frombuffer(head, dtype="<f4")[0])
    if not (start >= 0 and start.is_integer()):
        return f"its first value {start} is not a position in the calendar"
    if start + size // 4 - 1 > length:
        return f"its {size // 4 - 1} values from position {start:.0f} run beyond the calendar's {length} entries"
    return None


def _unknown(name: str, stocks: list[Path], freq: str) -> str:
    ending = f".{freq}.bin"
    there = sorted({path.name.removesuffix(ending) for stock in stocks for path in stock.glob(f"*{ending}")})
    near = difflib.get_close_matches(name, there)
    listed = ", ".join(f"${field}" for field in there) or "none, check the instruments and the frequency"
    hint = f"did you mean {' or '.join(f'${field}' for field in near)}? " if near else ""
    made = MADE_BY_TICKS if name.startswith("hf_") else "`qlib-ext fields` makes fields of a table."
    made = WITHOUT_VWAP if name == "vwap" else made
    return (
        f"None of the {len(stocks)} instruments has the field ${name} at {freq} frequency; {hint}available: {listed}. "
        f"{made}"
    )

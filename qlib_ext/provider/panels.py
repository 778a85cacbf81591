"""Fields and memberships of a Qlib provider as matrices [days, stocks], read without Qlib."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from qlib_ext.errors import ProviderError
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.check import check_provider, refuse_damage
from qlib_ext.provider.names import feature_folder, require_universe

BAR = np.dtype("<f4")


def checked_folder(provider: str | Path) -> Path:
    """The absolute path of a provider of day bars; raises ProviderError where it is none."""
    check_provider(provider)
    return Path(provider).expanduser().absolute()


def read_spans(provider: Path, market: str) -> pd.DataFrame:
    """The spans of a provider's instruments file: columns instrument, first, last, both days included.

    Raises DataError where the provider has no such file, ProviderError where a line of it is no span.
    """
    require_universe(provider, market)
    path = provider / "instruments" / f"{market.lower()}.txt"
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    try:
        spans = pd.DataFrame([row[:3] for row in rows], columns=["instrument", "first", "last"])
        days = {name: pd.to_datetime(spans[name]) for name in ("first", "last")}
    except ValueError as error:
        raise ProviderError(f"{path} has a line that is not instrument, first day and last day: {error}.") from error
    return spans.assign(instrument=spans["instrument"].str.upper(), **days)


def membership(spans: pd.DataFrame, days: pd.DatetimeIndex, stocks: Sequence[str]) -> np.ndarray:
    """True where a day lies within one of the stock's spans: [days, stocks]; spans of other stocks are passed over."""
    column = {stock: place for place, stock in enumerate(stocks)}
    member = np.zeros((len(days), len(stocks)), dtype=bool)
    begin, end = days.searchsorted(spans["first"]), days.searchsorted(spans["last"], side="right")
    for stock, low, high in zip(spans["instrument"], begin, end, strict=True):
        if stock in column:
            member[low:high, column[stock]] = True
    return member


def fields_known(provider: Path, fields: Iterable[str], stocks: Sequence[str]) -> list[str]:
    """Those of the fields of which at least one of the stocks has a file."""
    places = [feature_folder(provider, stock) for stock in stocks]
    return [field for field in fields if any(os.path.exists(f"{place}/{field}.day.bin") for place in places)]


def read_panels(
    provider: Path, fields: Sequence[str], stocks: Sequence[str], first: int = 0, last: int | None = None
) -> dict[str, np.ndarray]:
    """Fields of day bars, each [days, stocks] float64, NaN where the provider has nothing.

    fields       names without $; stocks: a stock without a file of a field is NaN
    first, last  places in the calendar: of the first day and of the one after the last, None for the calendar's end

    Raises ProviderError where a file is damaged.
    """
    length = len(read_calendar(provider))
    end = length if last is None else last
    places = [feature_folder(provider, stock) for stock in stocks]
    panels = {}
    for field in fields:
        by_stock = np.empty((len(stocks), end - first), dtype=np.float32)
        for row, place in zip(by_stock, places, strict=True):
            _read_into(row, f"{place}/{field}.day.bin", first, length)
        panels[field] = by_stock.T.astype(np.float64, order="C")
    return panels


def above_zero(values: np.ndarray) -> np.ndarray:
    """Prices and market values, NaN where one is not above 0 or is infinite: such a number is none, it is missing."""
    return np.where((values > 0) & np.isfinite(values), values, np.nan)


def _read_into(row: np.ndarray, path: str, first: int, length: int) -> None:
    """Fill a stock's row [days] from its file, in one read: of many small files the calls are what takes time."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        row[:] = np.nan
        return
    try:
        content = os.read(file, 4 * length + 8)  # a day more than there may be
    finally:
        os.close(file)
    if len(content) < 8 or len(content) % 4:
        refuse_damage(path, len(content), content[:4], length)
    values = np.frombuffer(content, BAR)
    place = values.item(0)
    if not 0 <= place <= length - len(values) + 1 or place % 1:
        refuse_damage(path, len(content), content[:4], length)
    start = int(place)
    begin, end = max(start, first), min(start + len(values) - 1, first + len(row))
    if begin >= end:
        row[:] = np.nan
        return
    row[: begin - first] = row[end - first :] = np.nan
    row[begin - first : end - first] = values[1 + begin - start : 1 + end - start]

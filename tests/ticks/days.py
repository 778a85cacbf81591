"""Random days on disk, and a provider that has their stocks."""

from __future__ import annotations

from datetime import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from qlib_ext.provider.writer import write_provider
from qlib_ext.ticks import build as command
from qlib_ext.ticks.schema import ORDERS, TRADES

STOCKS = ("SH600000", "SH600519", "SZ000001")
CALENDAR = pd.bdate_range("2023-01-30", periods=12)
DAYS = ("2023-02-01", "2023-02-02", "2023-02-06")  # two days and, after one without partitions, a third
build = partial(command.build, backend="serial")  # worker processes take seconds to start


def provider_in(folder: Path) -> Path:
    """A provider of the stocks, without fields of ticks."""
    frame = pd.DataFrame({"close": np.arange(len(CALENDAR), dtype=float)}, index=CALENDAR)
    spans = [(symbol, CALENDAR[0], CALENDAR[-1]) for symbol in STOCKS]
    return write_provider(folder, CALENDAR, [(symbol, frame) for symbol in STOCKS], {"all": spans})


def trades_of(seed: int, rows: int = 200) -> pl.DataFrame:
    """Trades of all stocks."""
    rng = np.random.default_rng(seed)
    return pl.concat([_trades(rng, symbol, rows) for symbol in STOCKS])


def _trades(rng: np.random.Generator, symbol: str, rows: int) -> pl.DataFrame:
    price = np.round(10 + np.cumsum(rng.normal(0, 0.02, rows)), 2)
    volume = 100 * rng.integers(1, 50, rows)
    columns: dict[str, Any] = {
        "instrument": [symbol] * rows,
        "time": _times(rng, rows),
        "price": price,
        "volume": volume,
        "amount": price * volume,
        "buy_order": np.sort(rng.integers(1, rows // 2, rows)),
        "sell_order": np.sort(rng.integers(1, rows // 2, rows)),
        "side": rng.choice(["B", "S"], rows),
    }
    return pl.DataFrame(columns, schema=TRADES)


def orders_of(seed: int, rows: int = 200) -> pl.DataFrame:
    """Orders and cancels of all stocks."""
    rng = np.random.default_rng(seed)
    return pl.concat([_orders(rng, symbol, rows) for symbol in STOCKS])


def _orders(rng: np.random.Generator, symbol: str, rows: int) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "instrument": [symbol] * rows,
        "time": _times(rng, rows),
        "price": np.round(rng.normal(10, 0.3, rows), 2),
        "volume": 100 * rng.integers(1, 50, rows),
        "side": rng.choice(["B", "S"], rows),
        "order_id": np.arange(rows),
        "kind": rng.choice(["add", "cancel"], rows, p=[0.8, 0.2]),
    }
    return pl.DataFrame(columns, schema=ORDERS)


def _times(rng: np.random.Generator, rows: int) -> list[time]:
    seconds = np.sort(rng.integers(0, 4 * 3600, rows))
    seconds = seconds + np.where(seconds < 2 * 3600, 9.5 * 3600, 11 * 3600).astype(int)
    return [time(s // 3600, s // 60 % 60, s % 60) for s in seconds.tolist()]


def put(folder: Path, day: str, *frames: pl.DataFrame, rows: int | None = None) -> list[Path]:
    """Write a day's partition, a file a frame with so many rows a row group; -> the files."""
    place = folder / f"date={day}"
    place.mkdir(parents=True, exist_ok=True)
    files = [place / f"{number}.parquet" for number in range(len(frames))]
    for file, frame in zip(files, frames, strict=True):
        frame.write_parquet(file, row_group_size=rows)
    return files


def bin_of(provider: Path, name: str, symbol: str = STOCKS[0]) -> Path:
    """A stock's file of a factor."""
    return provider / "features" / symbol.lower() / f"hf_{name}.day.bin"


def content(provider: Path) -> dict[str, bytes]:
    """The bytes of all factors' files, by name."""
    return {str(file.relative_to(provider)): file.read_bytes() for file in provider.rglob("hf_*")}


def results(provider: Path) -> list[Path]:
    """The days that are finished."""
    return list(provider.with_name(f"{provider.name}.ticks").glob("*.parquet"))


def left_over(folder: Path) -> list[Path]:
    """Files that were not written to their end."""
    return list(folder.rglob(".*.part"))

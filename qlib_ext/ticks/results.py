"""The finished days of ``qlib-ext ticks build``: one Parquet file each, in a folder beside the provider."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import polars as pl
from qlib.log import get_module_logger

from qlib_ext.errors import OutputError
from qlib_ext.provider.fields import MAKE_ROOM
from qlib_ext.system.files import is_as_written, write_checked
from qlib_ext.system.locks import locked
from qlib_ext.ticks.day import Day

logger = get_module_logger("qlib_ext.ticks")


class Results:
    """The folder ``<provider>.ticks``: a file ``<day>-<key>.parquet`` for each finished day, its checksum beside it.

    The key is a hash of the names, sizes and times of change of the day's files, the parameters, and the code, so that
    a day is computed again when one of them changes. The folder may be deleted whenever no run uses it.
    """

    def __init__(self, provider: Path) -> None:
        self.folder = provider.with_name(f"{provider.name}.ticks")
        self.versions = versions()

    def locked(self) -> AbstractContextManager[None]:
        """Keep other runs from writing to the same provider; raises OutputError where one does."""
        file = self.folder / "lock"
        busy = OutputError(f"Another run is building into this provider (it holds the lock {file}). Wait for it.")
        return locked(file, busy)

    def path(self, job: Day) -> Path:
        """Where the result of a day is, or will be."""
        files = {
            source: [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
            for source, files in job.files.items()
        }
        key = json.dumps([files, job.families, job.big, self.versions])
        return self.folder / f"{job.day}-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}.parquet"


def save(result: Path, factors: pl.DataFrame) -> None:
    """Keep a day's factors; raises OutputError where they cannot be written."""
    content = io.BytesIO()
    factors.write_parquet(content)
    write_checked(result, content.getvalue(), MAKE_ROOM)


def versions() -> list[str]:
    """What the numbers depend on beside files and parameters: the source of this package, and polars' version."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return [hashlib.blake2b(b"".join(path.read_bytes() for path in sources)).hexdigest(), pl.__version__]


def instruments_of(result: Path) -> list[str] | None:
    """The instruments of a finished day; None where there is no result, or one that is not as it was written."""
    if is_as_written(result):
        return pl.read_parquet(result, columns=["instrument"])["instrument"].to_list()
    if result.exists():
        logger.warning(f"A finished day is computed again: {result} is not as it was written.")
    return None


def values_of(results: Sequence[Path], name: str, instruments: set[str]) -> dict[str, np.ndarray]:
    """A factor of each of these instruments, float32 [days], from the days' results; NaN where a day has none."""
    days = [
        pl.scan_parquet(file).select("instrument", pl.col(name).cast(pl.Float32), day=pl.lit(day))
        for day, file in enumerate(results)
    ]
    table = pl.concat(days).filter(pl.col("instrument").is_in(list(instruments))).collect()
    rows = {symbol: row for row, symbol in enumerate(sorted(instruments))}
    values = np.full((len(rows), len(days)), np.nan, dtype=np.float32)  # [instruments, days]
    row = table["instrument"].replace_strict(rows, return_dtype=pl.Int64).to_numpy()
    values[row, table["day"].to_numpy()] = table[name].fill_null(np.nan).to_numpy()
    return {symbol: values[position] for symbol, position in rows.items()}

"""One day's factors from its files: what a worker of ``qlib-ext ticks build`` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from qlib_ext.errors import DataError
from qlib_ext.ticks.check import FAULTS, check_reconciled
from qlib_ext.ticks.factors import day_factors
from qlib_ext.ticks.partitions import check_content
from qlib_ext.ticks.schema import SCHEMAS


@dataclass(frozen=True)
class Day:
    """A day, its files by source (trades, orders, minute), the families of factors, and the threshold of big orders."""

    noun: ClassVar[str] = "day"

    day: str
    files: dict[str, list[Path]]
    families: tuple[str, ...]
    big: float


def build_day(shared: None, job: Day) -> tuple[Day, pl.DataFrame]:
    """The factors of all instruments of a day, sorted by instrument: ``instrument`` and a Float64 column a factor.

    Raises DataError that names file and row group where a row cannot be used, and the day where its rows together
    cannot: times that go back, rows that are there twice, trades that are not those of the minute bars.
    """
    for source, files in job.files.items():
        check_content(files, SCHEMAS[source], FAULTS[source])
    frames: dict[str, Any] = {
        source: pl.scan_parquet(files).select(list(SCHEMAS[source])) for source, files in job.files.items()
    }
    try:
        if "trades" in frames and "minute" in frames:
            check_reconciled(frames["trades"], frames["minute"])
        factors = day_factors(big=job.big, families=job.families, **frames)
    except DataError as error:
        folders = ", ".join(str(files[0].parent) for files in job.files.values())
        raise DataError(f"{folders}: {error} Finished days are kept.") from error
    return job, factors

"""The folders of Qlib's own point-in-time data, ``financial/<instrument>/<field>_q.data``, as a table of reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

import numpy as np
import polars as pl

from qlib_ext.errors import DataError
from qlib_ext.provider.names import instrument_of

RECORD = np.dtype([("date", "<u4"), ("period", "<u4"), ("value", "<f8"), ("next", "<u4")])
SUFFIX = "_q.data"
KEY = ["instrument", "period", "announced"]
ENDS = {1: "03-31", 2: "06-30", 3: "09-30", 4: "12-31"}


def read_pit(folder: str | Path, fields: Sequence[str] | None = None) -> pl.DataFrame:
    """All announcements of the quarterly fields: rows (instrument, period, announced, fields), fields without ``_q``.

    folder  a provider's ``financial``, as Qlib's ``dump_pit.py`` writes it
    fields  of these alone; None: all that are there

    A value that Qlib keeps as missing is null. Raises DataError where there is no such folder or field, or a file is
    damaged.
    """
    folder = Path(folder).expanduser().absolute()
    files = sorted(folder.glob(f"*/*{SUFFIX}"))
    there = sorted({file.name.removesuffix(SUFFIX) for file in files})
    if not files:
        raise DataError(f"{folder} has no <instrument>/<field>{SUFFIX}; give the folder that Qlib's dump_pit.py wrote.")
    if missing := [field for field in fields or () if field not in there]:
        raise DataError(f"{folder} has no quarterly field {missing[0]!r}, it has {', '.join(there)}.")
    frames = []
    for field in there if fields is None else fields:
        own = [file for file in files if file.name == f"{field}{SUFFIX}"]
        frames.append(pl.concat(list(_records(own, field))).unique(KEY, keep="last", maintain_order=True))
    return reduce(lambda a, b: a.join(b, on=KEY, how="full", coalesce=True), frames).sort(KEY)


def _records(files: Sequence[Path], field: str) -> Iterator[pl.DataFrame]:
    for file in files:
        content = file.read_bytes()
        records = np.frombuffer(content[: len(content) // RECORD.itemsize * RECORD.itemsize], RECORD)
        quarter = records["period"] % 100
        if len(content) % RECORD.itemsize or ((quarter < 1) | (quarter > 4)).any():
            raise DataError(f"{file} is damaged: it is no file of quarterly records; write it again with dump_pit.py.")
        ends = [f"{period // 100}-{ENDS[period % 100]}" for period in records["period"].tolist()]
        yield pl.DataFrame(
            {
                "instrument": [instrument_of(file.parent)] * len(records),
                "period": pl.Series(ends, dtype=pl.String).str.to_date(),
                "announced": pl.Series(records["date"].astype(str), dtype=pl.String).str.to_date("%Y%m%d"),
                field: pl.Series(records["value"]).fill_nan(None),
            }
        )

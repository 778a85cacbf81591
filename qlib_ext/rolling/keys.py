"""By what a finished window is known again: a hash of its rows, its configuration and the code."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from qlib.data.dataset import Dataset
from qlib.data.dataset.handler import DataHandlerABC
from qlib.data.dataset.processor import Processor

from qlib_ext.rolling.inner import beside_dataset
from qlib_ext.rolling.jobs import train_window
from qlib_ext.rolling.rows import RawData, SharedRows
from qlib_ext.rolling.windows import RollingWindow
from qlib_ext.system.description import Description

if TYPE_CHECKING:
    import polars as pl  # which a handler without relations does without

# attributes that the dates of each window replace; a longer test segment leaves the windows before it as they are
OF_WINDOWS: dict[type, set[str]] = {
    Dataset: {"segments", "cal"},
    DataHandlerABC: {"start_time", "end_time"},
    Processor: {"fit_start_time", "fit_end_time"},
}


class Keys:
    """The keys of all windows of one dataset and one inner model; the rows are hashed once, day by day.

    Beside its rows, and what is seen up to its last day of relations and of what the inner model reads beside the
    dataset, a window is known by the configuration of dataset and inner model, by the content of every file that is
    named in it, by every module that the computation imports, ours and the user's, and by the versions of the packages
    that these import.
    """

    def __init__(self, data: RawData, dataset: Any, model: dict) -> None:
        self.data = data
        self.members = hashes_by_day(data.members)
        self.history = {} if data.history is None else hashes_by_day(data.history)
        has_relations = hasattr(dataset.handler, "relation_tables")
        tables: dict[str, pl.DataFrame] = dataset.handler.relation_tables() if has_relations else {}
        self.relations = [tables[kind] for kind in sorted(tables)]
        self.beside = beside_dataset(model)
        description = Description(without=OF_WINDOWS)
        configuration = [description.of(dataset), description.of(model)]
        self.fixed = json.dumps([configuration, description.sources(train_window.__module__)], sort_keys=True)

    def key(self, window: RollingWindow, seed: int | None) -> str:
        """The key of one window and seed."""
        digest = hashlib.blake2b(self.fixed.encode(), digest_size=16)
        digest.update(json.dumps([window.segments(), seed], default=str).encode())
        first, last = self.data.first_day(window), window.test[1]
        for days in (self.members, self.history):
            for day, rows in days.items():
                if first <= day <= last:
                    digest.update(rows)
        for table in self.relations:
            digest.update(known_until(last, table).write_csv().encode())
        if self.beside is not None:
            rows = self.beside.loc[:last]
            digest.update(json.dumps(list(map(str, rows.columns))).encode())
            digest.update(pd.util.hash_pandas_object(rows).to_numpy().tobytes())
        return digest.hexdigest()


def hashes_by_day(rows: SharedRows) -> dict[Any, bytes]:
    """A hash of each day's rows: its instruments and their values."""
    bounds = np.searchsorted(rows.day, np.arange(len(rows.days) + 1))
    names = np.array([str(name) for name in rows.instruments])
    columns = str([*rows.columns, *rows.dtypes]).encode()
    hashes = {}
    for place, day in enumerate(rows.days):
        part = slice(bounds[place], bounds[place + 1])
        digest = hashlib.blake2b(columns, digest_size=16)
        digest.update(names[rows.instrument[part]].tobytes())
        digest.update(np.ascontiguousarray(rows.values[part]).tobytes())
        hashes[day] = digest.digest()
    return hashes


def known_until(day: pd.Timestamp, table: pl.DataFrame) -> pl.DataFrame:
    """The relations of a table as they are seen up to a day, in one order whatever that of the table."""
    import polars as pl

    ends = pl.when(pl.col("to") <= day.date()).then("to").otherwise(None)
    return table.filter(pl.col("from") <= day.date()).with_columns(ends.alias("to")).sort(pl.all())

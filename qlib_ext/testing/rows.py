"""Small data sets of random numbers, as a handler would return them."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader
from torch import Tensor

from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.window import Window

if TYPE_CHECKING:
    import polars as pl  # which only related stocks need

SEGMENTS = {
    "train": ("2020-01-01", "2020-02-14"),
    "valid": ("2020-02-17", "2020-03-06"),
    "test": ("2020-03-09", "2020-03-31"),
}
PURGE = 2  # trading days


def random_rows(days: int = 65, stocks: int = 12, fields: int = 4, holes: float = 0.1, seed: int = 0) -> pd.DataFrame:
    """Rows of (feature, label) by (datetime, instrument); a share is missing, the label follows the first field."""
    generator = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-01", periods=days), [f"SH{600000 + i}" for i in range(stocks)]],
        names=["datetime", "instrument"],
    )
    values = generator.standard_normal((len(index), fields)).astype(np.float32)
    label = values[:, :1] + generator.standard_normal((len(index), 1)).astype(np.float32)
    columns = pd.MultiIndex.from_tuples([("feature", f"F{i}") for i in range(fields)] + [("label", "LABEL0")])
    rows = pd.DataFrame(np.hstack([values, label]), index=index, columns=columns)
    return rows[generator.random(len(rows)) >= holes]


class RelatedHandler(DataHandlerLP):
    """A Qlib handler whose stocks are related: by industries, and each to those beside it in the order of the names.

    Both are the same when the names are exchanged from the first with the last on.
    """

    def relation_tables(self) -> dict[str, pl.DataFrame]:
        """Memberships of three industries and edges of a half."""
        import polars as pl

        names = sorted(self.fetch().index.unique("instrument"))
        pairs = [*pairwise(names), *pairwise(names[::-1])]
        dates = {"from": date(2020, 1, 1), "to": None}
        industry = [{"instrument": name, "group": str(min(k, len(names) - 1 - k) % 3)} for k, name in enumerate(names)]
        beside = [{"source": source, "target": target, "weight": 0.5} for source, target in pairs]
        of_dates = {"from": pl.Date, "to": pl.Date}
        of_edges = {"source": pl.String, "target": pl.String, "weight": pl.Float64} | of_dates
        return {
            "industry": pl.DataFrame([row | dates for row in industry], schema_overrides=of_dates),
            "beside": pl.DataFrame([row | dates for row in beside], schema=of_edges),  # one stock has no pair
        }


def handler_of(rows: pd.DataFrame, window: Window | None = None, related: bool = True) -> DataHandlerLP:
    """A handler that returns these rows in such windows; its learning view drops rows without a label."""
    kind = RelatedHandler if related else DataHandlerLP
    handler = kind(data_loader=StaticDataLoader(rows.copy()), learn_processors=[{"class": "DropnaLabel"}])
    if window is not None:
        handler.window = window
    return handler


def dataset_of(
    rows: pd.DataFrame,
    window: Window | None = None,
    segments: dict = SEGMENTS,
    purge: int | str = PURGE,
    related: bool = True,
    **kwargs: Any,
) -> CrossSectionDataset:
    """A dataset of these rows; windows are of five days where neither ``window`` nor ``step_len`` is given."""
    if window is None:
        kwargs = {"step_len": 5} | kwargs
    return CrossSectionDataset(handler_of(rows, window, related), segments, purge=purge, **kwargs)


def three_day_images(x: Tensor) -> Tensor:
    """Every three days in a row as an image: ``[samples, days, fields] -> [samples, days - 2, fields, 3]``."""
    return x.unfold(1, 3, 1)


IMAGES = Window(5, shape=three_day_images)  # three images of 4 rows x 3 columns, of the rows of `random_rows`

"""Small panels made of random numbers, as a handler would return them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader
from torch import Tensor

from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.window import Window

SEGMENTS = {
    "train": ("2020-01-01", "2020-02-14"),
    "valid": ("2020-02-17", "2020-03-06"),
    "test": ("2020-03-09", "2020-03-31"),
}
DROP_UNLABELLED = [{"class": "DropnaLabel"}]
SHAPE: Callable[[Tensor], Tensor] | None = None  # of the windows that handlers give; set by the models' contract


def random_rows(days: int = 65, stocks: int = 12, fields: int = 4, holes: float = 0.1, seed: int = 0) -> pd.DataFrame:
    """Rows of (feature, label) by (datetime, instrument); a share is missing, the label follows the first field."""
    random = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-01", periods=days), [f"SH{600000 + i}" for i in range(stocks)]],
        names=["datetime", "instrument"],
    )
    values = random.standard_normal((len(index), fields)).astype(np.float32)
    label = values[:, :1] + random.standard_normal((len(index), 1)).astype(np.float32)
    columns = pd.MultiIndex.from_tuples([("feature", f"F{i}") for i in range(fields)] + [("label", "LABEL0")])
    rows = pd.DataFrame(np.hstack([values, label]), index=index, columns=columns)
    return rows[random.random(len(rows)) >= holes]


def handler_of(rows: pd.DataFrame) -> DataHandlerLP:
    """A Qlib handler that returns these rows; its learning view drops rows without a label."""
    handler = DataHandlerLP(data_loader=StaticDataLoader(rows.copy()), learn_processors=DROP_UNLABELLED)
    if SHAPE is not None:
        handler.window = Window(length=20, shape=SHAPE)
    return handler


def three_day_images(x: Tensor) -> Tensor:
    """Every three days in a row as an image: ``[samples, days, fields] -> [samples, days - 2, fields, 3]``."""
    return x.unfold(1, 3, 1)


def dataset_of(rows: pd.DataFrame, step_len: int = 5, purge: int = 2, **kwargs: object) -> CrossSectionDataset:
    """A dataset of these rows in the three segments."""
    segments = kwargs.pop("segments", SEGMENTS)
    return CrossSectionDataset(handler=handler_of(rows), segments=segments, step_len=step_len, purge=purge, **kwargs)


def garbage_from(day: int) -> Callable:
    """An edit that makes every bar from this day of the calendar on meaningless."""

    def edit(bars: np.ndarray, start: int) -> None:
        later = bars[max(day - start, 0) :]
        later[:] = np.random.default_rng(0).uniform(1, 1000, len(later))

    return edit

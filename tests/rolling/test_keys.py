"""What is part of a window's key, and what is not."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest
from qlib.contrib.data.handler import Alpha158
from qlib.data.dataset import TSDatasetH
from qlib.data.dataset.processor import Processor

from qlib_ext.rolling.keys import Keys, by_day, plain
from qlib_ext.rolling.rows import RawData, Rows
from qlib_ext.testing.rows import random_rows
from tests.rolling.cases import dataset_of, handler_of, ridge, rolling


@pytest.fixture
def rows():
    return random_rows(days=80)


class Since(Processor):
    """A processor with an option that is a date, as YAML reads it."""

    def __init__(self, since=None, start_time=None):
        self.since, self.start_time = since, start_time

    def __call__(self, df):
        return df


KEYED = {
    "an option of a processor": ({"class": "CSRankNorm"}, {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}}),
    "a date": ({"class": Since, "kwargs": {"since": datetime.date(2020, 1, day)}} for day in (1, 2)),
    "a time": ({"class": Since, "kwargs": {"since": pd.Timestamp(2020, 1, day)}} for day in (1, 2)),
    "a number of numpy's": ({"class": Since, "kwargs": {"since": np.int64(day)}} for day in (1, 2)),
    "a set": ({"class": Since, "kwargs": {"since": {day}}} for day in (1, 2)),
    "a function": ({"class": Since, "kwargs": {"since": function}} for function in (len, max)),
    "a day that it begins on": ({"class": Since, "kwargs": {"start_time": f"2020-01-0{day}"}} for day in (1, 2)),
}


def key_of(data, purge=2) -> str:
    model = rolling(purge=purge)
    return Keys(RawData.of(data), data, model.model).key(model.plan(data)[0], None)


@pytest.mark.parametrize("what", KEYED)
def test_an_option_of_a_processor_is_part_of_the_key(rows, what, qlib_expressions):
    data = [dataset_of(rows) for _ in range(2)]
    for one, config in zip(data, list(KEYED[what]), strict=True):
        one.handler.learn_processors = handler_of(rows, config).learn_processors
    first, second = map(key_of, data)
    assert first != second


def test_what_a_windows_own_dates_replace_is_no_part_of_the_key(rows, qlib_expressions):
    data = dataset_of(rows)
    first = key_of(data)
    for processor in data.handler.infer_processors[:1]:
        processor.fit_end_time = "2020-02-02"
        processor.mean_train = processor.mean_train + 1
    data.handler.start_time, data.handler.end_time = "2020-01-01", "2030-01-01"
    assert key_of(data) == first


def test_the_content_of_a_file_that_the_model_names_is_part_of_the_key(rows, tmp_path, qlib_expressions):
    file, data, keys = tmp_path / "weights.pt", dataset_of(rows), set()
    for content in ("one", "other"):
        file.write_text(content)
        model = rolling(ridge(weights=str(file)))
        keys.add(Keys(RawData.of(data), data, model.model).key(model.plan(data)[0], None))
    assert len(keys) == 2


def test_the_types_of_columns_are_part_of_the_hash_of_rows(rows):
    mixed = rows.astype({("feature", "F1"): np.float64})
    first, second = (by_day(Rows.of(frame)) for frame in (mixed, mixed.astype(np.float64)))
    assert not set(first.values()) & set(second.values())


def test_a_longer_calendar_is_no_part_of_the_key_of_qlibs_windows(rows, qlib_expressions):
    whole, part = (
        TSDatasetH(handler=handler_of(r), segments={"test": ("2020-03-10", "2020-03-31")}, step_len=5)
        for r in (rows, rows.loc[:"2020-04-10"])
    )
    assert key_of(whole) == key_of(part)
    part.step_len = 6
    assert key_of(whole) != key_of(part)


def test_what_an_object_is_made_of_is_the_same_in_every_process():
    class Slotted:
        __slots__ = ("x",)

    assert "0x" not in str(plain([Slotted(), object(), len, Alpha158, np.arange(3), (x for x in "ab")]))

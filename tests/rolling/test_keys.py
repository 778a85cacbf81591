"""What is part of a window's key, and what is not."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from qlib.contrib.data.handler import Alpha158
from qlib.data.dataset import TSDatasetH
from qlib.data.dataset.processor import Processor

import qlib_ext
from qlib_ext.rolling.keys import Keys, hashes_by_day
from qlib_ext.rolling.rows import RawData, SharedRows
from qlib_ext.system import description
from qlib_ext.system.description import Description
from qlib_ext.system.files import content_hash
from qlib_ext.testing.rows import random_rows
from tests.models.cases import risk_model_of
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
    "a lambda": ({"class": Since, "kwargs": {"since": function}} for function in (lambda x: x, lambda x: -x)),
    "a method": ({"class": Since, "kwargs": {"since": Since(since=day).__call__}} for day in (1, 2)),
    "an array": ({"class": Since, "kwargs": {"since": np.array([1.0, day])}} for day in (1, 2)),
    "a tensor": ({"class": Since, "kwargs": {"since": torch.tensor([1.0, day])}} for day in (1, 2)),
    "an array in a list": ({"class": Since, "kwargs": {"since": [np.array([1.0, day])]}} for day in (1, 2)),
    "a frame": ({"class": Since, "kwargs": {"since": pd.DataFrame({"a": [day]})}} for day in (1, 2)),
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


def test_the_key_of_a_tensor_is_that_of_its_numbers(rows, qlib_expressions):
    data = [dataset_of(rows) for _ in range(2)]
    for one in data:
        one.handler.learn_processors = [Since(since=torch.tensor([1.0, 2.0]))]
    first, second = map(key_of, data)
    assert first == second


def test_what_a_windows_own_dates_replace_is_no_part_of_the_key(rows, qlib_expressions):
    data = dataset_of(rows)
    first = key_of(data)
    for processor in data.handler.infer_processors[:1]:
        processor.fit_end_time = "2020-02-02"
        processor.mean_train = processor.mean_train + 1
    data.handler.start_time, data.handler.end_time = "2020-01-01", "2030-01-01"
    assert key_of(data) == first


def key_with(data, model) -> str:
    return Keys(RawData.of(data), data, model.model).key(model.plan(data)[0], None)


def keys_of_contents(data, model, file) -> set[str]:
    """The keys of a window with two contents of a file."""
    found = set()
    for text in ("one", "other"):
        file.write_text(text)
        found.add(key_with(data, model))
    return found


@pytest.mark.parametrize("form", ["text", "path", "list", "nested", "home"])
def test_the_content_of_a_file_that_the_model_names_is_part_of_the_key(
    rows, tmp_path, qlib_expressions, monkeypatch, form
):
    monkeypatch.setenv("HOME", str(tmp_path))
    file, data = tmp_path / "weights.pt", dataset_of(rows)
    forms = {"text": str(file), "path": file, "list": ["a", str(file)], "nested": {"first": [{"from": str(file)}]}}
    forms |= {"home": "~/weights.pt"}
    assert len(keys_of_contents(data, rolling(ridge(weights=forms[form])), file)) == 2


def test_the_content_of_a_file_that_the_dataset_names_is_part_of_the_key(rows, tmp_path, qlib_expressions):
    file, data = tmp_path / "list.txt", dataset_of(rows)
    data.handler.learn_processors = handler_of(
        rows, {"class": Since, "kwargs": {"since": [str(file)]}}
    ).learn_processors
    assert len(keys_of_contents(data, rolling(), file)) == 2


def test_what_the_model_reads_beside_the_dataset_is_part_of_the_key_up_to_the_windows_last_day(
    rows, tmp_path, qlib_expressions
):
    """A risk model that was made anew in its folder with other returns trains again; one that grew does not."""
    data, folder = dataset_of(rows), str(tmp_path / "risk")
    days = pd.bdate_range("2019-11-25", "2020-12-31")
    returns = pd.DataFrame({"f.market": np.linspace(-0.01, 0.01, len(days))}, days)
    config = {"class": "StateWeight", "module_path": "qlib_ext.models.state_weighting", "kwargs": {"risk": folder}}
    risk_model_of(returns, folder)
    window = rolling(config, purge=2).plan(data)[0]

    def key(changed: pd.DataFrame) -> str:
        risk_model_of(changed, folder)
        return Keys(RawData.of(data), data, config).key(window, None)

    last = window.test[1]
    later, earlier = returns.copy(), returns.copy()
    later.loc[later.index > last] *= 2
    earlier.loc[earlier.index == last] *= 2
    assert key(returns) == key(later) == key(returns[returns.index <= last])
    assert key(earlier) != key(returns)
    assert key(returns.rename(columns={"f.market": "f.size"})) != key(returns)


def power(by, default=1):
    def of(x, offset=default):
        return x**by + offset

    return of


CELL = """
def scale(x):
    return FACTOR * x

class Above:
    def scale(self, x):
        return scale(x)

class Scale(Above):
    def __call__(self, x):
        return {name: scale(v) for name, v in x.items() if name in {"open", "close"}}
"""


def executed(module: str, text: str) -> type:
    """The class of a notebook's cell."""
    names = {"__name__": module}
    exec(text, names)
    return names["Scale"]


@pytest.mark.parametrize("edit", [("2 * x", "3 * x"), ("return scale(x)", "return x"), ('"close"', '"high"')])
def test_a_class_without_a_file_is_known_by_its_code(monkeypatch, edit):
    monkeypatch.setattr(description, "file_of", {}.get)
    monkeypatch.setattr(description, "is_own", {"__main__", "another_module"}.__contains__)
    text = CELL.replace("FACTOR", "2")
    same, moved, edited = (executed("__main__", each) for each in (text, f"\n\n{text}", text.replace(*edit)))
    of = Description().of
    assert of(same) == of(moved) != of(edited)
    assert of(same()) == of(moved()) != of(edited())
    assert of(same) != Description().of(executed("another_module", text))


def test_what_a_function_has_captured_is_part_of_its_description():
    functions = [power(2), power(2), power(3), power(2, default=5)]
    same, again, other, shifted = (Description().of(each) for each in functions)
    assert same == again
    assert same != other
    assert same != shifted
    assert Description().of(np) == "numpy"


BASE = "from tests.rolling.inner import Ridge\nfrom .helper import number\n\nclass Base(Ridge): pass\n"
USERS = {
    "the_model.py": "from the_bases.base import Base\n\nclass TheModel(Base): pass\n",
    "the_bases/__init__.py": "",
    "the_bases/base.py": BASE,
    "the_bases/helper.py": "number = 1\n",
    "the_bases/unused.py": "number = 1\n",
}


@pytest.fixture
def users(tmp_path, monkeypatch) -> Callable[[str, str], None]:
    """Writes a file of a user's model, of its base class and of what that imports, and something after it.

    The files lie in a folder and have a prefix of this test's own, since a module is looked for once in a process.
    """
    prefix = f"{tmp_path.name}_"

    def write(name: str, after: str = "") -> None:
        file = tmp_path / name.replace("the_", prefix)
        file.parent.mkdir(exist_ok=True)
        file.write_text(USERS[name].replace("the_", prefix) + after)

    for name in USERS:
        write(name)
    monkeypatch.syspath_prepend(tmp_path)
    return write


@pytest.mark.parametrize("edited", ["the_model.py", "the_bases/base.py", "the_bases/helper.py"])
def test_every_module_of_the_users_that_the_model_imports_is_part_of_the_key(
    rows, users, qlib_expressions, tmp_path, edited
):
    model = {"class": "TheModel", "module_path": f"{tmp_path.name}_model", "kwargs": {}}
    data, model = dataset_of(rows), rolling(model)
    found = [key_with(data, model)]
    for name in ("the_bases/unused.py", edited):
        users(name, "# edited\n")
        found.append(key_with(data, model))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("model", "file"),
    [
        ({"class": "ICIRWeight", "module_path": "qlib_ext.models.weighting"}, "cross_section/ic.py"),
        ({"class": "qlib_ext.models.gru.GRU"}, "layers/weak_factors.py"),
        (ridge(), "rolling/rows.py"),
    ],
)
def test_the_code_that_a_model_computes_with_is_part_of_the_key(rows, monkeypatch, qlib_expressions, model, file):
    data, edited = dataset_of(rows), str(Path(qlib_ext.__file__).parent / file)
    first = Keys(RawData.of(data), data, model).fixed
    hashes = {edited: "edited"}
    monkeypatch.setattr(description, "content_hash", lambda path: hashes.get(str(path)) or content_hash(path))
    assert Keys(RawData.of(data), data, model).fixed != first


def test_relations_up_to_the_last_test_day_are_part_of_the_key(rows, qlib_expressions):
    data = dataset_of(rows)
    raw, model = RawData.of(data), rolling()
    edge = {"source": "SH600000", "target": "SH600001", "weight": 1.0}
    window = model.plan(data)[0]
    last = window.test[1].date()
    schema = {"source": pl.String, "target": pl.String, "weight": pl.Float64, "from": pl.Date, "to": pl.Date}

    def key(*spans) -> str:
        table = pl.DataFrame([edge | {"from": start, "to": end} for start, end in spans], schema=schema)
        data.handler.relation_tables = lambda: {"suppliers": table}
        return Keys(raw, data, model.model).key(window, None)

    day = datetime.timedelta(days=1)
    first = last - 20 * day
    whole = key((first, None))
    assert whole == key((first, last + day)) == key((first, None), (last + day, None)), "what comes later is not read"
    assert key((first, None), (last - day, last)) == key((last - day, last), (first, None)), "the order says nothing"
    assert len({whole, key(), key((first, last)), key((first + day, None)), key((first, None), (last, None))}) == 5


def test_the_types_of_columns_are_part_of_the_hash_of_rows(rows):
    mixed = rows.astype({("feature", "F1"): np.float64})
    first, second = (hashes_by_day(SharedRows.of(frame)) for frame in (mixed, mixed.astype(np.float64)))
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

    assert "0x" not in str(Description().of([Slotted(), object(), len, Alpha158, np.arange(3), (x for x in "ab")]))

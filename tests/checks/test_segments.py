"""A model is not begun without the segments that it reads."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from qlib_ext.checks.segments import WITHOUT_VALID, check_segment_names
from qlib_ext.errors import QlibExtError, SegmentError

DAYS = ["2015-01-01", "2015-06-30"]
GRU = ("GRU", "qlib_ext.models.gru", {})
EQUAL = ("EqualWeight", "qlib_ext.models.weighting", {})
FUSION = ("Fusion", "qlib_ext.models.weighting", {"weights": {"a": 1}})
ROLLED = ("RollingModel", "qlib_ext.rolling", {"model": {"class": "GRU", "module_path": "qlib_ext.models.gru"}})
LIGHTGBM = ("LGBModel", "qlib.contrib.model.gbdt", {})
DOUBLE = ("DEnsembleModel", "qlib.contrib.model.double_ensemble", {})
OWN = ("Unreachable", "tests.checks.tasks", {})


def check(model, names, records_follow=True, **task) -> None:
    klass, module, kwargs = model
    dataset = {"handler": {}, "segments": dict.fromkeys(names, DAYS)}
    task |= {
        "model": {"class": klass, "module_path": module, "kwargs": kwargs},
        "dataset": {"class": "DatasetH", "module_path": "qlib.data.dataset", "kwargs": dataset},
    }
    check_segment_names(task, importable=True, records_follow=records_follow)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (GRU, ["train", "valid"]),
        (EQUAL, ["train"]),
        (FUSION, []),
        (ROLLED, ["test"]),
        (LIGHTGBM, ["train"]),
        (DOUBLE, ["train", "valid"]),
        (OWN, []),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_model_asks_for_what_it_reads_and_no_more(model, names):
    check(model, names)
    check(model, [*names, "history"])
    for name in names:
        others = [each for each in names if each != name]
        has = ", ".join(others) or "none"
        with pytest.raises(SegmentError, match=f"has no segment {name!r}, which {model[0]} reads; it has {has}"):
            check(model, others)


@pytest.mark.parametrize("module", WITHOUT_VALID)
def test_the_modules_that_do_without_valid_are_qlibs(module):
    assert find_spec(module) is not None


@pytest.mark.parametrize("record", [{"class": "SignalRecord"}, [{"class": "SignalRecord"}]], ids=["one", "list"])
def test_scores_are_of_the_test(record):
    with pytest.raises(SegmentError, match="has no segment 'test', which SignalRecord reads; it has train"):
        check(LIGHTGBM, ["train"], record=record)
    check(LIGHTGBM, ["train"], records_follow=False, record=record)
    check(LIGHTGBM, ["train", "test"], record=record)


@pytest.mark.parametrize(
    ("wrong", "right"), [("trian", "train"), ("Train", "train"), ("vaild", "valid"), ("val", "valid"), ("tset", "test")]
)
@pytest.mark.parametrize("model", [LIGHTGBM, OWN], ids=["lightgbm", "own"])
def test_a_misspelt_name_is_answered_with_the_nearest(model, wrong, right):
    names = ["train", "valid", "test"]
    with pytest.raises(QlibExtError, match=f"has a {wrong!r}, which Qlib would pass over; did you mean {right!r}?"):
        check(model, [wrong if name == right else name for name in names])
    check(model, [*names, wrong])  # beside the right one it is a user's own

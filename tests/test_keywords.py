"""Options of the wrong type or out of range are named by a ConfigError before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from handlers.alpha158vwap import Alpha158vwap
from handlers.bars import DayBars, MultiFrequencyBars
from handlers.fused import FusedBars
from handlers.highfreq import HighFreq27
from handlers.recorded import RecordedFactors
from qlib_ext.analysis.records import FactorRecord
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_type
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.gats import GATs
from qlib_ext.models.gru import GRU
from qlib_ext.risk.records import RiskRecord
from qlib_ext.rolling import RollingModel

SEGMENTS = {"train": ("2015-01-01", "2015-06-30"), "test": ("2016-01-01", "2016-06-30")}
INNER = {"class": "GRU", "module_path": "qlib_ext.models.gru"}

WRONG = [
    (
        GRU,
        {},
        {"lr": -1},
        {"lr": float("nan")},
        {"batch_size": 0},
        {"d_feat": -1},
        {"num_factors": 0},
        {"clip_norm": -1},
    ),
    (ASTGNN, {}, {"embedding_size": 0}, {"proximity": -1.0}, {"neighbours": "all"}),
    (GATs, {}, {"num_heads": 0}, {"with_pretrain": "yes"}),
    (RollingModel, {"model": INNER}, {"n_jobs": "two"}, {"n_jobs": 1.5}, {"backend": [1]}, {"valid": None}),
    (
        RollingModel,
        {"model": INNER},
        {"gpus": -1},
        {"gpus": "one"},
        {"purge": True},
        {"resume": 1},
        {"expanding": "no"},
    ),
    (RollingModel, {}, {"model": {"class": 3}}, {"model": "GRU"}),
    (CrossSectionDataset, {"handler": {"class": "A"}}, {"segments": 3}, {"segments": [1]}),
    (CrossSectionDataset, {"handler": {"class": "A"}, "segments": SEGMENTS}, {"sample_every": "2"}, {"purge": True}),
    (
        CrossSectionDataset,
        {"segments": SEGMENTS},
        {"handler": {"module_path": "a"}},
        {"handler": "abc"},
        {"handler": 3},
    ),
    (
        DayBars,
        {"init_data": False},
        {"fields": 3},
        {"fields": {"open": 3}},
        {"seasoned_days": "60"},
        {"step_len": "20"},
    ),
    (
        DayBars,
        {"init_data": False},
        {"relations": "industry"},
        {"relations": [1]},
        {"traded_only": 1},
        {"label": "abc"},
        {"group": 3},
        {"freq": 1},
    ),
    (
        DayBars,
        {"init_data": False},
        {"label": []},
        {"learn_processors": "Dropna"},
        {"infer_processors": [{"class": "No"}]},
    ),
    (
        Alpha158vwap,
        {"init_data": False},
        {"learn_processors": [{"class": "CSZScoreNorm", "kwargs": {"field": "label"}}]},
    ),
    (MultiFrequencyBars, {"init_data": False}, {"lengths": "day"}, {"lengths": 3}, {"calendar": "yes"}),
    (FusedBars, {"init_data": False}, {"lengths": None}, {"families": 3}),
    (HighFreq27, {"init_data": False}, {"families": None}, {"without": 3}),
    (
        RecordedFactors,
        {"init_data": False, "experiments": ["a"]},
        {"kind": {}},
        {"segments": None},
        {"segments": "test"},
    ),
    (RecordedFactors, {"init_data": False}, {"experiments": [1]}, {"experiments": "a"}, {"experiments": []}),
    (
        FactorRecord,
        {"recorder": None},
        {"groups": 1},
        {"groups": "ten"},
        {"rebalance": 0},
        {"horizon": -1},
        {"lang": []},
    ),
    (FactorRecord, {"recorder": None}, {"compare_with": "abc"}, {"styles": -1}, {"label_col": -1}, {"risk": "model"}),
    (RiskRecord, {"recorder": None}, {"universe": None}, {"risk": "model"}),
]


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [pytest.param(kind, right, each, id=f"{kind.__name__} {each}") for kind, right, *some in WRONG for each in some],
)
def test_a_wrong_option_is_named_at_once(kind, right, wrong):
    with pytest.raises(ConfigError) as raised:
        kind(**right | wrong)
    assert next(iter(wrong)).removesuffix("s") in str(raised.value).lower()


@pytest.mark.parametrize(
    ("annotation", "right", "wrong"),
    [
        (int, 3, 3.0),
        (float, 3, True),
        (float | None, None, "3"),
        (bool, False, 0),
        (int | str, "auto", 1.5),
        (Sequence[str], ("a", "b"), "ab"),
        (list[int], [1, 2], [1, "2"]),
        (bool | Sequence[str], True, 1),
        (Mapping[str, int], {"a": 1}, {"a": 1.5}),
        (dict | None, {}, []),
    ],
)
def test_a_value_is_of_the_type_that_is_stated(annotation, right, wrong):
    check_type("option", right, annotation)
    with pytest.raises(ConfigError, match="option is "):
        check_type("option", wrong, annotation)


def test_a_type_that_is_not_known_is_not_looked_at():
    check_type("option", object(), object)
    check_type("option", object(), str | range)

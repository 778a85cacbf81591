"""The published figures equal Qlib's README; zoo_alpha158.md is its table as of commit 007082a."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from qlib.contrib.model import double_ensemble, gbdt, linear, pytorch_nn, pytorch_tabnet, pytorch_tra

from qlib_ext.analysis.compare import runs, zoo

SOURCE = (Path(__file__).parent / "zoo_alpha158.md").read_text().splitlines()
HEADER = ["IC", "ICIR", "Rank IC", "Rank ICIR", "Annualized Return", "Information Ratio", "Max Drawdown"]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_published_row_equals_the_source():
    assert cells(SOURCE[0]) == ["Model Name", "Dataset", *HEADER]
    theirs = {}
    for line in SOURCE[2:]:
        name, data, *figures = cells(line)
        features = 20 if "20" in data else 158
        theirs[name.partition("(")[0].strip(), features] = figures
    ours = {
        (row.model, row.features): ["±".join(row.figures[column]) for column in zoo.PUBLISHED_METRICS]
        for rows in zoo._ROWS.values()
        for row in rows
    }
    assert len(theirs) == 18
    assert ours == theirs


def test_the_columns_are_ours():
    assert set(zoo.PUBLISHED_METRICS) < set(runs.METRICS)


@pytest.mark.parametrize(
    ("params", "models"),
    [
        ({"model.class": "LGBModel"}, ["LightGBM"]),
        ({"model.class": "qlib.contrib.model.gbdt.LGBModel"}, ["LightGBM"]),
        ({"model.class": "GRU"}, ["GRU"]),
        ({"model.class": "GRU", "model.kwargs.base_model": "GRU"}, ["GRU"]),
        ({"model.class": "GRU", "model.kwargs.base_model": "LSTM"}, ["LSTM"]),
        ({"model.class": "GATs", "model.kwargs.base_model": "LSTM"}, ["GATs"]),
        ({"model.class": "TRAModel"}, ["TRA", "TRA"]),
        ({"model.class": "ASTGNN"}, []),
        ({}, []),
    ],
)
def test_the_row_of_a_model(params, models):
    assert [row.model for row in zoo.published(params)] == models


@pytest.mark.parametrize("module", [double_ensemble, gbdt, linear, pytorch_nn, pytorch_tabnet, pytorch_tra])
def test_the_classes_are_named_as_qlib_names_them(module):
    own = {
        name for name, thing in vars(module).items() if inspect.isclass(thing) and thing.__module__ == module.__name__
    }
    assert own & set(zoo._ROWS)

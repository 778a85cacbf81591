from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.analysis.report.tables import Block, Line, printed, shaded, stacked, windows_table
from qlib_ext.analysis.report.texts import LANGUAGES
from qlib_ext.recorder.windows import COLUMNS, FIT, RANK_IC, ROWS, RUN, SEED, TRAIN_FROM, TRAINED
from tests.analysis.findings import findings

EN, ZH = LANGUAGES["en"], LANGUAGES["zh"]


def test_a_year_is_a_block_with_a_line_for_each_experiment():
    net = pd.DataFrame({"annual_return": [0.1234, np.nan], "sharpe": [1.5, -0.5]}, ["all", "2017"])
    tree = pd.DataFrame({"sharpe": [2.0, 3.0]}, ["2016", "all"])
    grid = stacked("c", "year", {"net": net, "tree": tree}, EN)
    assert grid.header == ["year", "experiment", "annual return", "Sharpe"]
    assert grid.blocks == [
        Block("all", [Line("net", ["12.34%", "1.50"]), Line("tree", ["-", "3.00"])]),
        Block("2016", [Line("tree", ["-", "2.00"])]),
        Block("2017", [Line("net", ["-", "-0.50"])]),
    ]
    assert grid.named


def test_one_experiment_is_not_named():
    grid = stacked("c", "year", {"net": pd.DataFrame({"icir": [0.5]}, ["all"])}, ZH)
    assert (grid.header, grid.named) == (["年份", "ICIR"], False)
    assert grid.blocks == [Block("全部", [Line("net", ["0.5000"])])]


def test_groups_come_in_order_and_long_short_last():
    frames = {name: findings(name, seed)["group_summary"] for seed, name in enumerate(["net", "tree"])}
    frames["tree"] = frames["tree"].rename(index={5: 10})
    grid = stacked("c", "group", frames, ZH)
    assert [block.key for block in grid.blocks] == ["1", "2", "3", "4", "5", "10", "多空"]
    of_net = grid.blocks[0].lines[0]
    assert of_net.cells[0] == f"{frames['net'].loc[1, 'annual_return']:.2%}"
    assert grid.header[2] == "年化收益"


def test_every_column_that_factor_record_saves_has_a_heading():
    frames = findings("net")
    columns = {*frames["performance_by_year"], *frames["group_summary"], *frames["ic_summary"], "long_short", "all"}
    assert columns | {*COLUMNS} - {RUN} <= EN.keys() & ZH.keys()


def test_windows_are_lines_without_the_ids_of_their_runs():
    windows = pd.DataFrame(
        {TRAIN_FROM: ["2010-01-04"], SEED: pd.array([None], "Int64"), ROWS: [12345], RANK_IC: [0.05123]}
        | {TRAINED: [False], FIT: [1.26], "own": [7], RUN: ["abc"]}
    )
    grid = windows_table("net", windows, EN)
    assert grid.header == ["", "train from", "seed", "rows", "Rank IC", "trained now", "fit, s", "own"]
    assert grid.blocks[0].lines[0].cells == ["2010-01-04", "-", "12,345", "0.0512", "-", "1.3", "7"]


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.50"), (np.nan, "-"), (None, "-"), (True, "✓")])
def test_a_cell(value, text):
    assert printed(value, "{:.2f}") == text


def test_shades_say_sign_and_strength():
    table = shaded("c", pd.DataFrame({"net": [1.0, -0.25, np.nan]}, ["a", "b", "c"]))
    assert table.header == ["net"]
    assert table.lines == [
        ("a", [("1.000", "rgb(90 169 219 / 100%)")]),
        ("b", [("-0.250", "rgb(238 154 92 / 25%)")]),
        ("c", [("-", "transparent")]),
    ]


def test_numbers_stand_in_their_order():
    frame = pd.DataFrame({"mean": 0.0}, ["2", "0.5", "long_short", "0", "since_2018", "all"])
    found = stacked("", "", {"net": frame}, {"": ""})
    assert [block.key for block in found.blocks] == ["all", "since_2018", "0", "0.5", "2", "long_short"]

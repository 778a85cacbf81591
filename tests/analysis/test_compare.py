from __future__ import annotations

import math
from dataclasses import replace

import pytest

from qlib_ext.analysis.compare.runs import METRICS, Setup
from qlib_ext.analysis.compare.table import Cell, comparison
from qlib_ext.cli import main
from qlib_ext.provider.facts import ProviderFacts
from qlib_ext.recorder.provider import TAG, provider_of
from qlib_ext.recorder.runs import find_runs
from tests.analysis.recorders import BACKTEST, LABEL, METRIC_NAMES, SEGMENTS, port_analysis, save

IC, DRAWDOWN = METRICS.index("IC"), METRICS.index("max drawdown")
DRAWDOWN_KEY = METRIC_NAMES[DRAWDOWN]


def cells(table, metric=IC):
    return {row.name: row.cells[metric] for section in table.sections for row in section.rows}


def test_one_run_is_shown_as_it_is(recorders):
    recorders.run("net", 0.06)
    (section,) = comparison(recorders.store, ["net"]).sections
    (row,) = section.rows
    assert section.setup == Setup("csi300", "2017-01-01 to 2021-12-31", LABEL)
    assert (row.name, row.runs, row.published) == ("net", 1, "")
    assert [cell.mean for cell in row.cells] == [*["0.0600"] * 4, "6.35%", "6.35%", "0.0617", "6.00%"], "252 / 238"
    assert {(cell.spread, cell.best) for cell in row.cells} == {("", False)}, "one row alone is not the best"


def test_several_runs_are_averaged(recorders):
    for value in (0.04, 0.06):
        recorders.run("net", value)
    table = comparison(recorders.store, ["net"], last=2)
    (section,) = table.sections
    assert "net: 2 of its 2 runs logged no parameters, so they may differ in more than the seed." in table.caveats
    assert section.rows[0].cells[IC] == Cell("0.0500", "0.0141")
    assert section.rows[0].cells[DRAWDOWN] == Cell("5.00%", "1.41%")


def test_a_metric_that_a_run_lacks_is_not_averaged_over_the_others(recorders):
    recorders.run("net", {"IC": 0.04, "Rank IC": 0.05})
    recorders.run("net", {"IC": 0.06})
    row = comparison(recorders.store, ["net"], last=2).sections[0].rows[0]
    assert row.cells[IC] == Cell("0.0500", "0.0141")
    assert row.cells[METRICS.index("Rank IC")] == Cell("-")
    assert row.cells[DRAWDOWN] == Cell("-")


def test_the_best_mean_is_marked_and_the_smallest_drawdown(recorders):
    recorders.run("low", {"IC": 0.01, DRAWDOWN_KEY: -0.05})
    recorders.run("high", {"IC": 0.03, DRAWDOWN_KEY: -0.10})
    recorders.run("high", {"IC": 0.05, DRAWDOWN_KEY: -0.30})
    table = comparison(recorders.store, ["low", "high"], last=2)
    assert {name: cell.best for name, cell in cells(table).items()} == {"low": False, "high": True}
    assert {name: cell.best for name, cell in cells(table, DRAWDOWN).items()} == {"low": True, "high": False}


def test_a_tie_marks_both(recorders):
    for name, value in {"a": 0.05, "b": 0.05, "c": 0.01}.items():
        recorders.run(name, value)
    table = comparison(recorders.store, ["a", "b", "c"])
    assert {name: cell.best for name, cell in cells(table).items()} == {"a": True, "b": True, "c": False}


def test_what_is_not_a_number_is_never_the_best_and_leaves_the_mark_to_the_others(recorders):
    for name, value in {"a": 0.05, "b": math.nan, "c": 0.01}.items():
        recorders.run(name, {"IC": value} | ({DRAWDOWN_KEY: -0.1} if name == "a" else {}))
    table = comparison(recorders.store, ["a", "b", "c"])
    assert {name: cell.best for name, cell in cells(table).items()} == {"a": True, "b": False, "c": False}
    assert cells(table)["b"] == Cell("-")
    assert not any(cell.best for cell in cells(table, DRAWDOWN).values()), "the only number has nothing to beat"


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"universe": "csi500"}, "universe csi300 (a, b) and csi500 (c)."),
        ({"label": "Ref($close, -2)/Ref($close, -1) - 1"}, f"label {LABEL} (a, b) and Ref($close, -2)"),
        ({"days": ("2018-01-02", "2018-12-28")}, "test 2017-01-01 to 2021-12-31 (a, b) and 2018-01-02 to 2018-12-28"),
        ({"segments": SEGMENTS | {"test": ["2018-01-01", "2021-12-31"]}}, "(a, b) and 2018-01-01 to 2021-12-31 (c)."),
    ],
)
def test_another_test_stands_apart_does_not_compete_and_is_named(recorders, other, expected):
    recorders.run("a", 0.01)
    recorders.run("c", 0.09, **other)
    recorders.run("b", 0.02)
    table = comparison(recorders.store, ["a", "c", "b"])
    assert [[row.name for row in section.rows] for section in table.sections] == [["a", "b"], ["c"]]
    assert {name: cell.best for name, cell in cells(table).items()} == {"a": False, "b": True, "c": False}
    assert table.caveats[0].startswith("Not the same test, not to be compared: ")
    assert expected in table.caveats[0]
    assert table.caveats[0].count(";") == 0, "only what differs is named"


def test_simulated_rows_stand_apart(recorders, small):
    for name, facts in {"a": None, "b": ProviderFacts.of(small[0])}.items():
        artifacts = recorders.run(name)
        if facts is not None:
            recorders.client.set_tag(artifacts.parent.name, TAG, facts.as_json())
    table = comparison(recorders.store, ["a", "b"])
    assert [section.setup.simulated for section in table.sections] == [False, True]
    assert table.caveats[0] == "Not the same test, not to be compared: simulated no (a) and yes (b)."
    assert f"provider: {facts} (b)" in table.caveats


def test_a_run_without_a_note_is_of_the_provider_of_its_configuration(recorders, small, tmp_path):
    for name, uri in {"here": {"day": str(small[0])}, "gone": str(tmp_path / "gone")}.items():
        save(recorders.run(name) / "config", {"qlib_init": {"provider_uri": uri}})
    runs = [find_runs(recorders.store, name)[0] for name in ("here", "gone")]
    assert [provider_of(run) for run in runs] == [ProviderFacts.of(small[0]), None]


def test_the_same_test_needs_no_warning(recorders):
    recorders.run("a", days=("2017-01-03", "2021-12-31"))
    recorders.run("b", days=("2017-01-03", "2021-12-31"), segments=SEGMENTS | {"train": ["2008-01-01", "2015-12-31"]})
    table = comparison(recorders.store, ["a", "b"])
    assert len(table.sections) == 1
    assert not any("Not the same test" in line for line in table.caveats)
    assert "segments: train 2010-01-01 to 2015-12-31, valid 2016-01-01 to 2016-12-31 (a)" in table.caveats
    assert "segments: train 2008-01-01 to 2015-12-31, valid 2016-01-01 to 2016-12-31 (b)" in table.caveats


def test_what_cannot_be_known_does_not_compete_and_says_why(recorders):
    for name, value in {"a": 0.01, "b": 0.02}.items():
        (recorders.run(name, value) / "dataset").unlink()
    table = comparison(recorders.store, ["a", "b"])
    assert not any(cell.best for cell in cells(table).values())
    assert sum("universe and label are unknown, because" in line for line in table.caveats) == 2


def test_runs_of_one_experiment_that_were_not_the_same_test_are_not_averaged(recorders):
    recorders.run("net", 0.02, universe="csi500")
    recorders.run("net", 0.04)
    recorders.run("net", 0.06)
    table = comparison(recorders.store, ["net"], last=3)
    rows = {section.setup.universe: section.rows[0] for section in table.sections}
    assert (rows["csi300"].runs, rows["csi300"].cells[IC]) == (2, Cell("0.0500", "0.0141"))
    assert (rows["csi500"].runs, rows["csi500"].cells[IC]) == (1, Cell("0.0200"))
    assert table.caveats[0] == "Not the same test, not to be compared: universe csi300 (net) and csi500 (net)."


@pytest.mark.parametrize(
    ("name", "values", "shown"),
    [
        ("model.kwargs.hidden_size", (64, 64, 128), "model.kwargs.hidden_size (128, 64)"),
        ("model.kwargs.model.kwargs.lr", (0.1, 0.01, 0.1), "model.kwargs.model.kwargs.lr (0.1, 0.01)"),
        ("record", ("a" * 31, "b", "b"), "record"),
        ("dataset.kwargs.seed", (0, 1, 2), "dataset.kwargs.seed (2, 1, 0)"),
    ],
)
def test_runs_of_one_experiment_with_other_parameters_are_not_averaged_and_it_is_named(recorders, name, values, shown):
    runs = [
        recorders.run("net", 0.01 * (seed + 1), params={"model.kwargs.seed": seed, name: value}).parent.name
        for seed, value in enumerate(values)
    ]
    table = comparison(recorders.store, ["net"], last=3)
    assert {each: cell.mean for each, cell in cells(table).items()} == {
        f"net@{run[:8]}": f"{0.01 * (seed + 1):.4f}" for seed, run in enumerate(runs)
    }
    assert f"net: its 3 runs differ in {shown}, so each stands by itself and no mean is taken." in table.caveats
    assert list(cells(comparison(recorders.store, ["net"], last=1))) == ["net"]


def test_runs_on_other_data_are_not_averaged(recorders, small):
    for days in (300, 301):
        facts = replace(ProviderFacts.of(small[0]), days=days)
        run = recorders.run("net", params={"model.kwargs.seed": days}).parent.name
        recorders.client.set_tag(run, TAG, facts.as_json())
    table = comparison(recorders.store, ["net"], last=2)
    assert len(cells(table)) == 2
    assert any("differ in provider, so" in line for line in table.caveats)


@pytest.mark.parametrize("option", ["seed", "seeds"])
def test_seeds_may_differ_and_a_repeated_one_is_noted(recorders, option):
    for at, seed in enumerate((0, 1, 1)):
        recorders.run("net", params={f"model.kwargs.{option}": [seed], "cmd-sys.argv": f"qrun {at}.yaml"})
    assert not any("repeat" in line or "differ" in line for line in comparison(recorders.store, ["net"], 1).caveats)
    caveats = comparison(recorders.store, ["net"], last=3).caveats
    assert "net: 1 of its 3 runs repeat the parameters and the seed of another." in caveats
    assert not any("differ in" in line for line in caveats)


def test_runs_that_logged_no_parameters_are_not_called_the_same(recorders):
    for value in (0.04, 0.06):
        recorders.run("net", value)
    assert not any("repeat" in line for line in comparison(recorders.store, ["net"], last=2).caveats)


@pytest.mark.parametrize(("last", "expected"), [(2, False), (3, True)])
def test_fewer_runs_than_asked_for_are_named(recorders, last, expected):
    for value in (0.04, 0.06):
        recorders.run("net", value)
    table = comparison(recorders.store, ["net"], last)
    assert [line for line in table.caveats if "asked for" in line] == [
        "net: of the 3 runs asked for there are 2."
    ] * expected
    assert table.sections[0].rows[0].runs == 2


def test_an_experiment_named_twice_stands_once(recorders):
    recorders.run("net")
    assert len(comparison(recorders.store, ["net", "net"]).sections[0].rows) == 1


def test_backtests_are_named_and_who_had_which(recorders):
    recorders.run("a")
    recorders.run("b", record=port_analysis(BACKTEST | {"benchmark": "SH000905"}))
    recorders.run("c", record=[])
    caveats = comparison(recorders.store, ["a", "b", "c"]).caveats
    assert "backtest: TopkDropoutStrategy, benchmark=SH000300 topk=50 deal_price=vwap (a)" in caveats
    assert "backtest: TopkDropoutStrategy, benchmark=SH000905 topk=50 deal_price=vwap (b)" in caveats
    assert sum(line.startswith("backtest") for line in caveats) == 2


def test_published_rows_stand_below_their_experiment_and_never_compete(recorders):
    for name, kind in {"tree": "LGBModel", "graph": "ASTGNN"}.items():
        recorders.run(name, 0.001, params={"model.class": kind})
    plain, table = (comparison(recorders.store, ["tree", "graph"], with_zoo=zoo) for zoo in (False, True))
    assert [row.name for row in plain.sections[0].rows] == ["tree", "graph"]
    tree, zoo, graph = table.sections[0].rows
    assert (tree.name, zoo.name, graph.name) == ("tree", "Model Zoo LightGBM, 158 features", "graph")
    assert (zoo.runs, zoo.published) == (20, "csi300, 2017-01-01 to 2020-08-01")
    assert zoo.cells == [
        Cell("0.0448", "0.00"),
        Cell("0.3660", "0.00"),
        Cell("0.0469", "0.00"),
        Cell("0.3877", "0.00"),
        Cell("-"),
        Cell("9.01%", "0%"),
        Cell("1.0164", "0.00"),
        Cell("-10.38%", "0%"),
    ]
    assert tree.cells[IC].best
    assert graph.cells[IC].best
    assert any("another test" in line and "label Ref($close, -2)" in line for line in table.caveats)
    assert "The Model Zoo publishes no such model: graph." in table.caveats
    assert not any("Model Zoo" in line for line in plain.caveats)


def test_one_run_by_its_id_and_each_run_by_itself(recorders, capsys):
    runs = [recorders.run("net", value).parent.name for value in (0.03, 0.05)]
    recorders.run("tree", 0.07)
    (section,) = comparison(recorders.store, [f"net@{runs[0][:10]}", "net"]).sections
    assert [row.cells[0].mean for row in section.rows] == ["0.0300", "0.0500"]
    assert main(["compare", "net", "tree", "--each", "--last", "2", "--runs", str(recorders.folder)]) == 0
    printed = capsys.readouterr().out
    assert [name in printed for name in (f"net@{runs[0][:8]}", f"net@{runs[1][:8]}", "tree@")] == [True] * 3
    assert "±" not in printed, "nothing is averaged"
    assert (
        main(
            [
                "report",
                "net",
                "--each",
                "--last",
                "2",
                "--runs",
                str(recorders.folder),
                "--out",
                f"{recorders.folder}/r.html",
            ]
        )
        == 0
    )
    assert f"net@{runs[0][:8]}" in (recorders.folder / "r.html").read_text(encoding="utf-8")
    assert main(["compare", "net@zzz", "--runs", str(recorders.folder)]) == 2
    assert "0 finished runs of 'net' have an id that begins with 'zzz', not one" in capsys.readouterr().err


def test_an_experiment_may_have_an_at_in_its_name(recorders):
    recorders.run("net@home", 0.04)
    (section,) = comparison(recorders.store, ["net@home"]).sections
    assert section.rows[0].cells[0].mean == "0.0400"


def test_without_a_name_the_experiments_are_listed(recorders, capsys):
    command = ["compare", "--runs", str(recorders.folder)]
    assert main(command) == 0
    assert capsys.readouterr().out == f"{recorders.folder} has no experiment yet\n"
    recorders.run("tree")
    recorders.run("net")
    assert main(command) == 0
    assert capsys.readouterr().out == "net\ntree\n"

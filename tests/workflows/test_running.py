"""``qlib-ext run``: the order, what is not run again, what is left out and why; qrun itself is put aside."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from qlib_ext.cli import main
from qlib_ext.errors import DataError
from qlib_ext.ticks.factors import FAMILIES
from qlib_ext.workflows import running
from qlib_ext.workflows.checks import missing_data
from qlib_ext.workflows.fingerprint import TAG, fingerprint_of
from qlib_ext.workflows.reading import Workflow, in_order, read_workflow
from qlib_ext.workflows.running import finished_run
from tests.analysis.conftest import recorders  # noqa: F401 (fixture)
from tests.analysis.recorders import save

LAST = datetime.date(2021, 12, 31)


MODULES = {"MsNew": "msnew", "HighFreq27": "highfreq", "FusedBars": "fused", "RecordedFactors": "recorded"}


def workflow(name: str, provider="/market", handler="DayBars", **options) -> Workflow:
    """A workflow as read_workflows reads it."""
    handler = "RecordedFactors" if "experiments" in options else handler
    config = {"class": handler, "module_path": f"handlers.{MODULES.get(handler, 'bars')}"}
    dataset = {"kwargs": {"handler": config | {"kwargs": {"end_time": LAST, **options}}}}
    task = {"model": {"class": "GRU", "module_path": "qlib_ext.models.gru"}, "dataset": dataset}
    config = {"experiment_name": name, "qlib_init": {"provider_uri": str(provider)}, "task": task}
    return Workflow(Path(f"{name}.yaml"), config)


def record(recorders, done: Workflow, **changes) -> str:  # noqa: F811
    """A finished run of the workflow, as qrun leaves it; -> its id."""
    artifacts = recorders.run(done.name, {"Rank IC": 0.05})
    save(artifacts / "task", changes.get("task", done.config["task"]))
    save(artifacts / "config", changes.get("config", done.config))
    recorders.client.set_tag(artifacts.parent.name, TAG, fingerprint_of(done))
    return artifacts.parent.name


def test_a_workflow_comes_after_those_that_it_reads():
    flows = {
        "both": workflow("both", experiments=["day", "week"]),
        "day": workflow("day"),
        "deep": workflow("deep", experiments=["ms"]),
        "ms": workflow("ms"),
        "week": workflow("week"),
    }
    names = [flow.name for flow in in_order(flows)]
    assert sorted(names) == sorted(flows)
    for name in names:
        assert all(names.index(needed) < names.index(name) for needed in flows[name].inputs)
    assert [flow.name for flow in in_order(flows, ["both"])] == ["day", "week", "both"]


def test_a_finished_run_of_the_same_task_and_provider_is_finished(recorders):  # noqa: F811
    flow, runs = workflow("day"), recorders.folder
    assert finished_run(flow, runs, {}) is None, "no experiment"
    run = record(recorders, flow)
    assert finished_run(flow, runs, {}).info.run_id == run
    assert finished_run(workflow("day", step_len=10), runs, {}) is None, "another task"
    assert finished_run(workflow("day", provider="/other"), runs, {}) is None, "another provider"
    assert finished_run(workflow("day", provider="/other/../market"), runs, {}) is not None, "the same folder"


def test_a_run_of_other_data_or_other_code_is_not_finished(recorders, tmp_path, monkeypatch):  # noqa: F811
    bins, net = tmp_path / "market" / "features" / "sh600000", tmp_path / "users_net.py"
    bins.mkdir(parents=True)
    (bins / "close.day.bin").write_bytes(b"00001111")
    net.write_text("FACTOR = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    flow, runs = workflow("day", provider=tmp_path / "market"), recorders.folder
    flow.config["task"]["model"] = {"class": "Net", "module_path": "users_net"}

    def change(path, content):
        before = path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))

    record(recorders, flow)
    assert finished_run(flow, runs, {}) is not None
    change(bins / "close.day.bin", b"00002222")
    assert finished_run(flow, runs, {}) is None, "one value of one bin"
    record(recorders, flow)
    assert finished_run(flow, runs, {}) is not None
    change(net, b"FACTOR = 2\n")
    assert finished_run(flow, runs, {}) is None, "the user's module"


def test_a_run_of_unknown_data_and_code_is_not_finished(recorders):  # noqa: F811
    flow = workflow("day")
    run = record(recorders, flow)
    recorders.client.delete_tag(run, TAG)
    assert finished_run(flow, recorders.folder, {}) is None


def test_a_run_without_its_configuration_is_not_finished(recorders):  # noqa: F811
    flow = workflow("day")
    run = recorders.run("day").parent.name
    recorders.client.set_tag(run, TAG, fingerprint_of(flow))
    assert finished_run(flow, recorders.folder, {}) is None


def test_a_run_that_is_older_than_what_it_read_is_not_finished(recorders):  # noqa: F811
    day, both, runs = workflow("day"), workflow("both", experiments=["day"]), recorders.folder
    record(recorders, both)
    client, experiment = recorders.client, recorders.experiment("both")
    (run,) = client.search_runs([experiment])
    record(recorders, day)
    read = finished_run(day, runs, {})
    assert finished_run(both, runs, {"day": read}) is None, "day ended after both started"
    later = client.create_run(experiment, start_time=read.info.end_time + 1)
    folder = Path(later.info.artifact_uri.removeprefix("file://"))
    folder.mkdir(parents=True)
    save(folder / "task", both.config["task"])
    save(folder / "config", both.config)
    client.set_tag(later.info.run_id, TAG, fingerprint_of(both))
    client.set_terminated(later.info.run_id)
    assert finished_run(both, runs, {"day": read}).info.run_id == later.info.run_id != run.info.run_id


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ""),
        ({"fields": {"turnover": "$volume / Mean($volume, 60)"}}, ""),
        ({"fields": {"turnover": "$free_turnover"}}, "free_turnover"),
        ({"handler": "MsNew", "fields": {"float_mv": "$float_mv"}}, "has no bars of 30, 15, 5, 1 minutes"),
        ({"handler": "HighFreq27", "families": ["orders"]}, "hf_"),
        ({"handler": "FusedBars"}, "hf_"),
        ({"instruments": "csi300"}, ""),
        ({"instruments": "csi500"}, "'csi500' is not in"),
        ({"instruments": ["SH600000", "SZ000001"]}, ""),
        ({"instruments": ["SH600001"]}, "a cross-section needs two"),
    ],
)
def test_what_a_provider_lacks_is_named(small, options, expected):
    reason = missing_data(workflow("any", provider=small[0], **options))
    assert bool(reason) == bool(expected)
    assert expected in reason


def test_an_index_that_a_provider_lacks_is_named(small):
    flow = workflow("any", provider=small[0])
    strategy = {"class": "TopkDropoutStrategy", "module_path": "qlib.contrib.strategy", "kwargs": {"signal": "<PRED>"}}
    config = {"strategy": strategy, "backtest": {"benchmark": "SH000300"}}
    flow.config["task"]["record"] = [
        {"class": "SignalRecord"},
        {"class": "PortAnaRecord", "kwargs": {"config": config}},
    ]
    assert missing_data(flow) == ""
    config["backtest"]["benchmark"] = "SH000905"
    assert "has no $close of the index SH000905; BENCHMARK names another" in missing_data(flow)


def test_a_provider_without_a_day_after_its_last_is_named_before_a_backtest(copy):
    folder = copy("days")
    (folder / "calendars/day_future.txt").unlink()
    flow = workflow("any", provider=folder)
    assert missing_data(flow) == ""
    strategy = {"class": "TopkDropoutStrategy", "module_path": "qlib.contrib.strategy", "kwargs": {"signal": "<PRED>"}}
    config = {"strategy": strategy, "backtest": {"benchmark": "SH000300"}}
    flow.config["task"]["record"] = [{"class": "PortAnaRecord", "kwargs": {"config": config}}]
    assert "day_future.txt, is missing: a backtest up to" in missing_data(flow)


def test_relations_that_a_provider_lacks_are_named(copy):
    folder = copy("relations")
    (folder / "relations").mkdir()
    (folder / "relations" / "industry.parquet").touch()
    assert missing_data(workflow("any", provider=folder, relations=["industry"])) == ""
    reason = missing_data(workflow("any", provider=folder, relations=["industri"]))
    assert "no relations of the kind 'industri', did you mean industry?" in reason


def test_factors_that_a_provider_has_are_enough(copy):
    folder = copy("factors")
    for close in (folder / "features").glob("*/close.day.bin"):
        for name in FAMILIES["orders"][1:]:
            np.fromfile(close, dtype="<f4").tofile(close.with_name(f"hf_{name}.day.bin"))
    one = FAMILIES["orders"][0]
    assert f"hf_{one}" in missing_data(workflow("l2", folder, "HighFreq27", families=["orders"]))
    assert missing_data(workflow("l2", folder, "HighFreq27", families=["orders"], without=[one])) == ""


@pytest.fixture
def project(tmp_path, recorders, small, monkeypatch):  # noqa: F811
    """A folder of three workflows whose qrun is a note in ``started``, and the command."""
    folder, started = tmp_path / "workflows", []
    folder.mkdir()
    for name, options in {
        "day": {},
        "week": {"fields": {"turnover": "$none"}},
        "both": {"experiments": ["day"]},
    }.items():
        config = workflow(f"market_{name}", provider=small[0], **options).config
        if name == "both":
            config["task"]["dataset"]["kwargs"]["handler"]["kwargs"]["experiments"] = ["market_day"]
        (folder / f"market_{name}.yaml").write_text(yaml.safe_dump(config))
    fails: set[str] = set()

    def start(flow, runs, environment, head):
        started.append(flow.name)
        if flow.name in fails:
            return "it failed: no such luck"
        record(recorders, flow)
        run = recorders.client.search_runs([recorders.experiment(flow.name)], order_by=["attributes.start_time DESC"])[
            0
        ]
        assert run.info.status == "FINISHED"
        return ""

    monkeypatch.setattr(running, "start", start)
    monkeypatch.setattr(running, "report", lambda store, names: f"page of {', '.join(names)}")
    monkeypatch.setattr(recorders, "clock", iter(range(4_000_000_000_000, 5_000_000_000_000)))  # later than any end

    def command(*arguments):
        options = ["--workflows", str(folder), "--runs", str(recorders.folder), "--out", str(tmp_path / "report.html")]
        return main(["run", *arguments, "--data", str(small[0]), *options])

    return command, started, fails


def test_what_is_finished_is_not_run_and_what_cannot_be_is_left_out(project, tmp_path, capsys):
    command, started, _ = project
    assert command() == 0
    assert started == ["market_day", "market_both"]
    assert (tmp_path / "report.html").read_text() == "page of market_day, market_both"
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("[2/3] market_week: left out, ") and "none" in line]
    assert "[1/3] market_day: Rank IC 0.0500" in lines
    assert command() == 0
    assert started == ["market_day", "market_both"], "nothing is run again"
    assert "market_day: is finished, run " in capsys.readouterr().out


def test_a_failure_leaves_out_what_reads_it_and_the_rest_runs(project, tmp_path, capsys):
    command, _, fails = project
    fails.add("market_day")
    assert command() == 2, "no run, no page"
    printed = capsys.readouterr()
    assert "market_day: left out, it failed: no such luck" in printed.out
    assert "market_both: left out, it reads market_day, which no run has finished" in printed.out
    assert printed.err.startswith("error: No workflow has a finished run")
    fails.clear()
    fails.add("market_both")
    assert command() == 1
    assert (tmp_path / "report.html").read_text() == "page of market_day"


def test_an_experiment_of_the_users_own_is_read_once_it_has_a_finished_run(project, tmp_path, recorders, capsys):  # noqa: F811
    command, started, _ = project
    path = tmp_path / "workflows" / "market_both.yaml"
    path.write_text(path.read_text().replace("market_day", "my_scores"))
    assert command("market_both") == 2
    assert "market_both: left out, it reads my_scores, which no run has finished" in capsys.readouterr().out
    recorders.run("my_scores", {"Rank IC": 0.05})
    assert command("market_both") == 0
    assert started == ["market_both"]
    assert (tmp_path / "report.html").read_text() == "page of market_both"


def test_more_experiments_than_colours_take_more_pages(project, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "PALETTE", ("black",))
    assert project[0]() == 0
    pages = {path.name: path.read_text() for path in tmp_path.glob("report*.html")}
    assert pages == {"report.html": "page of market_day", "report_2.html": "page of market_both"}


def test_a_pattern_names_several(project):
    command, started, _ = project
    assert command("*_day", "*_week") == 0
    assert started == ["market_day"]


@pytest.fixture(params=["text", "folder"])
def broken(request, tmp_path):
    """Breaks the file of a workflow."""

    def spoil(name):
        path = tmp_path / "workflows" / f"{name}.yaml"
        path.unlink(missing_ok=True)
        if request.param == "text":
            path.write_text("a: [1")
        else:
            path.mkdir()

    return spoil


def test_a_broken_file_that_is_not_asked_for_is_passed_over(project, broken, tmp_path, capsys):
    command, started, _ = project
    broken("market_week")
    assert command("market_both") == 0
    assert started == ["market_day", "market_both"]
    printed = capsys.readouterr().out
    assert printed.startswith("passed over, as it is not asked for: ")
    assert f"{tmp_path}/workflows/market_week.yaml cannot be read as a workflow" in printed


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("market_week", []),
        ("market_week", ["*_week"]),
        ("market_week", ["market_day", "market_week"]),
        ("market_day", ["market_both"]),  # which reads it
    ],
)
def test_a_broken_file_that_is_asked_for_or_read_stops_the_run(project, broken, capsys, name, asked):
    command, started, _ = project
    broken(name)
    assert command(*asked) == 2
    assert f"workflows/{name}.yaml cannot be read as a workflow" in capsys.readouterr().err
    assert not started


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("market_dya", "There is no workflow 'market_dya'; did you mean 'market_day'? `qlib-ext workflows`"),
        ("nowhere/market_dya.yaml", "There is no file 'nowhere/market_dya.yaml'; did you mean 'market_day'?"),
        ("nofile.yaml", "There is no file 'nofile.yaml'. `qlib-ext workflows` lists the workflows"),
    ],
)
def test_a_workflow_or_a_file_that_is_not_there_is_named(project, capsys, name, message):
    assert project[0](name) == 2
    assert message in capsys.readouterr().err


def test_the_path_of_a_file_that_is_there_is_answered_with_its_name(project, tmp_path, capsys):
    path = tmp_path / "workflows/market_day.yaml"
    assert project[0](str(path)) == 2
    assert f"There is no workflow '{path}'; did you mean 'market_day'?" in capsys.readouterr().err


def test_a_folder_that_is_no_provider_or_has_no_workflow_is_named(tmp_path, small, capsys):
    (tmp_path / "flow.yaml").write_text(yaml.safe_dump(workflow("flow", provider=tmp_path / "none").config))
    assert main(["run", "--workflows", str(tmp_path)]) == 2
    assert f"{tmp_path}/none does not exist" in capsys.readouterr().err
    assert main(["run", "--data", str(small[0]), "--workflows", str(tmp_path / "empty")]) == 2
    assert f"has no workflows (*.yaml); `qlib-ext init {tmp_path}/empty` writes them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {{ B | defalt(1) }}", "cannot be read as a workflow: No filter named 'defalt'"),
        ("a: [1", "cannot be read as a workflow"),
        ("a: 1", "is no workflow: it needs experiment_name, .* of which 'experiment_name' is missing"),
        ("just a text", "is no workflow"),
        ("experiment_name: x\nqlib_init: {provider_uri: /d}\ntask: {dataset: {kwargs: }}", "is no workflow"),
    ],
)
def test_a_file_that_is_no_workflow_is_named(tmp_path, text, message):
    (tmp_path / "flow.yaml").write_text(text)
    with pytest.raises(DataError, match=message) as raised:
        read_workflow(tmp_path / "flow.yaml", {})
    assert str(tmp_path / "flow.yaml") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_numbers_are_read_as_qrun_reads_them(tmp_path):
    config = workflow("flow").config
    (tmp_path / "flow.yaml").write_text(yaml.safe_dump(config) + "lr: 1e-3\n")
    assert read_workflow(tmp_path / "flow.yaml", {}).config["lr"] == 0.001


def test_the_provider_of_day_bars_is_the_provider():
    flow = workflow("any")
    flow.config["qlib_init"]["provider_uri"] = {"day": "/market", "15min": "/minutes"}
    assert flow.provider == Path("/market")


@pytest.mark.parametrize("variable", ["TRAIN", "VALID"])
def test_one_day_in_place_of_two_is_refused_with_the_variable_and_its_form(small, variable):
    file = Path(__file__).parents[2] / "workflows/csi300_gru.yaml"
    flow = read_workflow(file, {variable: "2015-01-05", "QLIB_DATA": str(small[0])})
    reason = missing_data(flow)
    assert reason.startswith(f"Segment '{variable.lower()}' is its first and its last day")
    assert "TRAIN and VALID of a workflow name both, TRAIN='2010-01-01, 2015-12-31'" in reason

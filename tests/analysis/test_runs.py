from __future__ import annotations

import pytest

from qlib_ext.analysis.compare.runs import UNKNOWN, Setup, read_runs
from qlib_ext.errors import DataError
from qlib_ext.recorder.runs import store_of
from tests.analysis.recorders import LABEL, SEGMENTS, port_analysis, save


def test_the_last_finished_runs_come_newest_first(recorders):
    for value in (0.03, 0.04, 0.06):
        recorders.run("net", value)
    recorders.run("net", 9.0, status="FAILED")
    assert [run.metrics["Rank IC"] for run in read_runs(store_of(recorders.folder), "net", last=2)] == [0.06, 0.04]
    assert [run.metrics["max drawdown"] for run in read_runs(recorders.store, "net")] == [0.06]


def test_a_run_says_what_was_tested(recorders):
    recorders.run("net", params={"model.class": "GRU"})
    (run,) = read_runs(recorders.store, "net")
    assert run.setup == Setup("csi300", "2017-01-01 to 2021-12-31", LABEL)
    assert run.setup.known
    assert run.segments == [("train", "2010-01-01 to 2015-12-31"), ("valid", "2016-01-01 to 2016-12-31")]
    assert run.backtest == "TopkDropoutStrategy, benchmark=SH000300 topk=50 deal_price=vwap"
    assert run.params == {"model.class": "GRU"}
    assert run.problem == ""


def test_the_days_that_have_an_ic_say_when_the_data_end(recorders):
    recorders.run("net", days=("2017-01-03", "2017-09-29"))
    assert read_runs(recorders.store, "net")[0].setup.test == "2017-01-03 to 2017-09-29"


def test_a_segment_may_be_open(recorders):
    recorders.run("net", segments=SEGMENTS | {"test": ("2017-01-01", None)})
    assert read_runs(recorders.store, "net")[0].setup.test == "2017-01-01 to open"


def test_a_run_without_a_backtest(recorders):
    recorders.run("net", {"IC": 0.05}, record={"class": "SigAnaRecord"})
    (run,) = read_runs(recorders.store, "net")
    assert run.backtest == ""
    assert run.metrics["IC"] == 0.05
    assert run.metrics["information ratio"] != run.metrics["information ratio"]  # NaN


def test_a_single_record_need_not_be_a_list(recorders):
    recorders.run("net", record=port_analysis({"benchmark": "SH000905"})[1])
    assert "benchmark=SH000905" in read_runs(recorders.store, "net")[0].backtest


def test_a_dataset_that_cannot_be_read_is_unknown_and_says_why(recorders):
    (recorders.run("net", days=("2017-01-03", "2017-09-29")) / "dataset").write_bytes(b"cnowhere\nThing\n.")
    (run,) = read_runs(recorders.store, "net")
    assert run.setup == Setup(UNKNOWN, "2017-01-03 to 2017-09-29", UNKNOWN)
    assert not run.setup.known
    assert "dataset cannot be read (ModuleNotFoundError: No module named 'nowhere')" in run.problem


def test_a_run_without_artifacts_is_unknown(recorders):
    artifacts = recorders.run("net")
    for name in ("dataset", "task"):
        (artifacts / name).unlink()
    (run,) = read_runs(recorders.store, "net")
    assert run.setup == Setup(UNKNOWN, UNKNOWN, UNKNOWN)
    assert "FileNotFoundError" in run.problem


def test_a_label_that_is_no_expression_is_unknown(recorders):
    artifacts = recorders.run("net")
    save(artifacts / "dataset", {"no": "handler"})
    assert read_runs(recorders.store, "net")[0].setup.label == UNKNOWN


@pytest.mark.parametrize(
    ("experiment", "message"), [("nett", "no experiment 'nett'.*empty, net"), ("empty", "no finished run")]
)
def test_experiments_that_have_nothing_to_show(recorders, experiment, message):
    recorders.run("net")
    recorders.experiment("empty")
    with pytest.raises(DataError, match=message):
        read_runs(recorders.store, experiment)


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(DataError, match="run a workflow first"):
        store_of(tmp_path)

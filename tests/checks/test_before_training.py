"""Whatever would stop a run, or spoil its end, is said by a plain qrun before a model is trained."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import qlib
from qlib.model.trainer import task_train

from qlib_ext.checks import check_task
from qlib_ext.checks import task as module
from qlib_ext.errors import OutputError, QlibExtError
from qlib_ext.provider.panels import read_spans
from tests.checks.tasks import TrainingReachedError, task


def parts(of: dict) -> dict:
    """The dictionaries of a task that tests spoil."""
    config = of["record"][2]["kwargs"]["config"]
    return {
        "task": of,
        "dataset": of["dataset"]["kwargs"],
        "segments": of["dataset"]["kwargs"]["segments"],
        "handler": of["dataset"]["kwargs"]["handler"]["kwargs"],
        "processor": of["dataset"]["kwargs"]["handler"]["kwargs"]["infer_processors"][1],
        "sigana": of["record"][1],
        "portana": of["record"][2]["kwargs"],
        "config": config,
        "strategy": config["strategy"],
        "topk": config["strategy"]["kwargs"],
        "backtest": config["backtest"],
        "exchange": config["backtest"]["exchange_kwargs"],
        "factor": of["record"][3],
        "factor_kwargs": of["record"][3]["kwargs"],
    }


# part, key, its new value (None: the key is removed, or renamed with a >), and what is said
SPOILT = [
    ("task", "record>records", None, "The task has a 'records', which Qlib would pass over; did you mean 'record'?"),
    ("sigana", "class", "SigAnaRecrod", "has no class 'SigAnaRecrod', but a class 'SigAnaRecord'"),
    ("sigana", "module_path", "my_records", "The module my_records of the class SigAnaRecord cannot be imported"),
    ("sigana", "kwargs>kwarg", None, "has a 'kwarg', which Qlib would pass over; did you mean 'kwargs'?"),
    ("sigana", "kwargs", {"ana_longshort": False}, "SigAnaRecord has no option 'ana_longshort'"),
    ("portana", "configs", {}, "PortAnaRecord has no option 'configs'; did you mean 'config'?"),
    ("config", "strategy>strategies", None, "has a 'strategies', which Qlib would pass over; did you mean 'strategy'?"),
    ("config", "backtest", None, "The record PortAnaRecord cannot be made of its kwargs, KeyError: 'backtest'"),
    ("strategy", "class", "TopkDropout", "has no class 'TopkDropout', but a class 'TopkDropoutStrategy'"),
    ("topk", "top_k", 50, "TopkDropoutStrategy has no option 'top_k'; did you mean 'topk'?"),
    ("backtest", "start_date", "2015-07-01", "The backtest has no option 'start_date'; did you mean 'start_time'?"),
    ("backtest", "benchmark", "SH000905", "has no $close of the index SH000905"),
    ("backtest", "start_time", "2099-01-01", "The backtest, 2099-01-01 to 2015-09-30, has no trading day of"),
    ("exchange", "open_costs", 0.001, "exchange_kwargs has no option 'open_costs'; did you mean 'open_cost'?"),
    ("exchange", "deal_price", "wap", "has the field $wap at day frequency; did you mean $vwap"),
    ("factor_kwargs", "horizons", 5, "FactorRecord has no option 'horizons'; did you mean 'horizon'?"),
    ("factor_kwargs", "groups", 1, "groups is at least 2, not 1"),
    ("factor_kwargs", "label", "Ref($adjclose, -2)/Ref($close, -1) - 1", "has the field $adjclose"),
    ("handler", "label", [["Ref($vwp, -2)/Ref($vwp, -1) - 1"], ["L"]], "has the field $vwp at day frequency"),
    ("handler", "instrument", "csi300", "Alpha158vwap has no option 'instrument'; did you mean 'instruments'?"),
    ("handler", "instruments", "csi500", "The universe 'csi500' is not in"),
    ("handler", "instruments", ["SH600000"], "a cross-section needs two"),
    ("handler", "instruments", ["SH699998", "SH699999"], "None of the 2 members of the named instruments has bars in"),
    ("processor", "kwargs", {"field_group": "feature"}, "Fillna has no option 'field_group'"),
    ("dataset", "step_length", 5, "CrossSectionDataset has no option 'step_length'; did you mean 'step_len'?"),
    ("segments", "test", ["2019-01-01", "2019-12-31"], "whose days are 2014-09-01 to "),
    ("segments", "test", ["2015-07-01"], "Segment 'test' is its first and its last day"),
    ("segments", "train>trian", None, "has a 'trian', which Qlib would pass over; did you mean 'train'?"),
    ("segments", "valid>vaild", None, "has a 'vaild', which Qlib would pass over; did you mean 'valid'?"),
    ("segments", "test", None, "The dataset has no segment 'test', which SignalRecord reads; it has train, valid."),
]


@pytest.fixture(scope="module")
def begin(tmp_path_factory, database):
    """Runs a task as qrun does, on a provider; all tests in one folder, as mlflow takes its time for each."""
    folder = tmp_path_factory.mktemp("spoilt")
    shutil.copy(database, folder / "mlflow.db")

    def run(of: dict, provider, runs=folder) -> None:
        manager = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder"}
        manager["kwargs"] = {"uri": f"sqlite:///{runs}/mlflow.db", "default_exp_name": "none"}
        qlib.init(provider_uri=str(provider), region="cn", kernels=1, logging_level=40, exp_manager=manager)
        task_train(of, experiment_name="spoilt")

    return run


def test_a_task_as_it_is_reaches_its_training(begin, small):
    with pytest.raises(TrainingReachedError):
        begin(task(), small[0])


@pytest.mark.parametrize(("part", "key", "value", "message"), SPOILT, ids=[f"{p}-{k}-{v}" for p, k, v, _ in SPOILT])
def test_it_is_said_before_anything_is_trained(begin, small, part, key, value, message):
    spoilt = task()
    where = parts(spoilt)[part]
    right, _, wrong = key.partition(">")
    if wrong:
        where[wrong] = where.pop(right)
    elif value is None:
        del where[key]
    else:
        where[key] = value
    with pytest.raises(QlibExtError) as raised:
        begin(spoilt, small[0])
    assert message in str(raised.value)


def test_an_index_that_ends_before_the_test_is_named(begin, copy):
    def end(bars, start):
        bars[210:] = np.nan

    folder = copy("short", edit=end, files="sh000300/*")
    with pytest.raises(QlibExtError, match=r"SH000300 has bars from 2014-09-01 to .*the backtest is of 2015-07"):
        begin(task(), folder)


def test_a_provider_without_days_to_come_is_named(begin, copy):
    folder = copy("no_future")
    (folder / "calendars/day_future.txt").unlink()
    with pytest.raises(QlibExtError, match=r"day_future.txt, is missing"):
        begin(task(), folder)


def test_runs_that_cannot_be_written_are_named(begin, small, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/runs cannot be written to .*QLIB_RUNS"):
        begin(task(), small[0], tmp_path / "file" / "runs")


def without_a_member(folder, of):
    shutil.rmtree(folder / "features" / read_spans(folder, "csi300")["instrument"][0].lower())


def beyond_the_calendar(folder, of):
    of["segments"]["test"][1] = "2021-12-31"


def another_universe(folder, of):
    shutil.copy(folder / "instruments/csi300.txt", folder / "instruments/csi500.txt")
    of["handler"]["instruments"] = "csi500"


def index_with_gaps(folder, of):
    close = folder / "features/sh000300/close.day.bin"
    bars = np.fromfile(close, dtype="<f4")
    bars[[230, 232]] = np.nan
    bars.tofile(close)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_a_member, "members has no bars in"),
        (beyond_the_calendar, "Of the segment 'test', 2015-07-01 to 2021-12-31, the provider"),
        (another_universe, "the benchmark SH000300 is another index"),
        (index_with_gaps, "has no bar on 2 of "),
    ],
)
def test_what_is_only_passed_over_is_a_warning(begin, copy, monkeypatch, spoil, message):
    folder, spoilt, logged = copy("warned"), task(), []
    assert check_task(spoilt, folder) == []
    spoil(folder, parts(spoilt))
    monkeypatch.setattr(module.logger, "warning", logged.append)
    with pytest.raises(TrainingReachedError):
        begin(spoilt, folder)
    assert len(logged) == 1
    assert message in logged[0]


NET = {"class": "GRU", "module_path": "qlib_ext.models.gru", "kwargs": {"n_epochs": 1}}
ROLLED = {"class": "RollingModel", "module_path": "qlib_ext.rolling", "kwargs": {"model": NET, "backend": "serial"}}


@pytest.mark.parametrize("model", [NET, ROLLED], ids=["net", "rolled"])
def test_a_model_of_ours_checks_where_the_recorder_is_qlibs_own(small, tmp_path, database, monkeypatch, model):
    shutil.copy(database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)  # into which mlflow puts the artifacts
    manager = {"class": "MLflowExpManager", "module_path": "qlib.workflow.expm"}
    manager["kwargs"] = {"uri": f"sqlite:///{tmp_path}/mlflow.db", "default_exp_name": "none"}
    qlib.init(provider_uri=str(small[0]), region="cn", kernels=1, logging_level=40, exp_manager=manager)
    spoilt = task()
    spoilt["model"] = model
    parts(spoilt)["backtest"]["benchmark"] = "SH000905"
    with pytest.raises(QlibExtError, match=r"has no \$close of the index SH000905"):
        task_train(spoilt, experiment_name="spoilt")

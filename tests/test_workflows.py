"""Each workflow csi300_* with ``qrun`` in a folder of its own, on a simulated market.

Two are started as a user starts them, a single training and one of windows; the others run in this process, which has
paid for the imports.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import jinja2
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from qlib_ext.analysis.compare.runs import Setup, read_runs
from qlib_ext.analysis.compare.zoo import published
from qlib_ext.errors import ConfigError, ProviderError
from qlib_ext.recorder.runs import store_of
from qlib_ext.simulator.simulate import simulate, write_market
from qlib_ext.workflows.variables import MEANINGS
from tests.docs.terminal import Terminal

WORKFLOWS = Path(__file__).parents[1] / "workflows"
NAMES = sorted(path.stem for path in WORKFLOWS.glob("csi300_*.yaml") if "enhanced" not in path.stem)
ROLLING = [name for name in NAMES if name.endswith("_rolling")]
PLAIN = [name for name in NAMES if name not in ROLLING]
NETS = [name for name in PLAIN if "lightgbm" not in name]
STARTED = [NAMES[0], "csi300_lightgbm_rolling"]
ZOO_ROWS = {
    "csi300_astgnn": [],
    "csi300_gats_ts": ["GATs"],
    "csi300_gru": ["GRU"],
    "csi300_lightgbm": ["LightGBM"],
    "csi300_lstm": ["LSTM"],
    "csi300_rsr": [],
}
MARKET = {"stocks": 60, "days": 520, "seed": 0, "start": "2015-03-02"}  # all segments have days; few, for speed
QUICK = {"EPOCHS": "1"}
TWO_WINDOWS = {"TRAIN": "1Y", "VALID": "3M", "STEP": "2M", "TEST": "2017-01-01"}  # in the days of the market


def variables(name: str, provider: Path) -> dict[str, str]:
    """One epoch, short windows, and one thread: on a busy machine two of them wait for each other most of the time."""
    windows = TWO_WINDOWS if name in ROLLING else {}
    return QUICK | windows | {"QLIB_DATA": str(provider), "OMP_NUM_THREADS": "1"}


def start(file: Path, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    """qrun as a user starts it."""
    program = Path(sys.executable).with_name("qrun")
    env = {key: value for key, value in os.environ.items() if key not in MEANINGS} | environment
    return subprocess.run([program, file], cwd=cwd, env=env, capture_output=True, text=True)


def workflow(name: str, **environment: str) -> dict:
    return yaml.safe_load(jinja2.Template((WORKFLOWS / f"{name}.yaml").read_text()).render(environment))


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workflows") / "market"
    write_market(folder, **MARKET)
    return folder


@pytest.fixture(scope="module")
def expected():
    """The members of csi300 on the days of the test segment."""
    market = simulate(**MARKET)
    members = pd.DataFrame(market.members, market.calendar, market.symbols).loc["2017-01-01":]
    index = members.stack().loc[lambda inside: inside].index
    return index.set_names(["datetime", "instrument"]).sort_values()


@pytest.fixture(scope="module", params=NAMES)
def finished(request, provider, database, tmp_path_factory):
    """A finished run: its name, its folder and what it printed. The first one makes the database of its runs itself."""
    name, file = request.param, WORKFLOWS / f"{request.param}.yaml"
    cwd, environment = tmp_path_factory.mktemp(name), variables(name, provider)
    if name != NAMES[0]:
        (cwd / "mlruns").mkdir()
        shutil.copy(database, cwd / "mlruns")
    if name not in STARTED:
        return name, cwd, Terminal(cwd, **environment)(f"qrun {file}")
    done = start(file, cwd, environment)
    assert done.returncode == 0, done.stderr[-4000:]
    return name, cwd, done.stdout + done.stderr


def artifacts(name: str, cwd: Path) -> Path:
    """Where the artifacts of the only run with a prediction lie; the windows of a rolling model have runs beside it."""
    (pred,) = (cwd / "mlruns" / "artifacts" / name).glob("*/artifacts/pred.pkl")
    return pred.parent


def test_a_run_prints_no_traceback(finished):
    assert "Traceback" not in finished[2]
    assert "leaked" not in finished[2], "no worker leaves a semaphore behind"


def test_a_run_leaves_the_recorder_and_nothing_else(finished):
    name, cwd, _ = finished
    assert os.listdir(cwd) == ["mlruns"]
    assert sorted(os.listdir(cwd / "mlruns")) == [".mlflow.db.lock", ".running", "artifacts", "mlflow.db"]
    assert os.listdir(cwd / "mlruns" / ".running") == [], "no run is at work"
    assert os.listdir(cwd / "mlruns" / "artifacts") == [name]


def test_the_recorder_knows_the_run_and_its_metrics(finished):
    name, cwd, _ = finished
    client = mlflow.MlflowClient(f"sqlite:///{cwd}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == (3 if name in ROLLING else 1), "two windows and what they belong to"
    (run,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    assert run.info.run_id == artifacts(name, cwd).parent.name
    for metric in ("IC", "ICIR", "Rank IC", "Rank ICIR", "1day.excess_return_with_cost.information_ratio"):
        assert np.isfinite(run.data.metrics[metric])


def test_a_comparison_knows_what_the_run_tested(finished, expected):
    name, cwd, _ = finished
    (run,) = read_runs(store_of(cwd / "mlruns"), name)
    days = expected.unique("datetime")
    assert run.setup == Setup(
        "csi300", f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}", "Ref($vwap, -2)/Ref($vwap, -1) - 1", simulated=True
    )
    once = [("train", "2010-01-01 to 2015-12-31"), ("valid", "2016-01-01 to 2016-12-31")]
    assert run.segments == ([] if name in ROLLING else once)
    assert run.backtest.startswith(
        "TopkDropoutStrategy, benchmark=SH000300 topk=50 n_drop=5 limit_threshold=0.095 deal_price=vwap"
    )
    assert [row.model for row in published(run.params)] == ZOO_ROWS.get(name, [])


def test_predictions_are_exactly_the_members_of_the_test_days(finished, expected):
    name, cwd, _ = finished
    score = pd.read_pickle(artifacts(name, cwd) / "pred.pkl")
    pd.testing.assert_index_equal(score.index.sort_values(), expected, exact="equiv")
    assert np.isfinite(score["score"]).all()
    assert (score["score"].groupby(level="datetime").nunique() > 1).all()


def test_the_backtest_is_recorded_and_finite(finished, expected):
    name, cwd, _ = finished
    folder = artifacts(name, cwd) / "portfolio_analysis"
    analysis = pd.read_pickle(folder / "port_analysis_1day.pkl")
    assert set(analysis.index.unique(0)) == {"excess_return_without_cost", "excess_return_with_cost"}
    assert np.isfinite(analysis["risk"]).all()
    report = pd.read_pickle(folder / "report_normal_1day.pkl")
    assert report.index[-1] == expected.unique("datetime")[-1], "the backtest reaches the calendar's last day"
    assert report["cost"].sum() > 0, "stocks are traded, and at a cost"
    assert np.isfinite(report[["return", "cost", "bench", "turnover"]]).all(axis=None)


def test_the_report_is_one_page_in_the_recorder(finished):
    name, cwd, _ = finished
    page = (artifacts(name, cwd) / "factor_analysis" / "report.html").read_text()
    assert f"<title>SIMULATED: Factor report: {name}" in page
    assert page.count("csi300, test 2017-01-02") == 1


OF_NO_PROVIDER = ("QLIB_DATA", "qlib-ext market", "qlib_data --target_dir")


def test_a_provider_that_is_none_is_named_in_the_last_line(tmp_path):
    done = start(WORKFLOWS / f"{NAMES[0]}.yaml", tmp_path, variables(NAMES[0], tmp_path / "provider"))
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert last.startswith("qlib_ext.errors.ProviderError: The ")
    for part in (str(tmp_path / "provider"), *OF_NO_PROVIDER):
        assert part in last


def test_an_empty_folder_is_no_provider(tmp_path):
    folder = tmp_path / "provider"
    folder.mkdir()
    with pytest.raises(ProviderError) as stop:
        Terminal(tmp_path, **variables(NAMES[0], folder))(f"qrun {WORKFLOWS / NAMES[0]}.yaml")
    for part in (str(folder), *OF_NO_PROVIDER):
        assert part in str(stop.value)


MISSPELT = [("hidden_size", "hiden_size"), ("segments", "segmnets"), ("instruments", "instrument")]


@pytest.fixture
def misspelt(tmp_path):
    """Writes a workflow with a key misspelt."""

    def write(key: str, wrong: str) -> Path:
        file = tmp_path / "misspelt.yaml"
        file.write_text((WORKFLOWS / "csi300_gru.yaml").read_text().replace(f" {key}:", f" {wrong}:"))
        return file

    return write


def test_a_misspelt_key_is_answered_with_the_nearest_in_the_last_line(misspelt, tmp_path, provider):
    key, wrong = MISSPELT[0]
    done = start(misspelt(key, wrong), tmp_path, variables("csi300_gru", provider))
    assert done.returncode != 0
    assert f"has no option {wrong!r}; did you mean {key!r}?" in done.stdout.splitlines()[-1]  # where Qlib prints it


@pytest.mark.parametrize(("key", "wrong"), MISSPELT[1:])
def test_another_misspelt_key_is_answered_with_the_nearest(misspelt, tmp_path, provider, key, wrong):
    terminal = Terminal(tmp_path, **variables("csi300_gru", provider))
    with pytest.raises(ConfigError, match=f"has no option {wrong!r}; did you mean {key!r}?"):
        terminal(f"qrun {misspelt(key, wrong)}")


def test_the_workflows_are_these():
    assert PLAIN == [
        "csi300_astgnn",
        "csi300_gats_ts",
        "csi300_gru",
        "csi300_lightgbm",
        "csi300_lstm",
        "csi300_rsr",
    ]
    assert [f"{name}_rolling" for name in PLAIN if name not in ("csi300_gru", "csi300_rsr")] == ROLLING


@pytest.mark.parametrize("name", ROLLING)
def test_a_rolling_workflow_retrains_the_model_of_the_plain_one(name):
    rolling, plain = workflow(name), workflow(name.removesuffix("_rolling"))
    options, model = rolling["task"]["model"]["kwargs"], plain["task"]["model"]
    seeds = {"seeds": model["kwargs"].pop("seeds")} if "seeds" in model["kwargs"] else {}
    assert options.pop("model") == model
    assert options == {"train": "5Y", "valid": "1Y", "step": "1Y", "n_jobs": 1} | seeds
    assert rolling["task"]["dataset"]["kwargs"]["segments"] == {"test": [date(2016, 1, 1), date(2021, 12, 31)]}
    assert rolling["task"]["record"] == plain["task"]["record"]
    handlers = [config["task"]["dataset"]["kwargs"]["handler"]["kwargs"] for config in (rolling, plain)]
    for handler in handlers:
        del handler["fit_end_time"]  # every window fits its processors on its own training days
    assert handlers[0] == handlers[1]


def test_workflows_differ_in_their_model_alone():
    configs = []
    for name in PLAIN:
        config = copy.deepcopy(workflow(name))
        config["data_handler_config"].pop("relations", None)  # of no other net; the same mapping as the handler's
        config["task"]["dataset"]["kwargs"]["handler"]["kwargs"].pop("relations", None)
        assert config.pop("experiment_name") == name
        assert config["qlib_init"]["exp_manager"]["kwargs"].pop("default_exp_name") == name
        assert config["task"].pop("model")
        config["task"]["dataset"]["kwargs"].pop("step_len", None)  # a tabular model reads no windows
        configs.append(config)
    assert all(config == configs[0] for config in configs)


def test_nets_train_alike():
    shared = [
        "hidden_size",
        "num_layers",
        "dropout",
        "n_epochs",
        "lr",
        "ema_decay",
        "early_stop",
        "metric",
        "days_per_batch",
        "seeds",
    ]
    models = [workflow(name)["task"]["model"]["kwargs"] for name in NETS]
    assert [{key: model.get(key) for key in shared} for model in models] == [
        dict(zip(shared, (64, 2, 0.5, 15, 0.0003, 0.998, 4, "rank_ic", 1, [0]), strict=True))
    ] * len(NETS)


def test_each_net_is_what_its_file_is_named_after():
    gats, gru, lstm = (workflow(f"csi300_{name}")["task"]["model"] for name in ("gats_ts", "gru", "lstm"))
    assert (gats["module_path"], gats["class"]) == ("qlib_ext.models.gats", "GATs")
    assert gats["kwargs"]["num_layers_gat"] == 1
    assert "model_path" not in gats["kwargs"]
    assert lstm["kwargs"].pop("base_model") == "LSTM"
    assert lstm == gru


@pytest.mark.parametrize("name", PLAIN)
def test_a_workflow_says_what_the_house_compares(name):
    config = workflow(name)
    dataset, records = config["task"]["dataset"], config["task"]["record"]
    handler = dataset["kwargs"]["handler"]
    assert (handler["module_path"], handler["class"]) == ("handlers.alpha158vwap", "Alpha158vwap")
    assert handler["kwargs"]["instruments"] == config["market"] == "csi300"
    assert [p["class"] for p in handler["kwargs"]["infer_processors"]] == ["RobustZScoreNorm", "Fillna"]
    assert [p["class"] for p in handler["kwargs"]["learn_processors"]] == ["DropnaLabel", "CSRankNorm"]
    assert dataset["kwargs"]["segments"] == {
        "train": [date(2010, 1, 1), date(2015, 12, 31)],
        "valid": [date(2016, 1, 1), date(2016, 12, 31)],
        "test": [date(2017, 1, 1), date(2021, 12, 31)],
    }
    fitted = handler["kwargs"]["fit_start_time"], handler["kwargs"]["fit_end_time"]
    assert list(fitted) == dataset["kwargs"]["segments"]["train"]
    assert [record["class"] for record in records] == [
        "SignalRecord",
        "SigAnaRecord",
        "PortAnaRecord",
        "FactorRecord",
    ]
    portfolio = records[2]["kwargs"]["config"]
    assert portfolio["strategy"]["class"] == "TopkDropoutStrategy"
    assert portfolio["strategy"]["kwargs"] == {"signal": "<PRED>", "topk": 50, "n_drop": 5}
    assert portfolio["backtest"]["account"] == 1e8
    assert portfolio["backtest"]["benchmark"] == "SH000300"
    assert portfolio["backtest"]["exchange_kwargs"] == {
        "limit_threshold": 0.095,
        "deal_price": "vwap",
        "open_cost": 0.0005,
        "close_cost": 0.0015,
        "min_cost": 5,
    }


@pytest.mark.parametrize("name", NETS)
def test_nets_read_twenty_days(name):
    assert workflow(name)["task"]["dataset"]["kwargs"]["step_len"] == 20

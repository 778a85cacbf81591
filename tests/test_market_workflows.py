"""The workflows market_*: what they say, and each of them in a small market of all data that they read.

They differ from csi300_*, which are tested as a user starts them, in model and data set; so these run in this process,
with one epoch and without backtest. One combination runs as ``qlib-ext run`` runs it.
"""

from __future__ import annotations

import copy
import os
import re
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd
import pytest
import qlib
from qlib.model.trainer import task_train

from handlers.bars import LABEL
from qlib_ext.analysis.report.texts import LANGUAGES
from qlib_ext.cli import main
from qlib_ext.simulator.simulate import simulate, write_market
from qlib_ext.ticks.factors import BUILT, FAMILIES, FLOWS
from qlib_ext.workflows.reading import Workflow, in_order, read_workflow
from tests.handlers import half_hours
from tests.models.cases import risk_model_of

FILES = Path(__file__).parents[1] / "workflows"
FACTORS = {"FACTORS": str(Path(__file__).with_name("factors.yaml"))}
WORKFLOWS = {w.name: w for w in (read_workflow(path, FACTORS) for path in sorted(FILES.glob("market_*.yaml")))}
STAGE_1 = {name: workflow for name, workflow in WORKFLOWS.items() if not workflow.inputs}
STAGE_2 = {name: workflow for name, workflow in WORKFLOWS.items() if workflow.inputs}
MODELS = {name: workflow for name, workflow in STAGE_2.items() if name.startswith(("market_model", "market_families"))}
SETS = ["market_day", "market_week", "market_msnew"]
FAMILIES_BY = ["market_families", *(f"market_families_{how}" for how in ("equal", "icir", "state"))]
GRAPH = ["embedding_size", "node_embedding", "share_weight", "proximity"]
DAY, WEEK, MSNEW, MS, L2 = (
    "market_day_gru",
    "market_week_resnet_gru",
    "market_msnew_resnet_gru",
    "market_ms_gru",
    "market_l2_gru",
)
FIRST_TEST, SECOND_TEST = "2015-06-16", "2015-07-22"  # of the days that have intraday bars
MARKET = {"stocks": 20, "days": 310, "seed": 3, "start": "2014-06-02", "accruals": 0.0}
ONCE = {"train": [half_hours.FIRST, "2015-05-20"], "valid": ["2015-05-21", "2015-06-12"]}
FIRST = {"train": "25D", "valid": "15D", "step": "40D"}
SECOND = {"train": "26D", "valid": 0.5, "step": "5D"}


def quick(workflow: Workflow) -> dict:
    """The task with one epoch and windows that three months suffice for, and the score as its only record."""
    task = copy.deepcopy(workflow.config["task"])
    second = workflow.name in MODELS
    dataset, options = task["dataset"]["kwargs"], task["model"]["kwargs"]
    first_day = FIRST_TEST if workflow.inputs else half_hours.FIRST
    dataset["handler"]["kwargs"] |= {"start_time": first_day, "end_time": half_hours.LAST}
    once = ONCE if "train" in dataset["segments"] else {}
    dataset["segments"] = {**once, "test": [SECOND_TEST if second else FIRST_TEST, half_hours.LAST]}
    if once:
        dataset["handler"]["kwargs"] |= dict(zip(("fit_start_time", "fit_end_time"), once["train"], strict=True))
        options |= {key: 1 for key in ("n_epochs", "num_boost_round") if key in options}
    if task["model"]["class"] == "RollingModel":
        options |= {**(SECOND if second else FIRST), "backend": "serial"}  # processes take seconds to start
        inner = options["model"].setdefault("kwargs", {})
        inner |= {key: 1 for key in ("n_epochs", "num_boost_round") if key in inner}
        inner |= {"risk": risk_folder(), "n_epochs": 2} if options["model"]["class"] == "StateWeight" else {}
        inner |= {"min_stocks": 2} if options["model"]["class"] == "MultiTaskGRU" else {}
        options |= {"seeds": options["seeds"][:1]} if "seeds" in options else {}
    task["record"] = task["record"][:1]
    return task


@cache
def risk_folder() -> str:
    """A risk model that has nothing but returns of two factors."""
    days = pd.bdate_range("2015-03-02", half_hours.LAST)
    returns = 0.01 * np.random.default_rng(0).standard_normal((len(days), 2))
    return risk_model_of(pd.DataFrame(returns, days, ["f.market", "f.size"]), mkdtemp(prefix="qlib_ext_risk_"))


@pytest.fixture(scope="module")
def market():
    """A small market with the twelve months before its half-hours that MultiFrequencyBars reads."""
    return simulate(**MARKET)


@pytest.fixture(scope="module")
def provider(market, tmp_path_factory):
    """It on disk, with bars of half an hour and the fields of all high-frequency factors and flows."""
    days, folder = (tmp_path_factory.mktemp("market") / name for name in ("days", "provider"))
    write_market(days, **MARKET)
    half_hours.write(folder, (days, market), 30)
    random = np.random.default_rng(0)
    for close in (folder / "features").glob("*/close.day.bin"):
        bars = np.fromfile(close, dtype="<f4")
        for name in (name for family in FAMILIES.values() for name in family):
            bars[1:] = random.standard_normal(len(bars) - 1)
            bars.tofile(close.with_name(f"hf_{name}.day.bin"))
        for name in BUILT[FLOWS]:
            bars[1:] = random.lognormal(size=len(bars) - 1)
            bars.tofile(close.with_name(f"{name}.day.bin"))
    return folder


@pytest.fixture(scope="module")
def predictions(provider, tmp_path_factory):
    """What each workflow predicted, all run in the order of ``qlib-ext run``."""
    manager = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder.store"}
    manager["kwargs"] = {"uri": f"sqlite:///{tmp_path_factory.mktemp('runs')}/mlflow.db", "default_exp_name": "default"}
    qlib.init(provider_uri=str(provider), region="cn", kernels=1, logging_level=40, exp_manager=manager)
    return {w.name: task_train(quick(w), w.name).load_object("pred.pkl")["score"] for w in in_order(WORKFLOWS)}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_scores_its_stocks_on_all_test_days(predictions, name, market):
    score = predictions[name]
    first = SECOND_TEST if name in MODELS else FIRST_TEST
    traded_only = WORKFLOWS[name].config["task"]["dataset"]["kwargs"]["handler"]["kwargs"].get("traded_only")
    scored = ~np.isnan(market.fields["close"]) if traded_only else market.listed
    days = pd.DataFrame(scored, market.calendar, market.symbols).loc[first : half_hours.LAST].stack()
    expected = days[days].index
    assert list(score.index.sort_values()) == list(expected.sort_values())
    assert np.isfinite(score).all()


def test_a_graph_of_industries_gives_other_scores(predictions):
    """What the page of ASTGNN sets before qrun."""
    workflow = read_workflow(FILES / "market_day_astgnn.yaml", {"GRAPH_GROUP": "$industry"})
    score = task_train(quick(workflow), "grouped").load_object("pred.pkl")["score"]
    assert score.index.equals(predictions[workflow.name].index)
    assert (score != predictions[workflow.name]).any()


def test_the_stages_are_these():
    assert {"market_fusion", *(f"market_model{number}" for number in range(5))} <= set(STAGE_2)
    assert {*(f"{name}_astgnn" for name in SETS), DAY, WEEK, MSNEW, MS, L2} <= set(STAGE_1)


def test_the_combinations_are_the_reports():
    assert {name: set(WORKFLOWS[name].inputs) for name in (*MODELS, "market_fusion")} == {
        "market_model0": {DAY, WEEK},
        "market_model0_equal": {DAY, WEEK},
        "market_model0_icir": {DAY, WEEK},
        "market_model0_astgnn": {"market_day_astgnn", "market_week_astgnn"},
        "market_model1": {DAY, MS, L2},
        "market_model2": {DAY, MSNEW, L2},
        "market_model3": {WEEK, DAY, MS, L2},
        "market_model4": {WEEK, DAY, MSNEW, L2},
        **{name: {DAY, "market_technical_gru"} for name in FAMILIES_BY},
        "market_fusion": {"market_highfreq_gru", "market_multitask_gru"},
    }
    assert WORKFLOWS["market_fusion"].config["task"]["model"]["kwargs"]["weights"] == {
        "market_highfreq_gru": 1,
        "market_multitask_gru": 3,
    }


def test_the_equal_weights_have_the_signs_that_the_docs_give():
    page = (Path(__file__).parents[1] / "docs/highfreq_factors.md").read_text()
    rows = re.findall(r"^\| `(\w+)`.* \| ([+-]) \|$", page, flags=re.MULTILINE)
    signs = {name.upper(): 1 if sign == "+" else -1 for name, sign in rows}
    signs |= {f"VOLUME_PERC{k}": signs["VOLUME_PERC2"] for k in range(3, 8)}
    assert WORKFLOWS["market_highfreq_equal"].config["task"]["model"]["kwargs"]["weights"] == signs
    assert set(signs) == {name.upper() for family in FAMILIES.values() for name in family}


@pytest.mark.parametrize("name", ["market_highfreq_equal", "market_highfreq_icir"])
def test_a_linear_weighting_is_tested_as_the_net_that_it_is_compared_with(name):
    net, own = (copy.deepcopy(WORKFLOWS[which].config["task"]) for which in ("market_highfreq_gru", name))
    handlers = [task["dataset"]["kwargs"]["handler"]["kwargs"] for task in (net, own)]
    if name == "market_highfreq_equal":
        assert handlers[1].pop("start_time") == date(2017, 1, 1)
        handlers[0].pop("start_time")
    assert handlers[0] == handlers[1]
    assert net["dataset"]["kwargs"]["segments"] == own["dataset"]["kwargs"]["segments"]
    assert net["record"] == own["record"]
    lengths = [{key: task["model"]["kwargs"].get(key) for key in ("train", "valid", "step")} for task in (net, own)]
    assert lengths[0] == lengths[1] or name == "market_highfreq_equal"


@pytest.mark.parametrize("name", MODELS)
def test_a_weighting_is_found_on_240_days_that_no_net_saw(name):
    task = WORKFLOWS[name].config["task"]
    options = task["model"]["kwargs"]
    assert (options["train"], options["valid"], options["step"]) == ("240D", 0.2, "20D")
    handler = task["dataset"]["kwargs"]["handler"]["kwargs"]
    assert "segments" not in handler, "test days alone, not those that stopped the nets"
    first = {
        WORKFLOWS[needed].config["task"]["dataset"]["kwargs"]["segments"]["test"][0]
        for needed in handler["experiments"]
    }
    assert first == {handler["start_time"]} == {date(2017, 1, 1)}
    assert task["dataset"]["kwargs"]["segments"]["test"] == [date(2018, 1, 1), date(2021, 12, 31)]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_says_what_the_house_says(name):
    config = WORKFLOWS[name].config
    assert WORKFLOWS[name].path.stem == name == config["qlib_init"]["exp_manager"]["kwargs"]["default_exp_name"]
    assert config["market"] == "all" == WORKFLOWS[name].handler["kwargs"]["instruments"]
    records = {record["class"]: record.get("kwargs", {}) for record in config["task"]["record"]}
    assert list(records) == ["SignalRecord", "SigAnaRecord", "PortAnaRecord", "FactorRecord"]
    assert records["PortAnaRecord"]["config"]["backtest"]["benchmark"] == "SH000905"


@pytest.mark.parametrize("model", ["gru", "astgnn", "gats", "lightgbm"])
def test_alpha158_of_the_market_is_csi300s_net_on_the_rows_and_label_of_day_bars(model):
    wide = copy.deepcopy(WORKFLOWS[f"market_alpha158_{model}"].config["task"])
    twin = {"gats": "gats_ts"}.get(model, model)
    narrow = read_workflow(FILES / f"csi300_{twin}.yaml", {}).config["task"]
    bars = WORKFLOWS[DAY].config["task"]["dataset"]["kwargs"]
    assert wide["model"] == narrow["model"]
    own, theirs = (task["dataset"]["kwargs"] for task in (wide, narrow))
    assert own["segments"] == theirs["segments"]
    assert own.get("sample_every") == (None if model == "lightgbm" else bars["sample_every"])
    handler, of_bars = own["handler"]["kwargs"], bars["handler"]["kwargs"]
    assert handler.pop("file") == FACTORS["FACTORS"]
    assert handler.pop("drop_raw") is True
    assert handler.pop("label") == [list(part) for part in LABEL]
    shared = ("instruments", "learn_processors", "seasoned_days", "traded_only")
    assert handler == theirs["handler"]["kwargs"] | {name: of_bars[name] for name in shared}


@pytest.mark.parametrize("name", [DAY, WEEK, MSNEW, MS, L2, *(f"{name}_astgnn" for name in SETS)])
def test_a_data_set_trains_on_every_fifth_day_of_six_years(name):
    task = WORKFLOWS[name].config["task"]
    options = task["model"]["kwargs"]
    assert {key: options[key] for key in ("train", "valid", "step")} == {"train": "6Y", "valid": "1Y", "step": "5Y"}
    assert task["dataset"]["kwargs"]["sample_every"] == 5
    net = options["model"]["kwargs"]
    assert (net["hidden_size"], net["num_factors"], net["metric"], net["n_epochs"]) == (64, 32, "rank_ic", 20)
    assert task["record"][-1]["kwargs"]["groups"] == 20


@pytest.mark.parametrize(("plain", "graph"), [(DAY, SETS[0]), (WEEK, SETS[1]), (MSNEW, SETS[2])])
def test_twins_differ_in_the_graph_alone(plain, graph):
    one, other = (copy.deepcopy(WORKFLOWS[name].config["task"]) for name in (plain, f"{graph}_astgnn"))
    nets = [task["model"]["kwargs"].pop("model") for task in (one, other)]
    assert other["dataset"]["kwargs"]["handler"]["kwargs"].pop("group") is None
    assert one == other
    own = {key: nets[1]["kwargs"].pop(key) for key in GRAPH}
    assert own == {"embedding_size": 16, "node_embedding": "state", "share_weight": True, "proximity": 0.0}
    assert nets[0]["kwargs"] == {key: value for key, value in nets[1]["kwargs"].items() if key != "graph"}
    assert [net["class"] for net in nets] == (["GRU", "ASTGNN"] if plain == DAY else ["ResNetGRU", "ResNetGRU"])
    assert plain == DAY or nets[1]["kwargs"]["graph"] is True


@pytest.mark.parametrize("name", SETS)
def test_a_group_makes_a_graph_of_vectors_that_it_draws_together(name):
    grouped = read_workflow(FILES / f"{name}_astgnn.yaml", {"GRAPH_GROUP": "$industry"})
    assert grouped.handler["kwargs"]["group"] == "$industry"
    net = grouped.config["task"]["model"]["kwargs"]["model"]["kwargs"]
    assert [net[key] for key in GRAPH] == [16, "instrument", False, 10.0]


@pytest.mark.parametrize(
    "done", [[DAY], pytest.param([DAY, WEEK, "market_model0_equal"], marks=pytest.mark.slow, id="both stages")]
)
def test_a_combination_is_run_once(tmp_path, monkeypatch, capsys, done):
    """As a user starts it, with qrun; the second time the recorder holds everything."""
    market = tmp_path / "market"
    write_market(market, stocks=25, days=400, seed=0)
    for name in [name for name in os.environ if name.startswith("QLIB_")]:
        monkeypatch.delenv(name)
    lengths = {"TRAIN": "100D", "VALID": "40D", "STEP": "6M", "MODEL_TRAIN": "60D", "EPOCHS": "1"}
    dates = {"START": "2014-12-01", "TEST": "2015-09-01", "MODEL_TEST": "2016-01-04", "END": "2016-02-29"}
    for name, value in (lengths | dates | {"BENCHMARK": "SH000300", "OMP_NUM_THREADS": "1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(FILES.parent)
    arguments = ["run", done[-1], "market_model2", "--data", str(market), "--runs", str(tmp_path / "runs")]
    assert main(arguments) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert said.count("runs since") == len(done)
    for name in done:
        assert f"{name}: runs since" in said
        assert f"{name}: Rank IC" in said
    assert "market_msnew_resnet_gru: left out, the provider" in said
    assert "market_l2_gru: left out, " in said
    assert "market_model2: left out, it reads market_msnew_resnet_gru, market_l2_gru" in said
    assert f"wrote {tmp_path}/runs/report.html" in said
    page = (tmp_path / "runs/report.html").read_text()
    assert f"<title>SIMULATED: Factor report: {', '.join(done)}" in page
    assert (LANGUAGES["en"]["between"] in page) == (len(done) > 1)
    assert main(arguments) == 0
    again = capsys.readouterr().out
    assert "runs since" not in again
    assert again.count("is finished, run ") == len(done)

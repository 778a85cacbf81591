"""What a workflow of index enhancement would fail by at its end is known before anything is trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from qlib_ext.portfolio.needs import check_enhancement
from qlib_ext.workflows.checks import missing_data
from qlib_ext.workflows.reading import Workflow, read_workflow

FILE = Path(__file__).parents[2] / "workflows" / "csi500_enhanced.yaml"


@pytest.fixture
def workflow(provider, model_folder, market) -> Workflow:
    """csi500_enhanced on the simulated market."""
    first, last = (f"{day:%Y-%m-%d}" for day in market.calendar[[330, 370]])
    environment = {"TEST": first, "END": last, "SCORES": "some_scores", "BENCHMARK": "SH000300", "MEMBERS": "csi300"}
    return read_workflow(FILE, environment | {"RISK": str(model_folder), "QLIB_DATA": str(provider)})


def parts(workflow: Workflow) -> tuple[dict, dict]:
    """The strategy's options and the backtest, of the record."""
    (config,) = (
        record["kwargs"]["config"]
        for record in workflow.config["task"]["record"]
        if record["class"] == "EnhancementRecord"
    )
    return config["strategy"]["kwargs"], config["backtest"]


def test_nothing_is_missing_in_a_workflow_as_it_is(workflow):
    assert missing_data(workflow) == ""


def test_without_a_finished_risk_model_the_provider_must_have_what_it_is_made_of(workflow, provider, tmp_path):
    strategy, _ = parts(workflow)
    for folder in (None, str(tmp_path / "none")):
        strategy["risk"] = {"kwargs": {"folder": folder}}
        assert missing_data(workflow) == ""
    strategy["risk"]["kwargs"]["industry"] = "$sector"
    assert "no $sector, the industry of the risk model" in missing_data(workflow)
    shutil.copytree(provider, tmp_path / "provider")
    for file in (tmp_path / "provider" / "features").glob("*/industry.day.bin"):
        file.unlink()
    workflow.config["qlib_init"]["provider_uri"] = str(tmp_path / "provider")
    strategy["risk"] = {"kwargs": {"folder": None}}
    assert "no $industry, the industry of the risk model" in missing_data(workflow)


def test_a_folder_that_is_no_risk_model_is_named(workflow, tmp_path):
    strategy, _ = parts(workflow)
    (tmp_path / "notes.txt").write_text("of something else")
    strategy["risk"] = {"kwargs": {"folder": str(tmp_path)}}
    assert f"{tmp_path} holds no risk model" in missing_data(workflow)


def test_a_risk_model_that_ends_before_the_score_is_named(workflow, tmp_path, provider):
    shutil.copytree(provider, tmp_path / "provider")
    calendars = tmp_path / "provider" / "calendars"
    days = (calendars / "day.txt").read_text().rstrip("\n") + "\n2099-12-31\n"
    (calendars / "day.txt").write_text(days)
    (calendars / "day_future.txt").write_text(days + "2100-01-04\n")
    workflow.config["qlib_init"]["provider_uri"] = str(tmp_path / "provider")
    workflow.config["task"]["dataset"]["kwargs"]["segments"]["test"][1] = "2100-01-01"
    assert "scores on 2099-12-31; add its days with `qlib-ext risk`" in missing_data(workflow)


def test_a_risk_model_that_begins_with_the_score_is_named(workflow, market, provider):
    strategy, backtest = parts(workflow)
    check_enhancement(strategy, {"backtest": backtest}, provider)  # of scores whose days are not known
    workflow.config["task"]["dataset"]["kwargs"]["segments"]["test"][0] = f"{market.calendar[40]:%Y-%m-%d}"
    assert "40 days before the scores of" in missing_data(workflow)
    assert "and needs 63; let the test begin later" in missing_data(workflow)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, b: s.update(seasonal_days=60), "did you mean 'seasoned_days'?"),
        (lambda s, b: s.update(seasoned_days="many"), "seasoned_days"),
        (lambda s, b: s.update(rebalance="weekly"), "did you mean 'week'?"),
        (lambda s, b: s.update(relax=["turnovr"]), "did you mean 'turnover'?"),
        (lambda s, b: s.update(objective={"costs": 0.001}), "objective has no option 'costs'"),
        (lambda s, b: s["constraints"].append({"class": "TrackingEror"}), "did you mean 'TrackingError'?"),
        (lambda s, b: s["constraints"].append({"class": "Turnover", "kwargs": {"onesided": 0.2}}), "'one_sided'?"),
        (lambda s, b: s["constraints"].append({"class": "Turnover", "kwargs": {"one_sided": 0}}), "Turnover"),
        (lambda s, b: s["constraints"].append(s["constraints"][0]), "2 constraints of the tracking error; keep one"),
        (lambda s, b: s["constraints"][0]["kwargs"].update(te_scaled=True), "did you mean 'te_scale'?"),
        (lambda s, b: s["constraints"].append({"class": "Styles", "kwargs": {"siz": 0.2}}), "did you mean 'size'?"),
        (lambda s, b: s.pop("benchmark"), "There is no benchmark to enhance"),
        (lambda s, b: b.pop("benchmark"), "The backtest has no benchmark"),
        (lambda s, b: s["benchmark"].update(index="SH000905"), "no $close of the index SH000905"),
        (lambda s, b: s["benchmark"].update(members="csi500"), "csi500"),
        (lambda s, b: s["benchmark"].update(weights="$csi300_weigth"), "no $csi300_weigth of any member of csi300"),
        (lambda s, b: exchange(b).update(limit="closed"), "did you mean 'close'?"),
        (lambda s, b: b.update(account=0), "account is an amount of money above 0, not 0"),
        (lambda s, b: b.update(account="1e8"), "account is an amount of money above 0, not '1e8'"),
        (lambda s, b: exchange(b).pop("open_cost"), "BoardExchange needs open_cost"),
        (lambda s, b: exchange(b).update(close_cost=1.5), "close_cost is a share of the value traded"),
        (lambda s, b: exchange(b).update(lmit="close"), "did you mean 'limit'?"),
    ],
)
def test_what_makes_no_sense_is_said_before_training(workflow, change, message):
    change(*parts(workflow))
    assert message in missing_data(workflow)


def exchange(backtest: dict) -> dict:
    return backtest["exchange_kwargs"]["exchange"]["kwargs"]


@pytest.mark.parametrize(
    ("record", "step"),
    [("EnhancementRecord", step) for step in ("week", "month", "30min", "weekly", None)] + [("PortAnaRecord", "week")],
)
def test_steps_that_are_no_days_are_refused_before_training(workflow, record, step):
    (own,) = (each for each in workflow.config["task"]["record"] if each["class"] == "EnhancementRecord")
    if record == "PortAnaRecord":
        own |= {"class": record, "module_path": "qlib.workflow.record_temp"}
    kwargs = {"time_per_step": "day", "generate_portfolio_metrics": True}
    executor = {"class": "SimulatorExecutor", "module_path": "qlib.backtest.executor", "kwargs": kwargs}
    own["kwargs"]["config"]["executor"] = executor
    assert missing_data(workflow) == ""
    kwargs["time_per_step"] = step
    assert f"time_per_step is {step}, and index enhancement needs an account of each day" in missing_data(workflow)

"""The workflows *_enhanced on a simulated market, with a score of the recorder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qlib.model.trainer import task_train

from qlib_ext.portfolio.setting import setting_of
from qlib_ext.workflows.checks import missing_data
from qlib_ext.workflows.reading import read_workflow
from tests.handlers.recorded_runs import RecordedRuns

FILES = Path(__file__).parents[2] / "workflows"
FIRST, LAST = 330, 370  # places in the market's calendar
SEGMENTS = ((80, 260), (270, 315), (FIRST, LAST))


@pytest.fixture(scope="module")
def test_days(provider, market, planted, tmp_path_factory):
    """The first and the last day of a recorded score."""
    runs = RecordedRuns(tmp_path_factory.mktemp("runs"), provider)
    first, last = (f"{day:%Y-%m-%d}" for day in market.calendar[[FIRST, LAST]])
    score = planted.loc[first:last].to_frame()
    runs.rolling("some_scores", ("2015-06-30", score.assign(segment="test")), pred=score)
    return first, last


@pytest.mark.parametrize("name", ["csi500_enhanced", "csi500_enhanced_huatai"])  # the others differ in names
def test_a_workflow_holds_the_score_of_another_experiment(name, test_days, provider, model_folder, market):
    environment = {"TEST": test_days[0], "END": test_days[1], "SCORES": "some_scores", "BENCHMARK": "SH000300"}
    environment |= {"MEMBERS": "csi300", "RISK": str(model_folder), "QLIB_DATA": str(provider), "ACCOUNT": "3e8"}
    workflow = read_workflow(FILES / f"{name}.yaml", environment)
    assert workflow.inputs == ["some_scores"]
    task = workflow.config["task"]
    task["record"] = task["record"][:-1]  # the page of the factor is tested with other workflows
    recorder = task_train(task, name)
    report = recorder.load_object("portfolio_analysis/report_normal_1day.pkl")
    assert list(report.index) == list(market.calendar[FIRST : LAST + 2])
    assert report["account"].iloc[0] == pytest.approx(3e8)
    assert np.isfinite(report[["return", "bench", "cost", "turnover"]]).all(axis=None)
    # nothing is known on the first day; on the second the index is bought, and a fifth of it or so traded a week
    assert report["turnover"].iloc[0] == 0
    assert report["turnover"].iloc[1] > 0.9
    traded = report["turnover"].iloc[2:]
    assert 5 <= (traded > 0).sum() <= 8
    assert traded.max() <= (0.31 if name.endswith("huatai") else 0.41)


def test_a_workflow_trains_the_score_that_it_holds(provider, model_folder, market, tmp_path):
    train, valid, test = ((f"{market.calendar[place]:%Y-%m-%d}" for place in places) for places in SEGMENTS)
    environment = {"TRAIN": ",".join(train), "VALID": ",".join(valid), "START": f"{market.calendar[80]:%Y-%m-%d}"}
    environment |= dict(zip(("TEST", "END"), test, strict=True)) | {"BENCHMARK": "SH000300", "MEMBERS": "csi300"}
    environment |= {"RISK": str(model_folder), "QLIB_DATA": str(provider), "TE": "0.08"}
    workflow = read_workflow(FILES / "csi500_enhanced_lightgbm.yaml", environment)
    RecordedRuns(tmp_path, provider)
    assert workflow.inputs == []
    assert missing_data(workflow) == ""
    task = workflow.config["task"]
    task["record"] = task["record"][:-1]
    task["record"][-1]["kwargs"]["report"] = False  # and that of the enhancement with the record
    task["model"]["kwargs"] |= {"num_boost_round": 20, "num_threads": 1}
    recorder = task_train(task, workflow.name)
    score = recorder.load_object("pred.pkl")["score"]
    assert score.groupby(level="datetime").std().min() > 0
    years = recorder.load_object("enhancement/years.pkl")
    assert np.isfinite(years.loc["all", ["excess", "tracking_error", "turnover_one_sided"]].astype(float)).all()
    decisions = recorder.load_object("enhancement/decisions.pkl")
    assert set(decisions["day"]) < set(score.index.get_level_values("datetime"))
    assert len(decisions) >= 6


def setting_in(name: str, **environment: str):
    kwargs = read_workflow(FILES / f"{name}.yaml", environment).config["port_analysis_config"]["strategy"]["kwargs"]
    names = ("benchmark", "constraints", "objective", "rebalance", "relax")
    return setting_of(*(kwargs[name] for name in names))


@pytest.mark.parametrize(
    ("name", "index", "te"),
    [("csi300", "SH000300", 0.04), ("csi500", "SH000905", 0.05), ("csi1000", "SH000852", 0.05)],
)
def test_the_constraints_are_the_reports(name, index, te):
    setting = setting_in(f"{name}_enhanced")
    tracking, styles, industries, members, active, turnover = setting.constraints
    assert (setting.benchmark.index, setting.benchmark.members, tracking.limit) == (index, name, te)
    assert (styles.limit, industries.limit, members.share, active.limit) == (0.5, 0.02, 0.8, 0.01)
    assert (turnover.one_sided, turnover.two_sided, setting.rebalance) == (0.2, None, "week")
    assert (setting.objective.buy, setting.objective.sell) == (0.001, 0.002)


def test_the_other_report_limits_size_alone_and_turnover_of_both_sides():
    setting = setting_in("csi500_enhanced_huatai")
    _, styles, _, _, active, turnover = setting.constraints
    assert (styles.limit, styles.by_name, active.limit) == (None, {"size": 0.2}, 0.008)
    assert (turnover.one_sided, turnover.two_sided) == (None, 0.3)
    assert (setting.objective.buy, setting.objective.sell) == (0.002, 0.002)


def test_variables_change_the_limits():
    changed = {"TE": "0.03", "CPCT": "0", "DELTA": "0.1", "REBALANCE": "month", "WEIGHTS": "$csi500_weight"}
    setting = setting_in("csi500_enhanced", **changed)
    tracking, _, _, members, _, turnover = setting.constraints
    assert (tracking.limit, members.share, turnover.one_sided) == (0.03, 0, 0.1)
    assert (setting.rebalance, setting.benchmark.weights) == ("month", "$csi500_weight")

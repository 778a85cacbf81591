"""Backtests of weeks and months, and runs that are analysed after they have finished."""

from __future__ import annotations

import re
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from qlib.contrib.evaluate import risk_analysis
from qlib.model.trainer import task_train

from qlib_ext.analysis.backtest import DAILY, Step, shortest_step
from qlib_ext.analysis.compare.runs import METRICS
from qlib_ext.analysis.compare.table import comparison
from qlib_ext.analysis.finished import analyse
from qlib_ext.analysis.performance import returns_after_cost, since_first_score
from qlib_ext.cli import main
from qlib_ext.recorder.checked import name_of_run
from qlib_ext.recorder.running import at_work_on
from qlib_ext.recorder.runs import find_runs, load
from tests.analysis.tasks import task


@pytest.fixture(scope="module")
def runs(opened, tmp_path_factory):
    """A folder with a run of weeks and one of months, whose workflows have no FactorRecord."""
    folder = tmp_path_factory.mktemp("finished") / "runs"
    opened(folder)
    for step in ("week", "month"):
        made = task(step)
        task_train(made | {"record": made["record"][:-1]}, experiment_name=step)
    return folder


@pytest.fixture(scope="module")
def analysed(runs):
    """The two runs, analysed."""
    found = {}
    for name in ("week", "month"):
        analyse(runs, name, styles=False)
        found[name] = find_runs(f"sqlite:///{runs}/mlflow.db", name)[0]
    return found


@pytest.mark.parametrize(("name", "a_year"), [("week", 252 / 5), ("month", 12)])
def test_backtests_of_longer_steps_are_analysed(runs, analysed, name, a_year):
    run = analysed[name]
    report, score = load(run, f"portfolio_analysis/report_normal_1{name}.pkl")[0], load(run, "pred.pkl")[0]
    held = since_first_score(report, score.index.get_level_values(0).min())
    excess = returns_after_cost(held)["excess_return"]
    expected = risk_analysis(excess, N=a_year, freq=None)["risk"]
    table = load(run, "factor_analysis/performance_by_year.pkl")[0]
    assert table.loc["all", "steps"] == len(held) < 50
    assert table.loc["all", "annual_excess_return"] == pytest.approx(expected["annualized_return"])
    assert table.loc["all", "information_ratio"] == pytest.approx(expected["information_ratio"])
    assert load(run, "factor_analysis/about.pkl")[0]["step"] == f"1{name}"
    compared = comparison(f"sqlite:///{runs}/mlflow.db", [name])
    cells = dict(zip(METRICS, compared.sections[0].rows[0].cells, strict=True))
    assert cells["excess return with cost"].mean == f"{expected['annualized_return']:.2%}"
    assert cells["information ratio"].mean == f"{expected['information_ratio']:.4f}"
    year = {"week": "50 weeks", "month": "12 months"}[name]
    assert any(f"by its year of {year}" in line for line in compared.caveats)
    page = analyse(runs, name, styles=False).read_text(encoding="utf-8")
    assert 'id="figure-strategy"' in page


def test_a_run_is_named_by_its_model_and_the_time(analysed):
    assert re.fullmatch(r"Reversal \d{4}-\d\d-\d\d \d\d:\d\d", analysed["week"].info.run_name)
    rolling = {"class": "RollingModel", "kwargs": {"model": {"class": "qlib_ext.models.gru.GRU"}}}
    assert name_of_run({"model": rolling}, datetime(2026, 1, 2, 3, 4)) == "RollingModel (GRU) 2026-01-02 03:04"


def test_the_figures_that_runs_are_sorted_by_are_metrics(analysed):
    table = load(analysed["week"], "factor_analysis/performance_by_year.pkl")[0].loc["all"]
    metrics = analysed["week"].data.metrics
    for name in ("annual_excess_return", "information_ratio", "excess_max_drawdown"):
        assert metrics[f"strategy.{name}"] == pytest.approx(table[name])
    assert {"factor.rank_ic", "factor.rank_icir"} <= metrics.keys()


def test_differences_of_weeks_are_brought_to_a_year_of_weeks(runs, analysed):
    run = analysed["week"].info.run_id
    store = f"sqlite:///{runs}/mlflow.db"
    lines = comparison(store, ["week", f"week@{run[:6]}"]).caveats
    weeks = len(load(analysed["week"], "factor_analysis/strategy_returns.pkl")[0])
    assert any(f"annual excess return +0.00%, t = not defined, {weeks} steps" in line for line in lines)
    assert not any("steps of the backtest" in line for line in comparison(store, ["week", "month"]).caveats)


def test_the_shortest_step_of_a_day_or_longer_counts():
    names = [f"portfolio_analysis/report_normal_{step}.pkl" for step in ("1month", "1week", "3day", "30min")]
    assert shortest_step(names) == Step(3, "day")
    assert Step.of("1week").a_year == Step(5, "day").a_year == 50.4
    assert shortest_step([*names, "report_normal_1day.pkl"]) == DAILY
    assert shortest_step(["portfolio_analysis/positions_normal_1day.pkl"]) is None
    assert [step.fewest for step in (DAILY, Step(1, "week"), Step(1, "month"))] == [20, 4, 2]


def test_the_command_analyses_one_run_again_and_keeps_its_model(runs, analysed, capsys):
    run = analysed["week"]
    before = (runs / "artifacts/week" / run.info.run_id / "artifacts/params.pkl").read_bytes()
    name = f"week@{run.info.run_id[:8]}"
    label = "Ref($close, -11)/Ref($close, -1) - 1"
    assert main(["analyse", name, "--runs", str(runs), "--label", label, "--lang", "zh"]) == 0
    assert "report.html" in capsys.readouterr().out
    about = load(run, "factor_analysis/about.pkl")[0]
    assert (about["label"], about["horizon"]) == (label, 10)
    page = (runs / "artifacts/week" / run.info.run_id / "artifacts/factor_analysis/report.html").read_text("utf-8")
    assert "<h1>模拟行情：因子测试报告：week</h1>" in page
    assert (runs / "artifacts/week" / run.info.run_id / "artifacts/params.pkl").read_bytes() == before
    again = find_runs(f"sqlite:///{runs}/mlflow.db", "week")[0]
    ic = load(run, "factor_analysis/ic_summary.pkl")[0].loc[("rank_ic_spaced", "all"), "mean"]
    assert np.isfinite(ic)
    assert again.data.metrics["factor.rank_ic"] == pytest.approx(ic)


def test_a_run_at_work_and_one_that_is_not_there_are_named(runs, analysed, capsys):
    with at_work_on(runs, analysed["week"].info.run_id):
        assert main(["analyse", "week", "--runs", str(runs)]) == 2
    assert "Another process works on the run" in capsys.readouterr().err
    assert main(["analyse", "weak", "--runs", str(runs)]) == 2
    assert "Did you mean 'week'?" in capsys.readouterr().err
    assert main(["analyse", "week", "--runs", str(runs), "--data", str(runs)]) == 2
    assert "is no Qlib provider" in capsys.readouterr().err


def test_options_are_those_of_the_runs_own_record(opened, tmp_path):
    opened(tmp_path)
    task_train(task(styles=["VOL20"], rebalance=7), experiment_name="own")
    analyse(tmp_path, "own", rebalance=9)
    run = find_runs(f"sqlite:///{tmp_path}/mlflow.db", "own")[0]
    assert load(run, "factor_analysis/about.pkl")[0]["rebalance"] == 9
    assert list(load(run, "factor_analysis/style_correlation.pkl")[0].index) == ["VOL20"]
    assert isinstance(load(run, "factor_analysis/ic.pkl")[0], pd.DataFrame)

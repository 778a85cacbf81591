"""The grid: its account is that of Qlib's own loop, and what is finished is not run again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import qlib
from qlib.workflow import R

from qlib_ext.cli import main
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.portfolio import grid
from qlib_ext.portfolio.backtest import backtest
from qlib_ext.portfolio.boards import Boards
from qlib_ext.portfolio.grid import GridData, GridJob, grid_jobs, grid_tables, run_grid
from qlib_ext.portfolio.ledger import Costs
from qlib_ext.portfolio.quotes import read_quotes
from qlib_ext.portfolio.setting import setting_of
from qlib_ext.provider.facts import ProviderFacts
from qlib_ext.simulator.simulate import INDEX
from qlib_ext.system.description import Description
from tests.portfolio.conftest import BENCHMARK, CONSTRAINTS

FIRST, LAST = 380, 415
JOBS = [GridJob(INDEX, "csi300", 0.08, one_sided, share) for one_sided, share in ((0.2, 0.8), (0.3, None))]


@pytest.mark.parametrize("lots", [True, False])
def test_it_is_qlibs_account_of_the_same_setting(enhanced, planted, provider, days, market, lots):
    report, strategy = enhanced(planted, FIRST, LAST, lots=lots)
    quotes = read_quotes(provider, *market.calendar[[FIRST, LAST]], lots=lots)
    setting = setting_of(BENCHMARK, CONSTRAINTS)
    boards = Boards() if lots else None
    made = backtest(days, setting, quotes, planted.unstack(), 1e8, Costs(0.001, 0.002), boards, report["bench"])
    assert [each.traded for each in made.decisions] == [each.traded for each in strategy.decisions]
    for ours, qlibs in zip(made.decisions, strategy.decisions, strict=True):
        assert ours.stocks == qlibs.stocks
        np.testing.assert_array_equal(ours.order, qlibs.order)
        np.testing.assert_allclose(ours.shares, qlibs.shares, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(made.report["account"], report["account"], rtol=1e-9)
    for name in ("return", "cost", "turnover", "bench"):
        np.testing.assert_allclose(made.report[name], report[name], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.fixture
def data(provider, model_folder, market, planted) -> GridData:
    first, last = (f"{day:%Y-%m-%d}" for day in market.calendar[[FIRST, LAST]])
    return GridData(str(provider), str(model_folder), first, last, planted.unstack())


def test_a_grid_goes_on_where_it_was(data, tmp_path, monkeypatch):
    one = run_grid(data, JOBS[:1], tmp_path, backend="serial")
    seen = []
    both = run_grid(data, JOBS, tmp_path, backend="serial", progress=lambda *args: seen.append(args))
    assert seen == [(2, 2, "csi300_delta0.3_membersany")]
    pd.testing.assert_frame_equal(both[JOBS[0]]["daily"], one[JOBS[0]]["daily"])
    years, summary = grid_tables(both)
    assert list(years) == list(summary.index) == [str(job) for job in JOBS]
    daily = both[JOBS[1]]["daily"]
    assert years.loc["all", str(JOBS[1])] == pytest.approx((1 + daily["excess"]).prod() - 1)
    assert summary.loc[str(JOBS[0]), "bias"] == both[JOBS[0]]["foreseen"]["outcome"].std()

    def refuse(*args):
        raise AssertionError("a finished setting is run again")

    monkeypatch.setattr(grid, "run_setting", refuse)
    run_grid(data, JOBS, tmp_path, backend="serial")
    with pytest.raises(AssertionError, match="run again"):  # of other costs it is another setting
        run_grid(GridData(**vars(data) | {"sell": 0.0}), JOBS, tmp_path, backend="serial")
    with monkeypatch.context() as patch:
        patch.setattr(Description, "sources", lambda *_: ["other code"])
        with pytest.raises(AssertionError, match="run again"):
            run_grid(data, JOBS, tmp_path, backend="serial")
    (tmp_path / f"{JOBS[0]}.pkl").write_bytes(b"\x80\x04")
    with pytest.raises(AssertionError, match="run again"):
        run_grid(data, JOBS, tmp_path, backend="serial")


@pytest.mark.parametrize("backend", ["loky", pytest.param("ray", marks=pytest.mark.slow)])
def test_settings_in_other_processes_are_those_of_this_one(backend, data, tmp_path, request):
    if backend == "ray":
        request.getfixturevalue("cluster")
    here = run_grid(data, JOBS, tmp_path / "here", backend="serial")
    there = run_grid(data, JOBS, tmp_path / "there", backend=backend, n_jobs=2)
    assert list(there) == JOBS
    for job in JOBS:
        assert there[job].keys() == here[job].keys()
        for name, frame in here[job].items():
            if name != "about":
                pd.testing.assert_frame_equal(there[job][name], frame, rtol=1e-9, atol=1e-12, obj=f"{name} of {job}")


def test_the_settings_of_the_reports():
    jobs = grid_jobs()
    assert len(jobs) == len({*map(str, jobs)}) == 18
    assert {(job.members, job.index, job.tracking_error) for job in jobs} == {
        ("csi300", "SH000300", 0.04),
        ("csi500", "SH000905", 0.05),
        ("csi1000", "SH000852", 0.05),
    }
    for job in jobs:
        names = [constraint.name for constraint in job.setting().constraints]
        assert ("members" in names) == (job.share is not None)
    with pytest.raises(ConfigError, match="not csi800"):
        grid_jobs(["csi800"])


def test_a_day_of_decision_without_a_score_is_named(data, market):
    missing = market.calendar[FIRST : LAST + 1][10:20]
    score = data.score.copy()
    score.loc[missing] = np.nan
    with pytest.raises(DataError, match="no score on 1 days of decision, first"):
        grid.run_setting(GridData(**vars(data) | {"score": score}), JOBS[0])
    with pytest.raises(DataError, match="no score on"):
        grid.run_setting(GridData(**vars(data) | {"score": score * np.nan}), JOBS[0])


def test_the_command_prints_the_tables(data, planted, market, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(grid, "INDEX_OF", {"csi300": INDEX})
    monkeypatch.setattr(grid, "TRACKING_ERRORS", {"csi300": 0.08})
    days = market.calendar[FIRST - 1 : LAST + 1]
    score = planted[planted.index.get_level_values("datetime").isin(days)].to_frame()
    init_runs(data.provider, tmp_path)
    with R.start(experiment_name="planted"):
        R.save_objects(**{"pred.pkl": score})
    options = ["--runs", str(tmp_path), "--data", data.provider, "--risk", data.model, "--out", str(tmp_path / "out")]
    options += ["--indices", "csi300", "--turnover", "0.2", "--backend", "serial"]
    assert main(["enhance", "planted", *options, "--members", "0.8", "any"]) == 0
    printed = capsys.readouterr()
    for name in ("csi300_delta0.2_members0.8", "csi300_delta0.2_membersany", "information_ratio"):
        assert name in printed.out
    assert str(ProviderFacts.of(data.provider)) in printed.out
    assert "2 of 2 settings" in printed.err
    assert main(["enhance", "nobody", *options]) == 2
    with pytest.raises(SystemExit):
        main(["enhance", "planted", *options, "--members", "1.5"])
    assert "at most 1, or any, not '1.5'" in capsys.readouterr().err


def init_runs(provider: str, folder) -> None:
    manager = {
        "class": "SQLiteExpManager",
        "module_path": "qlib_ext.recorder.store",
        "kwargs": {"uri": f"sqlite:///{folder}/mlflow.db", "default_exp_name": "planted"},
    }
    qlib.init(provider_uri=provider, region="cn", kernels=1, logging_level=40, exp_manager=manager)

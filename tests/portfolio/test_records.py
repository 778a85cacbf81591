"""EnhancementRecord in a run of Qlib's on the simulated market: what it saves, logs, draws and refuses."""

from __future__ import annotations

import re
from copy import deepcopy

import numpy as np
import pytest
import qlib
from qlib.workflow import R

from qlib_ext.analysis.report import enhancement
from qlib_ext.analysis.report.drawing import PALETTE
from qlib_ext.analysis.report.page import report
from qlib_ext.analysis.report.texts import LANGUAGES
from qlib_ext.errors import ConfigError
from qlib_ext.portfolio.records import METRICS, EnhancementRecord
from qlib_ext.portfolio.setting import rebalancing_days
from qlib_ext.simulator.simulate import INDEX
from tests.portfolio.conftest import BENCHMARK, CONSTRAINTS

FIRST, LAST = 380, 415


def config_of(model_folder, market, first=FIRST, last=LAST, **strategy) -> dict:
    start, end = (f"{day:%Y-%m-%d}" for day in market.calendar[[first, last]])
    kwargs = {
        "signal": "<PRED>",
        "benchmark": BENCHMARK,
        "constraints": CONSTRAINTS,
        "risk": {"kwargs": {"folder": str(model_folder)}},
    }
    costs = {"open_cost": 0.001, "close_cost": 0.002, "start_time": start, "end_time": end}
    exchange = {"class": "BoardExchange", "module_path": "qlib_ext.portfolio.exchange", "kwargs": costs}
    return {
        "strategy": {
            "class": "IndexEnhancement",
            "module_path": "qlib_ext.portfolio.strategy",
            "kwargs": kwargs | strategy,
        },
        "backtest": {
            "start_time": start,
            "end_time": end,
            "account": 1e8,
            "benchmark": INDEX,
            "exchange_kwargs": {"exchange": exchange},
        },
    }


@pytest.fixture(scope="module")
def run(provider, model_folder, market, planted, tmp_path_factory):
    """The recorder of a finished run, and the store that it lies in."""
    folder = tmp_path_factory.mktemp("runs")
    store = f"sqlite:///{folder}/mlflow.db"
    manager = {
        "class": "SQLiteExpManager",
        "module_path": "qlib_ext.recorder.store",
        "kwargs": {"uri": store, "default_exp_name": "enhanced"},
    }
    qlib.init(provider_uri=str(provider), region="cn", kernels=1, logging_level=40, exp_manager=manager)
    with R.start(experiment_name="enhanced"):
        recorder = R.get_recorder()
        recorder.save_objects(**{"pred.pkl": planted.to_frame("score")})
        EnhancementRecord(recorder, config_of(model_folder, market)).generate()
    return recorder, store


@pytest.fixture(scope="module")
def frames(run):
    recorder, _ = run
    paths = [path for path in recorder.list_artifacts("enhancement") if path.endswith(".pkl")]
    return {path.removeprefix("enhancement/").removesuffix(".pkl"): recorder.load_object(path) for path in paths}


def test_it_saves_what_qlibs_own_record_saves_and_the_tables(run, frames):
    recorder, _ = run
    qlibs = recorder.load_object("portfolio_analysis/report_normal_1day.pkl")
    daily = frames["daily"]
    assert list(daily.index) == list(qlibs.index[1:])  # the account is cash until the first day's purchase
    np.testing.assert_allclose(daily["return"], (qlibs["return"] - qlibs["cost"]).iloc[1:])
    np.testing.assert_allclose(daily["excess"], daily["return"] - qlibs["bench"].iloc[1:])
    np.testing.assert_allclose(frames["effects"].sum(axis=1), daily["excess"], atol=1e-12)
    whole = frames["effects_by_year"].loc["all"]
    assert whole.sum() == pytest.approx((1 + daily["return"]).prod() - (1 + daily["benchmark"]).prod(), abs=1e-12)
    assert frames["years"].loc["all", "excess"] == pytest.approx((1 + daily["excess"]).prod() - 1)
    metrics = recorder.list_metrics()
    for name, (table, row, column) in METRICS.items():
        assert metrics[name] == pytest.approx(frames[table].loc[row, column])


def test_decisions_keep_their_bounds_and_their_risk_adds_up(frames, market):
    decisions = frames["decisions"]
    days = market.calendar[FIRST : LAST + 1]
    assert list(decisions.index) == list(days[rebalancing_days(days, "week")])
    np.testing.assert_allclose(frames["risk"].sum(axis=1), decisions["tracking_error"], rtol=1e-9)
    assert (decisions["tracking_error"] <= 0.08 + 1e-6).all()
    assert (decisions["member_share"] >= 0.8 - 1e-6).all()
    bands = frames["about"]["bands"]
    assert set(bands.values()) == {0.5}
    assert (frames["exposures"][[*bands]].abs() <= 0.5 + 1e-6).all(axis=None)
    assert {"turnover", "tracking_error"} <= set(frames["shadow_prices"])
    holding = frames["holding"].loc["all"]
    assert holding["decisions"] == len(decisions)
    assert holding["bias"] == pytest.approx(frames["foreseen"]["outcome"].std())
    assert 0.3 < holding["bias"] < 3


def test_the_page_shows_the_section_in_both_languages(run):
    recorder, store = run
    assert "enhancement/report.html" in recorder.list_artifacts("enhancement")
    for lang, heading in (("en", "Index enhancement"), ("zh", "指数增强")):
        text = report(store, ["enhanced"], lang=lang)
        assert f"<h2>{heading}</h2>" in text
        pictures = re.findall(r'id="figure-(enhancement-[a-z]+)"', text)
        assert pictures == [
            f"enhancement-{name}" for name in ("values", "exposures", "risk", "holding", "attribution", "prices")
        ]


def test_pictures_are_of_the_frames(frames):
    saved, colours, texts = {"enhanced": frames}, {"enhanced": PALETTE[0]}, LANGUAGES["en"]
    excess = (1 + frames["daily"]["excess"]).cumprod()
    drawn = enhancement.net_values({"enhanced": frames["daily"]}, colours, texts).data
    (drawdown,) = [trace for trace in drawn if trace.fill]
    np.testing.assert_allclose(
        drawdown.y, [excess[:k].iloc[-1] / max(1, excess[:k].max()) - 1 for k in range(1, len(excess) + 1)]
    )
    np.testing.assert_allclose(drawn[2].y, excess)
    lines = enhancement.attribution({"enhanced": frames["effects"]}, texts).data
    np.testing.assert_allclose(sum(trace.y[-1] for trace in lines), frames["daily"]["excess"].sum())
    bands = enhancement.exposures({"enhanced": frames["exposures"]}, {"size": 0.5}, colours, texts)
    assert sorted(shape.y0 for shape in bands.layout.shapes) == [-0.5, 0.5]
    assert len(enhancement.enhancement_part(saved, colours, texts).grids) == 5  # nothing was relaxed
    decisions = frames["decisions"].assign(relaxed=0)
    assert not [line for line in members(decisions, colours, texts) if line.mode == "markers"]
    decisions.iloc[[2, 4], decisions.columns.get_loc("relaxed")] = 1
    (rings,) = [line for line in members(decisions, colours, texts) if line.mode == "markers"]
    assert list(rings.x) == [f"{day:%Y-%m-%d}" for day in decisions.index[[2, 4]]]
    assert list(rings.y) == list(decisions["buys"].iloc[[2, 4]])
    assert not enhancement.enhancement_part({}, {}, texts)


def executor(step: str) -> dict:
    return {"class": "SimulatorExecutor", "module_path": "qlib.backtest.executor", "kwargs": {"time_per_step": step}}


def members(decisions, colours, texts) -> tuple:
    return enhancement.members_and_turnover({"enhanced": decisions}, colours, texts).data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config.pop("strategy"), "has no strategy; write config"),
        (lambda config: config.pop("backtest"), "has no backtest; write config"),
        (lambda config: config["backtest"].pop("benchmark"), "has no benchmark; write the index"),
        (
            lambda config: config["strategy"].update(
                {"class": "TopkDropoutStrategy", "module_path": "qlib.contrib.strategy"}
            ),
            "reports on IndexEnhancement.*not on TopkDropoutStrategy",
        ),
        (lambda config: config.update(executor=executor("week")), "time_per_step is week, .* an account of each day"),
        (lambda config: config.update(executor=executor("day")), "keeps no account; write generate_portfolio_metrics"),
    ],
)
def test_what_it_cannot_report_on_is_refused_when_it_is_made(model_folder, market, change, message):
    config = deepcopy(config_of(model_folder, market))
    change(config)
    with pytest.raises(ConfigError, match=message):
        EnhancementRecord(None, config)


def test_unknown_options_are_refused(model_folder, market):
    with pytest.raises(ConfigError, match="no option 'reprot'; did you mean 'report'"):
        EnhancementRecord(None, config_of(model_folder, market), reprot=True)
    with pytest.raises(ConfigError, match="lang has no option 'de'"):
        EnhancementRecord(None, config_of(model_folder, market), lang="de")

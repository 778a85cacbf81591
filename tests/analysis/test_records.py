"""FactorRecord after SignalRecord and PortAnaRecord, as qrun runs them, on a simulated market."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from qlib.config import C
from qlib.contrib.eva.alpha import calc_ic
from qlib.contrib.evaluate import risk_analysis
from qlib.model.trainer import task_train
from qlib.utils import init_instance_by_config
from qlib.workflow import R
from scipy.stats import spearmanr

from qlib_ext.analysis import records
from qlib_ext.analysis.compare.render import to_text
from qlib_ext.analysis.compare.runs import METRICS
from qlib_ext.analysis.compare.table import comparison
from qlib_ext.analysis.groups import group_test
from qlib_ext.analysis.records import FactorRecord
from qlib_ext.analysis.report.page import report
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.factors.intraday_styles import MINUTE_STYLES
from qlib_ext.factors.styles import DAY_STYLES, fields_of
from qlib_ext.provider.facts import ProviderFacts
from qlib_ext.recorder.provider import provider_of
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.system.files import CHECKSUM
from tests.analysis.tasks import LABEL, task

STRATEGY = {
    *("strategy_returns.pkl", "performance_by_year.pkl", "strategy_costs.pkl", "strategy_account.pkl", "holdings.pkl")
}


@pytest.fixture(scope="module")
def market(forty, opened, tmp_path_factory):
    """The simulated market, with Qlib opened on it and on an empty store of runs."""
    opened(tmp_path_factory.mktemp("factor") / "runs")
    return forty[1]


@pytest.fixture(scope="module")
def run(market):
    """The recorder of a run that compares itself with an earlier one."""
    task_train(task(styles=False), experiment_name="first")
    return task_train(task(compare_with=["first"]), experiment_name="second")


@pytest.fixture(scope="module")
def saved(run):
    return lambda name: run.load_object(f"factor_analysis/{name}.pkl")


def frame(market, values):
    return pd.DataFrame(values, market.calendar, market.symbols)


def test_every_promised_file_is_there(run):
    record = FactorRecord(run, compare_with=["first"])
    record.check(include_self=True)
    there = {name.removeprefix("factor_analysis/") for name in run.list_artifacts("factor_analysis")}
    files = {name for name in there if not name.endswith(CHECKSUM)}
    assert files == {*record.list(), *STRATEGY, "exposures.pkl"}
    assert there - files == {f"{name}{CHECKSUM}" for name in files if name != "report.html"}


def test_the_page_of_the_run_is_the_one_that_the_command_writes_later(run, market):
    page = Path(run.download_artifact("factor_analysis/report.html")).read_text(encoding="utf-8")
    assert page == report(run.uri, ["second"])


@pytest.mark.parametrize(("kwargs", "heading"), [({"lang": "zh"}, "因子测试报告：loose"), ({"report": False}, None)])
def test_the_page_is_an_option(record, signal, kwargs, heading):
    record(signal, label=LABEL, **kwargs)
    (run,) = R.get_exp(experiment_name="loose").list_recorders("list", max_results=1)
    there = run.list_artifacts("factor_analysis")
    if heading is None:
        assert "factor_analysis/ic.pkl" in there
        assert "factor_analysis/report.html" not in there
    else:
        assert heading in Path(run.download_artifact("factor_analysis/report.html")).read_text(encoding="utf-8")


def test_the_ics_are_qlibs(run, saved):
    score, label = run.load_object("pred.pkl").iloc[:, 0], run.load_object("label.pkl").iloc[:, 0]
    ic, rank_ic = calc_ic(score, label)
    daily = saved("ic")
    np.testing.assert_allclose(daily["ic"], ic, atol=1e-12)
    np.testing.assert_allclose(daily["rank_ic"], rank_ic, atol=1e-12)
    np.testing.assert_allclose(daily["rank_ic_cumulative"].dropna().iloc[-1], rank_ic.sum())
    assert daily["spaced"].to_numpy().nonzero()[0].tolist() == list(range(0, len(daily), 5)), "the label's five days"
    summary = saved("ic_summary")
    assert summary.loc[("rank_ic_spaced", "all"), "mean"] == pytest.approx(rank_ic.iloc[::5].mean())
    assert summary.loc[("rank_ic", "2016"), "mean"] == pytest.approx(rank_ic["2016"].mean())
    assert saved("ic_monthly").loc[2015, 9] == pytest.approx(rank_ic["2015-09"].mean())


def test_the_groups_are_those_of_the_closes(run, saved, market):
    score = run.load_object("pred.pkl").iloc[:, 0].unstack("instrument").reindex(columns=market.symbols)
    days = market.calendar[market.calendar >= score.index[0]][: len(score) + 6]
    close = frame(market, market.fields["close"]).ffill().loc[days]
    expected = group_test(score.reindex(days), close, 5)
    pd.testing.assert_frame_equal(saved("group_returns"), expected.returns, check_freq=False, atol=1e-6)
    pd.testing.assert_frame_equal(saved("group_turnover"), expected.turnover, check_freq=False)
    assert len(saved("group_turnover")) == -(-len(score) // 5)
    assert saved("group_years").index.tolist() == [2015, 2016]
    assert saved("group_summary").loc[1:5, "turnover"].between(0.4, 1).all(), (
        "yesterday's return is forgotten in a week"
    )


def test_the_strategy_is_the_backtest_after_cost(run, saved):
    report = run.load_object("portfolio_analysis/report_normal_1day.pkl")
    table = saved("performance_by_year")
    assert list(table.index) == ["all", "2015", "2016"]
    assert (report["value"].iloc[:2] > 0).tolist() == [False, True], "on the first day nothing is held"
    held = report.iloc[1:]
    analysis = risk_analysis(held["return"] - held["cost"] - held["bench"], freq="day")["risk"]
    assert table.loc["all", "annual_excess_return"] == pytest.approx(analysis["mean"] * 252)
    assert table.loc["all", "excess_max_drawdown"] == pytest.approx(analysis["max_drawdown"])
    assert table.loc["all", "steps"] == len(held)
    np.testing.assert_allclose(saved("strategy_returns")["return"], held["return"] - held["cost"])


def test_the_comparison_counts_the_days_since_the_first_score_and_says_what_qlib_counts(run):
    report = run.load_object("portfolio_analysis/report_normal_1day.pkl")
    with_cost = (report["return"] - report["bench"] - report["cost"]).iloc[1:]
    table = comparison(run.uri, ["second"])
    figures = dict(zip(METRICS, table.sections[0].rows[0].cells, strict=True))
    assert figures["excess return with cost"].mean == f"{with_cost.mean() * 252:.2%}"
    assert figures["information ratio"].mean == f"{with_cost.mean() / with_cost.std() * np.sqrt(252):.4f}"
    logged = run.list_metrics()["1day.excess_return_with_cost.annualized_return"]
    assert figures["excess return with cost"].mean != f"{logged:.2%}"
    (line,) = [line for line in table.caveats if "Qlib's own figures" in line]
    assert "by its year of 238 days and of all days" in line
    assert f"excess return with cost {logged:.2%}" in line


def test_the_run_names_its_provider_and_that_it_was_simulated(run, market):
    facts = provider_of(run.client.get_run(run.id))
    folder = C.dpm.get_data_uri("day")
    assert facts == ProviderFacts(str(folder), "2014-09-01", f"{market.calendar[-1]:%Y-%m-%d}", 420, 40, True)
    table = comparison(run.uri, ["first", "second"])
    assert to_text(table).startswith("SIMULATED: all, test 2015")
    assert f"provider: SIMULATED {folder}, 2014-09-01 to {facts.last}, 420 days, 40 stocks" in table.caveats
    page = Path(run.download_artifact("factor_analysis/report.html")).read_text(encoding="utf-8")
    assert "<h1>SIMULATED: Factor report: second</h1>" in page
    assert str(facts) in page


def test_published_rows_do_not_stand_beside_simulated_ones(run):
    with pytest.raises(DataError, match="second ran on a SIMULATED market"):
        comparison(run.uri, ["second"], with_zoo=True)


def test_scores_and_styles_are_correlated(saved):
    scores, styles = saved("score_correlation"), saved("style_correlation")
    np.testing.assert_allclose(scores, np.ones((2, 2)))
    assert list(scores.index) == ["second", "first"]
    assert list(styles.index) == list(DAY_STYLES)
    assert styles["second"].equals(styles["first"].rename("second"))
    assert styles.loc["RET20", "second"] < -0.1, "a score against the last return is one against the last twenty"
    assert saved("about")["left_out"] == dict.fromkeys(MINUTE_STYLES, "the provider has no bars of 15, 5 or 1 minutes")


@pytest.mark.parametrize("name", ["CGO60", "DWF", "VOL20", "mom_20d_120d"])
def test_styles_of_the_first_days_know_the_days_before(run, saved, market, name):
    bars = [frame(market, market.fields[field]) for field in fields_of(DAY_STYLES[name])]
    score = run.load_object("pred.pkl").iloc[:, 0].unstack("instrument").reindex(columns=market.symbols)
    daily = DAY_STYLES[name](*bars).loc[score.index].corrwith(score, axis=1, method="spearman")
    assert saved("style_correlation").loc[name, "second"] == pytest.approx(daily.mean(), abs=2e-4)


def test_what_was_done_is_named(run, saved):
    about, metrics = saved("about"), run.list_metrics()
    assert (about["horizon"], about["groups"], about["price"], about["rebalance"]) == (5, 5, "$close", 5)
    assert about["days"] == len(saved("ic"))
    assert about["experiment"] == "second"
    assert metrics["factor.rank_ic"] == pytest.approx(saved("ic_summary").loc[("rank_ic_spaced", "all"), "mean"])
    assert metrics["factor.top_turnover"] == pytest.approx(saved("group_summary").loc[1, "turnover"])
    assert len([name for name in metrics if name.startswith("factor.")]) == 10


@pytest.fixture
def record(market):
    """A record of scores and labels given as frames, in a run of its own."""

    def of(score, saved=None, **kwargs):
        with R.start(experiment_name="loose"):
            recorder = R.get_recorder()
            recorder.save_objects(**{"pred.pkl": score.stack().rename_axis(NAMES).to_frame("score")})
            if saved is not None:
                recorder.save_objects(
                    **{"label.pkl": saved.stack(future_stack=True).rename_axis(NAMES).to_frame("LABEL0")}
                )
            return FactorRecord(recorder, **{"styles": False} | kwargs).generate()

    return of


NAMES = ["datetime", "instrument"]


@pytest.fixture
def signal(market):
    return frame(market, market.signal).loc["2016-01-01":"2016-03-31"]


def test_an_expression_stands_in_for_the_saved_label(record, signal, market):
    results = record(signal, label="Ref($vwap, -2)/Ref($vwap, -1) - 1")
    ours = results["ic_summary.pkl"].loc[("rank_ic_spaced", "all"), "mean"]
    theirs = signal.corrwith(frame(market, market.label), axis=1, method="spearman").mean()
    assert ours == pytest.approx(theirs, abs=1e-3)
    assert ours > 0.02, "the planted signal is found"
    assert results["about.pkl"]["horizon"] == 1
    assert "performance_by_year.pkl" not in results, "there was no backtest"


def test_a_score_is_tested_inside_indices(record, signal):
    results = record(signal, label=LABEL, universes=["csi300", "csi500"])
    found = results["index_tests.pkl"].loc["csi300"]
    assert found.loc["all", "stocks"] < signal.count(axis=1).median(), "the members alone"
    assert list(results["about.pkl"]["left_out"]) == ["csi500"]
    (run,) = R.get_exp(experiment_name="loose").list_recorders("list", max_results=1)
    assert run.list_metrics()["factor.csi300.rank_ic"] == found.loc["all", "rank_ic"]
    page = Path(run.download_artifact("factor_analysis/report.html")).read_text(encoding="utf-8")
    assert "Inside indices" in page
    assert "without csi500, because The universe" in page


def test_holdings_are_valued_beyond_the_last_score(record, signal, market):
    returns = record(signal, label=LABEL)["group_returns.pkl"]
    after = market.calendar[market.calendar > signal.index[-1]][:6]
    assert list(returns.index[-6:]) == list(after)
    assert returns.iloc[2:].notna().all(axis=None)


def test_a_stock_suspended_from_before_the_first_score_carries_its_last_price(record, market):
    close = frame(market, market.fields["close"])
    halted = close.isna() & close.shift(1).isna() & close.ffill().notna()
    stock = halted.loc["2016-01-01":"2016-03-31"].any().idxmax()
    start = close.index.get_loc(halted.loc["2016-01-01":, stock].idxmax()) - 1
    score = frame(market, market.fields["float_mv"]).iloc[start : start + 12]
    assert score[stock].notna().all()
    assert close[stock].iloc[start : start + 2].isna().all()
    returns = record(score, label=LABEL)["group_returns.pkl"]
    expected = group_test(score.reindex(returns.index), close.ffill().loc[returns.index], 5).returns
    pd.testing.assert_frame_equal(returns, expected, check_freq=False, atol=1e-6)


def test_a_universe_of_more_stocks_is_cut_into_twenty(record, signal, monkeypatch):
    assert record(signal, label=LABEL)["about.pkl"]["groups"] == 5
    monkeypatch.setattr(records, "WHOLE_MARKET", 30)
    assert list(record(signal, label=LABEL)["group_turnover.pkl"].columns) == list(range(1, 21))


def test_one_day_of_scores_has_no_icir(record, signal):
    results = record(signal.iloc[:1], label=LABEL)
    (run,) = R.get_exp(experiment_name="loose").list_recorders("list", max_results=1)
    assert np.isnan(run.list_metrics()["factor.rank_icir"])
    assert np.isfinite(run.list_metrics()["factor.rank_ic"])
    assert results["group_returns.pkl"].iloc[2:].notna().all(axis=None)


def test_later_scores_move_no_earlier_return(record, signal, market):
    whole = record(signal, label=LABEL)["group_returns.pkl"]
    early = record(signal.iloc[:30], label=LABEL)["group_returns.pkl"]
    pd.testing.assert_frame_equal(whole.iloc[:31], early.iloc[:31])


def test_infinite_scores_and_empty_labels_are_named(record, signal):
    infinite = signal.copy()
    infinite.iloc[3, signal.columns.get_loc(signal.iloc[3].first_valid_index())] = -np.inf
    with pytest.raises(DataError, match="score is infinite in 1 of"):
        record(infinite, label=LABEL)
    with pytest.raises(DataError, match=r"label has .* rows and none is a number"):
        record(signal, signal.fillna(0) * np.nan, horizon=1)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "horizon is not known: give FactorRecord dataset: <DATASET>, horizon"),
        ({"horizon": 0}, "horizon is at least 1, not 0"),
        ({"label": LABEL, "groups": 0}, "groups is at least 2"),
        ({"label": LABEL, "compare_with": ["loose"]}, "own experiment 'loose'"),
    ],
)
def test_settings_that_make_no_sense_are_named(record, signal, kwargs, message):
    with pytest.raises(ConfigError, match=message):
        record(signal, **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"horizon": 1}, "saved no label"),
        ({"label": "$nothing / Ref($nothing, -1)"}, "has no number"),
        ({"label": LABEL, "price": "$nothing"}, r"provider has no \$nothing"),
        ({"label": LABEL, "groups": 41}, "forms 41 groups"),
    ],
)
def test_settings_that_the_data_do_not_allow_are_named(record, signal, kwargs, message):
    with pytest.raises(DataError, match=message):
        record(signal, **kwargs)


def test_an_experiment_to_compare_with_that_has_no_score_is_left_out_with_the_reason(record, signal, run):
    results = record(signal, label=LABEL, compare_with=["nowhere", "first"], report=True)
    assert list(results["score_correlation.pkl"].index) == ["loose", "first"]
    (part,) = results["about.pkl"]["left_out"].items()
    assert part[0] == "nowhere"
    assert "no experiment 'nowhere'" in part[1]
    (last,) = R.get_exp(experiment_name="loose").list_recorders("list", max_results=1)
    page = Path(last.download_artifact("factor_analysis/report.html")).read_text(encoding="utf-8")
    assert "loose: without nowhere, because There is no experiment" in page


def test_the_risk_factors_of_a_score(record, signal, market, tmp_path):
    """Each day's regression by statsmodels, the Rank IC of its residuals by scipy."""
    results = record(signal, label=LABEL, risk={"kwargs": {"folder": str(tmp_path)}})
    model, close = StyleRiskModel.read(tmp_path), frame(market, market.fields["close"])
    label = close.shift(-6) / close.shift(-1) - 1
    found, exposures = results["risk_ic.pkl"], results["risk_exposures.pkl"]

    def enough(day):
        x = model.exposures(day)
        x = x.loc[x.index.intersection(signal.loc[day].dropna().index)]
        return len(x) >= 2 * (x != 0).any().sum()

    covered = [day for day in signal.index[::5] if enough(day)]
    assert list(found.index) == covered == list(exposures.index)
    assert len(covered) > 5
    assert exposures.columns[0] == "size"
    assert exposures.columns[-1].startswith("industry_")
    for day, row in found.iterrows():
        x, s = model.exposures(day), signal.loc[day].dropna()
        x = x.loc[x.index.intersection(s.index)]
        fit = sm.OLS((s - s.mean()).loc[x.index], x).fit()
        both = pd.DataFrame({"left": fit.resid, "own": s[x.index], "label": label.loc[day]}).dropna()
        assert row["rank_ic"] == pytest.approx(spearmanr(both["own"], both["label"])[0], abs=1e-6)
        assert row["rank_ic_neutral"] == pytest.approx(spearmanr(both["left"], both["label"])[0], abs=1e-6)
        assert row["explained"] == pytest.approx(1 - fit.ssr / (s[x.index] - s[x.index].mean()).var(ddof=0) / len(x))
        assert row["stocks"] == len(x)
        assert exposures.loc[day, "size"] == pytest.approx(s[x.index].corr(x["size"]))
    assert (found["rank_ic"] - found["rank_ic_neutral"]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("risk", "reason"),
    [
        ({}, "is not as it was written"),
        ({"module_path": "no.such"}, "No module named 'no'"),
        ({"class": "No"}, "no attribute 'No'"),
    ],
)
def test_a_risk_model_that_cannot_be_read_is_left_out_with_the_reason(record, signal, tmp_path, risk, reason):
    (tmp_path / "about.json").write_text("{")
    results = record(signal, label=LABEL, risk={"kwargs": {"folder": str(tmp_path)}} | risk, report=False)
    assert "risk_ic.pkl" not in results
    assert reason in results["about.pkl"]["left_out"]["risk factors"]


class Weighing:
    """A model whose networks count otherwise every day."""

    def state_weights(self, days):
        shares = np.linspace(0, 1, len(days))
        return pd.DataFrame({"$industry": shares, "financial": 1 - shares}, days)


def test_the_weights_of_a_models_networks_are_kept_and_drawn(record, signal):
    results = record(signal, label=LABEL, model=Weighing())
    pd.testing.assert_frame_equal(results["state_weights.pkl"], Weighing().state_weights(signal.index))
    (last,) = R.get_exp(experiment_name="loose").list_recorders("list", max_results=1)
    page = Path(last.download_artifact("factor_analysis/report.html")).read_text(encoding="utf-8")
    assert "Weights by the market&#39;s state" in page
    assert "figure-networks" in page
    assert "state_weights.pkl" not in record(signal, label=LABEL, model=object(), report=False)


def test_infinite_labels_count_as_missing(record, signal, market):
    label = frame(market, market.label).reindex_like(signal)
    day, stock = 3, label.columns.get_loc(label.iloc[3].first_valid_index())
    infinite, missing = label.copy(), label.copy()
    infinite.iloc[day, stock], missing.iloc[day, stock] = np.inf, np.nan
    ours, expected = (record(signal, each, horizon=1)["ic.pkl"] for each in (infinite, missing))
    pd.testing.assert_frame_equal(ours, expected)


def test_scores_that_never_differ_are_named(record, signal):
    with pytest.raises(DataError, match=r"Rank IC is not defined on any of the \d+ days from 2016-01-04"):
        record(signal * 0 + 1, label=LABEL)


def test_labels_of_other_days_are_named(record, signal):
    label = signal.set_axis(signal.index + pd.DateOffset(years=3))
    with pytest.raises(DataError, match="No stock has both a score and a label"):
        record(signal, label, horizon=1)


def test_scores_of_days_without_trading_are_named(record, signal):
    sunday = signal.rename(index={signal.index[5]: pd.Timestamp("2016-01-10")}).sort_index()
    with pytest.raises(DataError, match="1 days with scores are no trading days, first 2016-01-10"):
        record(sunday, label=LABEL)


@pytest.mark.parametrize(
    ("kwargs", "nearest"), [({"group": 5}, "groups"), ({"styles": ["VOL2"]}, "VOL20"), ({"lang": "zn"}, "zh")]
)
def test_a_misspelt_option_is_answered_with_the_nearest(kwargs, nearest):
    with pytest.raises(ConfigError, match=f"did you mean '{nearest}'"):
        FactorRecord(None, **kwargs)


OFFERED = {"model": object(), "dataset": object()}  # what Qlib's trainer offers to every record
RECORD = {"class": "FactorRecord", "module_path": "qlib_ext.analysis.records"}


@pytest.mark.parametrize("own", [{}, {"dataset": None}])
def test_it_is_built_as_qlibs_trainer_builds_records(own):
    record = init_instance_by_config(RECORD | {"kwargs": own}, recorder=None, try_kwargs=OFFERED)
    assert record.dataset is own.get("dataset", OFFERED["dataset"])
    for wrong in (own | {"rebalence": 5}, {"rebalence": 5}):
        with pytest.raises(ConfigError, match="no option 'rebalence'; did you mean 'rebalance'"):
            init_instance_by_config(RECORD | {"kwargs": wrong}, recorder=None, try_kwargs=OFFERED)


def test_existing_results_are_not_made_again(run, monkeypatch):
    record = FactorRecord(run, skip_existing=True, compare_with=["first"])
    monkeypatch.setattr(FactorRecord, "_generate", lambda self: pytest.fail("made again"))
    assert record.generate() is None

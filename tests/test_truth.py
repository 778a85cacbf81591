"""``python -m benchmarks.truth``: from a training to its row, a run that was stopped goes on, the table of two rows."""

from __future__ import annotations

import argparse
import dataclasses
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import ndtri

from benchmarks import truth, truth_scores
from benchmarks.gpu import truth as gpu_truth
from benchmarks.truth_runs import COMBINATIONS, LABELS, RUNS, Dates, Job, Run, configuration, digest, jobs_of
from benchmarks.truth_table import Line, Scores, mean_of_ranks, paired, summary
from benchmarks.truth_train import REACH, learnt_rows, of_valid, write_parquet
from qlib_ext.cross_section.ic import daily_rank_ic
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.recorder.out_of_sample import score_of
from qlib_ext.recorder.runs import find_runs
from qlib_ext.simulator.simulate import write_market

DATES = Dates("2009-01-05", "2011-01-01", "2011-03-31", (2010,))
TINY = {"hidden_size": 4, "num_layers": 1}
NET = Run("net", 1, "market_day_gru", "normal scores", TINY, kept=True)
TREES = Run("trees", 2, "csi300_lightgbm", model={"lambda_l1": 0.0, "lambda_l2": 0.0}, kept=True)


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth")
    assert write_market(folder / "provider", stocks=30, days=580, seed=3, start="2009-01-05")
    return argparse.Namespace(
        data=str(folder / "provider"),
        scores=folder / "scores",
        results=folder / "truth.csv",
        start=DATES.start,
        end=DATES.end,
    )


def jobs(*runs: Run):
    return list(jobs_of(runs, DATES, epochs=1))


@pytest.fixture(scope="module")
def stopped(options):
    """Two runs, the second of which was stopped as it began."""
    starts = []

    def until_stopped(function, *arguments):
        starts.append(arguments[0])
        if len(starts) == 3:  # the rows, the first training
            raise KeyboardInterrupt
        return whole(function, *arguments)

    whole = truth.in_fresh_process
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(truth, "in_fresh_process", until_stopped)
        with pytest.raises(KeyboardInterrupt):
            truth.run_missing(jobs(NET, TREES), options)
    return options.results.read_text()


def test_a_run_that_was_stopped_goes_on(options, stopped, capsys):
    first = pd.read_csv(options.results)
    assert list(first["run"]) == ["net"]
    assert "1 of 2 runs are missing" in truth.missing_text(jobs(NET, TREES), options)
    assert truth.run_missing(jobs(NET, TREES), options) == 0
    assert options.results.read_text().splitlines()[1] == stopped.splitlines()[1]
    rows = pd.read_csv(options.results)
    assert list(rows["run"]) == ["net", "trees"]
    kept = ["valid_rank_ic", "valid_icir", "test_rank_ic", "test_icir", "test_2011_rank_ic", "test_csi300_icir"]
    assert np.isfinite(rows[[*kept, "valid_top", "test_top", "seconds", "peak_gb"]]).all(axis=None)
    assert (rows["provider"] == "provider").all()
    assert truth.missing(jobs(NET, TREES), options) == []


def test_another_configuration_is_another_training(options, stopped):
    other = Run("net", 1, "market_day_gru", "ranked", TINY, kept=True)
    assert truth.missing(jobs(other), options)


def test_the_figures_of_a_row_are_those_of_its_scores(options, stopped):
    (job,) = jobs(NET)
    folder = truth.scores_of(options.scores, options.data)
    score = pd.read_parquet(folder / job.file)["score"]
    rows = pd.read_parquet(next(folder.glob("rows_*.parquet")))
    both = pd.concat([score, rows["label"]], axis=1, join="inner")
    days = both.loc[both.index.get_level_values("datetime") >= job.dates.test].groupby(level="datetime")
    ic = days.apply(lambda day: day["score"].corr(day["label"], method="spearman"))
    row = pd.read_csv(options.results).iloc[0]
    assert row["test_rank_ic"] == pytest.approx(ic.mean(), rel=1e-4)
    assert row["test_icir"] == pytest.approx(ic.mean() / ic.std(), rel=1e-4)


def test_the_table_holds_two_rows_to_the_same_days_and_stocks(options, stopped):
    assert truth.run_missing(jobs(NET, TREES), options) == 0
    text = summary(truth.read_results(options.results), options.scores, options.data, (NET, TREES), DATES, "net")
    lines = text.splitlines()
    assert lines[2].startswith("| net | DayBars | normal scores |")
    assert lines[3].startswith("| trees | Alpha158vwap | ranked |")
    assert "±" not in lines[2]
    assert lines[3].count("±") == 2
    folder = truth.scores_of(options.scores, options.data)
    scores = [pd.read_parquet(folder / job.file)["score"] for job in jobs(NET, TREES)]
    label = pd.read_parquet(next(folder.glob("rows_*.parquet")))["label"]
    common = scores[0].index.intersection(scores[1].index).intersection(label.index)
    common = common[common.get_level_values("datetime") >= DATES.test]
    for line, score in zip(lines[2:], scores, strict=False):
        assert f"{daily_rank_ic(score.reindex(common), label).mean():.4f}" in line
    assert f"{len(common):,} rows" in text


def test_a_table_of_folds_without_rows_is_refused(options, stopped):
    with pytest.raises(DataError, match="No run has rows of all of the folds"):
        summary(truth.read_results(options.results), options.scores, options.data, (NET,), Dates(folds=(2013,)), "net")


def test_the_paired_standard_error_is_statsmodels():
    random = np.random.default_rng(0)
    days = pd.bdate_range("2020-01-01", periods=400)
    own, other = (pd.Series(random.standard_normal(400), days).rolling(10).mean() for _ in range(2))
    difference = (own - other).dropna()
    options = {"maxlags": REACH, "use_correction": False}
    expected = sm.OLS(difference, np.ones(len(difference))).fit(cov_type="HAC", cov_kwds=options)
    assert paired(own, other) == pytest.approx((expected.params.iloc[0], expected.bse.iloc[0]), rel=1e-12)


def test_ranks_are_added_over_the_stocks_that_all_know():
    days = pd.to_datetime(["2020-01-01", "2020-01-02"])
    first = pd.DataFrame([[3.0, 1.0, 2.0, 9.0], [1.0, 2.0, 3.0, 4.0]], days, list("ABCD"))
    second = pd.DataFrame([[10.0, 30.0, 20.0], [5.0, 5.0, 4.0]], days, list("ABC"))
    second.loc["2020-01-01", "C"] = np.nan
    expected = [[3 / 4, 3 / 4, np.nan], [3.5 / 6, 4.5 / 6, 4 / 6]]
    pd.testing.assert_frame_equal(mean_of_ranks([first, second]), pd.DataFrame(expected, days, list("ABC")))


def test_every_fifth_training_day_is_learnt_and_every_later_one():
    days = pd.bdate_range("2020-01-01", periods=40)
    index = pd.MultiIndex.from_product([days, ["A", "B"]], names=["datetime", "instrument"])
    learnt = learnt_rows(index, (f"{days[0]}", f"{days[19]}")).unique("datetime")
    assert list(learnt) == [*days[:20:5], *days[20:]]


def test_no_label_of_a_validation_year_reaches_into_the_next():
    days = pd.bdate_range("2019-12-01", "2021-01-31")
    own = of_valid(pd.DataFrame({"A": 0.0}, days), 2020).index
    assert own[0] == pd.Timestamp("2020-01-01")
    assert days[days.get_loc(own[-1]) + REACH].year == 2020
    assert days[days.get_loc(own[-1]) + REACH + 1].year == 2021


def test_the_table_of_runs_is_sound():
    names = [run.name for run in RUNS]
    assert len(set(names)) == len(names)
    assert {run.label for run in RUNS} == set(LABELS)
    assert {member for members in COMBINATIONS.values() for member in members} <= set(names)
    every = list(jobs_of(RUNS, Dates()))
    assert len({job.file for job in every}) == len({digest(job) for job in every}) == len(every)
    assert {job.run.stage for job in every[:16]} == {1}
    for job in every:
        segments = configuration(job)[1]["kwargs"]["segments"]
        assert ("test" in segments) == job.tested == (job.run.kept and (job.run.yearly or job.fold == 2016))
        assert segments["train"] == (job.start, f"{job.fold - 1}-12-31")


def test_a_run_of_each_year_tests_the_year_after_its_validation():
    run = Run("yearly", 1, "market_day_gru", kept=True, yearly=True)
    segments = [configuration(job)[1]["kwargs"]["segments"] for job in jobs_of([run], Dates())]
    assert [own["test"][0][:4] for own in segments] == ["2017", "2018", "2019", "2020", "2021"]
    assert segments[2] == {
        "train": ("2012-01-01", "2017-12-31"),
        "valid": ("2018-01-01", "2018-12-31"),
        "test": ("2019-01-01", "2019-12-31"),
    }


def test_the_test_of_each_year_is_put_together(tmp_path):
    run = Run("yearly", 1, "csi300_lightgbm", kept=True, yearly=True)
    dates = dataclasses.replace(DATES, end="2012-12-31")
    two = list(jobs_of([run], dates))
    days = pd.bdate_range("2010-01-01", "2012-12-31")
    index = pd.MultiIndex.from_product([days, ["A", "B"]], names=["datetime", "instrument"])
    for job in two:
        own = pd.Series(float(job.fold), index, name="score")
        write_parquet(own[f"{job.fold}" : job.test[1]].to_frame(), tmp_path / job.file)
    known = pd.DataFrame({"run": "yearly", "fold": [job.fold for job in two], "seed": 0, "test_rank_ic": 0.1})
    (score,) = Scores(tmp_path, known, dates).test(Line("yearly", (run,), ("", "", "mse")))
    assert score.eq(score.index.year - 1, axis=0).all(axis=None)
    assert sorted(set(score.index.year)) == [2011, 2012]
    assert Scores(tmp_path, known[:1], dates).test(Line("yearly", (run,), ("", "", "mse"))) == []


def test_a_commit_that_looks_like_a_number_stays_as_it_is(tmp_path):
    row = {"run": "net", "fold": 2010, "seed": 0, "provider": "p", "configuration": "12e4", "commit": "9390e87"}
    for seed in (0, 1):
        truth.record(tmp_path / "truth.csv", row | {"seed": seed})
    assert (
        truth.read_results(tmp_path / "truth.csv")[["configuration", "commit"]].eq(["12e4", "9390e87"]).all(axis=None)
    )


def test_a_name_that_is_no_run_is_refused():
    with pytest.raises(ConfigError, match="There is no run 'GRU'"):
        truth.chosen(RUNS, ["GRU"])


def test_levels_of_a_gpu_machine_become_the_rows_and_scores_of_here(options, stopped, tmp_path):
    rows = truth.scores_of(options.scores, options.data) / f"rows_{DATES.start}_{DATES.end}.parquet"
    there = argparse.Namespace(out=tmp_path / "out", n_jobs=1)
    (job,) = jobs(NET)
    gpu_truth.run_until(time.monotonic() + 600, [job], options.data, rows.rename(tmp_path / rows.name), there)
    (tmp_path / rows.name).rename(rows)
    own, taken = pd.read_parquet(rows.with_name(job.file))["score"], tmp_path / "taken.csv"
    gpu_truth.take(there.out, options.data, options.scores, taken, [NET], DATES)
    levels = pd.read_parquet(rows.with_name(job.file))["score"]
    by_day = own.groupby("datetime")
    expected = (by_day.rank() - 1) * gpu_truth.LEVELS // by_day.transform("count")
    pd.testing.assert_series_equal(levels, expected.astype(np.float32))
    columns = ["run", "configuration", "valid_rank_ic", "test_rank_ic", "test_top"]
    here = pd.read_csv(options.results).head(1)
    pd.testing.assert_frame_equal(pd.read_csv(taken)[columns], here[columns])


def test_kept_scores_become_an_experiment(small, tmp_path):
    random, names = np.random.default_rng(0), [f"SH{600001 + number}" for number in range(12)]
    own, rows = {}, []
    for place, (run, seed) in enumerate([(NET, 0), (NET, 1), (TREES, 0)]):
        index = pd.MultiIndex.from_product([pd.bdate_range("2010-12-01", "2011-01-31"), names[place:]])
        index = index.set_names(["datetime", "instrument"])
        own[run.name, seed] = pd.Series(random.standard_normal(len(index)), index, name="score")
        own[run.name, seed].to_frame().to_parquet(tmp_path / Job(run, 2010, seed, DATES).file)
        rows.append({"run": run.name, "fold": 2010, "seed": seed, "test_rank_ic": 0.1})
    scores = Scores(tmp_path, pd.DataFrame(rows), DATES)
    truth_scores.start_recorder(str(small[0]), tmp_path / "runs")
    truth_scores.record("both", truth_scores.normal_scores(scores, [NET, TREES]), Job(NET, 2010, 0, DATES))

    trees = own["trees", 0]
    by_seed = [own["net", seed].reindex(own["net", 1].index).groupby("datetime").rank(pct=True) for seed in (0, 1)]
    net = sum(by_seed).reindex(trees.index)
    both = sum(score.groupby("datetime").rank(pct=True) for score in (net, trees)).loc[DATES.test :]
    days = both.groupby("datetime")
    expected = ndtri((days.rank() - 0.5) / days.transform("count"))
    uri = f"sqlite:///{tmp_path}/runs/mlflow.db"
    read = score_of(uri, find_runs(uri, "both")[0], "both", ["test"])["both"]
    assert len(read) == len(expected)
    np.testing.assert_allclose(read.reindex(expected.index), expected)
    with pytest.raises(DataError, match="other has no row with a test"):
        truth_scores.normal_scores(scores, [dataclasses.replace(NET, name="other")])


def test_bundles_are_small_enough_to_travel(tmp_path, monkeypatch):
    index = pd.MultiIndex.from_product([pd.date_range("2020-01-06", periods=40), range(20)])
    score = pd.Series(np.random.default_rng(0).normal(size=800), index.set_names(["datetime", "instrument"]))
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    for file in files:
        score.to_frame("score").to_parquet(file)
    gpu_truth.add_to_bundle(tmp_path, files[0], {"run": 0})
    (first,) = tmp_path.glob("*.zip")
    monkeypatch.setattr(gpu_truth, "MOST_BYTES", 2.5 * first.stat().st_size)
    for number in (1, 2):
        gpu_truth.add_to_bundle(tmp_path, files[number], {"run": number})
    bundles = sorted(tmp_path.glob("*.zip"))
    assert [len(zipfile.ZipFile(bundle).namelist()) for bundle in bundles] == [2, 1]
    assert all(bundle.stat().st_size < gpu_truth.MOST_BYTES for bundle in bundles)

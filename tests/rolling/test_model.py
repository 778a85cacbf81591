"""RollingModel as qrun uses it: the joined scores are those of the plain model, trained by hand on each window."""

from __future__ import annotations

import datetime
import pickle
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from qlib.contrib.model.gbdt import LGBModel
from qlib.contrib.model.linear import LinearModel
from qlib.contrib.model.pytorch_gru_ts import GRU as ZooGRU
from qlib.model.base import Model
from qlib.workflow import R

from qlib_ext.analysis.compare.runs import read_runs
from qlib_ext.cross_section.zscore import mean_of_zscores
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import ConfigError, DataError, NotFittedError, SegmentError, TrainingError
from qlib_ext.models.gru import GRU
from qlib_ext.rolling import RollingModel
from qlib_ext.system.random_states import random_states
from qlib_ext.testing.rows import random_rows
from tests.rolling.cases import DAYS, TEST, Returns, dataset_of, handler_of, rolling
from tests.rolling.test_rows import ON_TIME, RANKED, TIMES, fitted_on

LENGTHS = {"train": "60D", "valid": "20D", "step": "25D"}
TESTED = (datetime.date(2015, 7, 1), datetime.date(2015, 9, 8))  # as YAML reads them; two windows of 25 trading days
SMALL_LGB = {"loss": "mse", "num_threads": 1, "num_leaves": 7, "num_boost_round": 12, "feature_fraction": 0.5}
SMALL_GRU = {"n_epochs": 2, "hidden_size": 4, "num_factors": 3, "days_per_batch": 4, "GPU": -1, "metric": "rank_ic"}
MODELS = {
    "LGBModel": (LGBModel, "qlib.contrib.model.gbdt", SMALL_LGB),
    "GRU": (GRU, "qlib_ext.models.gru", SMALL_GRU),
}
GRU_CONFIG = {"class": "GRU", "module_path": "qlib_ext.models.gru"}


def market_dataset(segments: dict, fit: tuple) -> CrossSectionDataset:
    processors = {"infer_processors": ON_TIME, "learn_processors": RANKED}
    return CrossSectionDataset(Returns(**TIMES, **processors, **fitted_on(*fit)), segments)


@pytest.fixture(scope="module", params=MODELS)
def done(request, bench_in, tmp_path_factory):
    """A run of two windows and two seeds on the simulated market, in processes: bench, model, dataset, run, name."""
    bench = bench_in(tmp_path_factory.mktemp(request.param) / "bench")
    klass, module, kwargs = MODELS[request.param]
    config = {"class": klass.__name__, "module_path": module, "kwargs": kwargs}
    dataset = market_dataset({"test": TESTED}, TESTED)
    backend = "serial" if request.param == "GRU" else "loky"  # processes take seconds to start; once is enough
    model = RollingModel(config, **LENGTHS, seeds=[0, 1], n_jobs=2, backend=backend)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        run = bench.run(model, dataset)
    return bench, model, dataset, run, request.param


@pytest.fixture(scope="module")
def by_hand(done):
    """The plain model's scores of each window and seed."""
    bench, model, dataset, _, name = done
    bench.init()
    klass, _, kwargs = MODELS[name]
    scores = {}
    for window in model.plan(dataset):
        own = market_dataset(window.segments(), window.train)
        for seed in (0, 1):
            plain = klass(**kwargs, seed=seed)
            with R.start(experiment_name="by hand"):
                plain.fit(own)
            scores[window, seed] = plain.predict(own).rename("score")
    return scores


def test_the_prediction_is_that_of_the_plain_model_trained_on_each_window(done, by_hand):
    bench, _, _, run, _ = done
    windows = sorted({window for window, _ in by_hand}, key=str)
    assert len(windows) == 2
    assert not by_hand[windows[0], 0].equals(by_hand[windows[0], 1]), "the seeds must differ"
    expected = pd.concat([mean_of_zscores([by_hand[w, 0], by_hand[w, 1]]) for w in windows])
    got = bench.prediction(run)
    assert got.index.is_monotonic_increasing
    pd.testing.assert_series_equal(got, expected.sort_index(), check_exact=True)


def test_it_scores_every_member_on_every_test_day(done):
    bench, _, dataset, run, _ = done
    assert bench.prediction(run).index.equals(dataset.prepare("test", col_set="label").index)


def test_each_window_and_seed_is_a_child_run(done, by_hand):
    bench, _, _, run, name = done
    children = bench.children(run)
    assert len(children) == 4
    assert {child.info.status for child in children} == {"FINISHED"}
    seen = set()
    for child in children:
        params, own = child.data.params, child.info.run_id
        window, seed = next(key for key in by_hand if f"{key[0]} seed {key[1]}" == child.info.run_name)
        seen.add((window, seed))
        assert params | window.dates() | {"class": name, "seed": str(seed), "kwargs.seed": str(seed)} == params
        scores = pd.read_pickle(bench.file(own, "prediction.pkl"))
        pd.testing.assert_series_equal(scores, by_hand[window, seed], check_exact=True)
        assert isinstance(pickle.loads(bench.file(own, "model.pkl").read_bytes()), MODELS[name][0])
        assert np.isfinite([child.data.metrics[key] for key in ("Rank IC", "processing", "fit", "predict")]).all()
        curve = "valid.l2" if name == "LGBModel" else "valid_rank_ic"
        steps = [point.step for point in bench.client.get_metric_history(own, curve)]
        assert steps == list(range(12 if name == "LGBModel" else 2))
    assert seen == set(by_hand)


def test_the_parent_holds_the_table_of_windows_and_no_curves(done, by_hand):
    bench, _, _, run, name = done
    table = pd.read_csv(bench.file(run, "rolling_windows.csv"))
    assert list(zip(table["test from"], table["seed"], strict=True)) == [(str(w), seed) for w, seed in by_hand]
    assert table["trained"].all()
    assert set(table["run"]) == {child.info.run_id for child in bench.children(run)}
    assert table["rows"].tolist() == [len(scores) for scores in by_hand.values()]
    (parent,) = [one for one in bench.runs() if one.info.run_id == run]
    if name == "LGBModel":  # trained in processes; in this one a model may log to the run that is active
        assert not parent.data.metrics


def test_rank_ic_of_a_window_is_that_of_its_raw_labels(done):
    bench, model, dataset, _, _ = done
    label = dataset.handler.fetch(col_set="label", data_key="raw").iloc[:, 0]
    for _, line in model.windows_.iterrows():
        scores = pd.read_pickle(bench.file(line["run"], "prediction.pkl"))
        both = pd.DataFrame({"score": scores, "label": label.reindex(scores.index)}).dropna()
        daily = both.groupby(level="datetime").apply(lambda day: day["score"].rank().corr(day["label"].rank()))
        assert line["Rank IC"] == pytest.approx(daily.mean(), abs=1e-9)


def test_weak_factors_are_those_of_validation_and_test_days_and_say_which(done):
    bench, model, dataset, run, name = done
    windows = {f"{window} seed {seed}": window for window in model.plan(dataset) for seed in (0, 1)}
    for child in bench.children(run):
        folder, window = bench.file(child.info.run_id, "model.pkl").parent, windows[child.info.run_name]
        if name == "LGBModel":
            assert not (folder / "weak_factors.pkl").exists()
            continue
        factors = pd.read_pickle(folder / "weak_factors.pkl")
        assert factors.shape[1] == 3 + 1
        assert set(factors["segment"]) == {"valid", "test"}
        for segment, part in factors.groupby("segment"):
            days = part.index.get_level_values("datetime")
            assert (days.min(), days.max()) == window.segments()[segment]


def test_a_child_run_is_no_run_of_the_experiment(done):
    bench, *_ = done
    (only,) = read_runs(bench.uri, "roll", last=99)
    assert np.isnan(only.metrics["IC"]), "SigAnaRecord was not asked for"
    assert len(bench.runs()) == 5


def test_the_fitted_model_can_be_pickled(done):
    _, model, dataset, _, _ = done
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_series_equal(again.predict(dataset), model.predict(dataset), check_exact=True)


def test_predict_is_for_the_test_days_it_was_fitted_to(done):
    bench, model, dataset, _, _ = done
    bench.init()
    with pytest.raises(DataError, match=r"scores the test segment alone, not 'valid'"):
        model.predict(dataset, "valid")
    shorter = market_dataset({"test": ("2015-07-20", "2015-07-24")}, TESTED)
    part = model.predict(shorter)
    pd.testing.assert_series_equal(model.predict(dataset, slice("2015-07-20", "2015-07-24")), part)
    assert part.index.equals(shorter.prepare("test", col_set="label").index)
    later = market_dataset({"test": ("2015-09-01", "2015-09-11")}, TESTED)
    with pytest.raises(
        DataError, match=r"3 of the days .* no trained window, first 2015-09-09; the windows run from 2015-07-01"
    ):
        model.predict(later)


def test_a_printed_model_tells_its_options():
    assert "step='10D'" in repr(rolling())


def test_predict_before_fit_is_refused():
    with pytest.raises(NotFittedError, match="call fit"):
        rolling().predict(dataset_of(random_rows(days=80)))


def test_without_a_recorder_it_trains_all_the_same(bench):
    data, model = dataset_of(random_rows(days=80)), rolling(bench.ridge())
    model.fit(data)
    assert len(bench.trained()) == 3
    assert model.predict(data).index.equals(data.prepare("test").index)
    assert model.windows_["run"].tolist() == [""] * 3


def test_an_inner_model_that_scores_fewer_rows_is_joined_as_it_is(bench, monkeypatch):
    data, model = dataset_of(random_rows(days=80)), rolling()
    monkeypatch.setattr(
        "tests.rolling.inner.Ridge.predict", lambda self, data, *_: pd.Series(1.0, data.prepare("test").index[:-5])
    )
    model.fit(data)
    assert len(model.predict(data)) == len(data.prepare("test")) - 3 * 5


def test_an_inner_model_that_scores_other_days_is_refused(bench, monkeypatch):
    monkeypatch.setattr(
        "tests.rolling.inner.Ridge.predict", lambda self, data, *_: pd.Series(1.0, data.prepare("valid").index)
    )
    said = r"Window 2020-03-10: the inner model scored \d+ rows from 2020-02-25 to 2020-03-05, but is to score the test"
    with pytest.raises(TrainingError, match=said):
        rolling().fit(dataset_of(random_rows(days=80)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_job": 2}, "RollingModel has no option 'n_job'; did you mean 'n_jobs'"),
        ({"model": {"module_path": "x"}}, "RollingModel needs model"),
        ({"n_jobs": 0}, "n_jobs is at least 1, not 0"),
        ({"seeds": []}, "seeds names at least one seed"),
        ({"seeds": 1}, "seeds is a list of whole numbers"),
        ({"backend": "dask"}, "backend is one of serial, loky, ray, not 'dask'"),
        ({"purge": -1}, "purge is"),
        ({"train": "5"}, "train is a number of years"),
        ({"valid": 2}, "valid as a share"),
        ({"step": "1 year"}, "step is a number of years"),
    ],
)
def test_bad_options_are_refused_before_any_data_is_read(wrong, message):
    with pytest.raises(ConfigError, match=message):
        rolling(**wrong)


class Spy(Model):
    """A model of a user's, which counts how often it is made."""

    made = 0

    def __init__(self, alpha, beta=1):
        type(self).made += 1
        random.seed(3)
        torch.manual_seed(3)
        np.random.seed(3)  # noqa: NPY002
        if alpha < 0:
            raise RuntimeError("alpha is negative")

    def fit(self, dataset):
        pass

    def predict(self, dataset, segment="test"):
        pass


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (GRU_CONFIG | {"kwargs": {"hiden_size": 8}}, "GRU has no option 'hiden_size'; did you mean 'hidden_size'"),
        (GRU_CONFIG | {"kwargs": {"loss": "mae"}}, "loss is one of .*, not 'mae'"),
        (GRU_CONFIG | {"module_path": "qlib_ext.models.grus"}, "'GRU' cannot be imported: No module named"),
        (GRU_CONFIG | {"class": "GUR"}, "'GUR' cannot be imported: .*has no attribute 'GUR'"),
        ({"class": Spy, "kwargs": {"alpa": 1}}, "Spy has no option 'alpa'; did you mean 'alpha'"),
        ({"class": Spy}, "Spy cannot be made of {}: TypeError: .*missing 1 required positional argument: 'alpha'"),
        ({"class": Spy, "kwargs": {"alpha": -1}}, "Spy cannot be made of .* RuntimeError: alpha is negative"),
        ({"class": LinearModel, "kwargs": {"estimater": "ols"}}, "LinearModel has no option 'estimater'; did you mean"),
    ],
)
def test_an_inner_model_that_cannot_be_made_is_named_at_once(inner, message):
    with pytest.raises(ConfigError, match=message):
        RollingModel(inner)


def test_a_seed_that_the_inner_model_does_not_take_is_named_at_once():
    with pytest.raises(ConfigError, match="Spy has no option 'seed'"):
        RollingModel({"class": Spy, "kwargs": {"alpha": 1}}, seeds=[0, 1])


def test_the_inner_model_is_made_once_and_the_random_states_stay(monkeypatch):
    monkeypatch.setattr(Spy, "made", 0)
    before = pickle.dumps(random_states())
    RollingModel({"class": Spy, "kwargs": {"alpha": 1}})
    assert Spy.made == 1
    assert pickle.dumps(random_states()) == before


def test_making_a_net_leaves_cuda_alone():
    """In a process of its own, where a call of CUDA's would start it."""
    config = GRU_CONFIG | {"kwargs": {"GPU": 0}}
    code = f"import torch; from qlib_ext.rolling import RollingModel; RollingModel({config})"
    started = "assert not torch.cuda.is_initialized()"
    subprocess.run([sys.executable, "-c", f"{code}; {started}"], check=True, capture_output=True)


def test_a_model_of_qlibs_is_not_made(monkeypatch):
    """Its nets are on the GPU, and the random numbers seeded, as soon as it is made."""
    monkeypatch.setattr(ZooGRU, "__init__", lambda self, **kwargs: pytest.fail("was made"))
    RollingModel({"class": "GRU", "module_path": "qlib.contrib.model.pytorch_gru_ts", "kwargs": {"d_feat": 3}})


def test_a_model_is_needed():
    with pytest.raises(ConfigError, match="RollingModel needs model: the inner model's class"):
        RollingModel()


def test_a_dataset_without_a_test_segment_is_refused():
    data = dataset_of(random_rows(days=80))
    data.segments = {"train": TEST}
    with pytest.raises(SegmentError, match=r"no test segment to roll over; it has \['train'\]"):
        rolling().fit(data)


def test_a_label_whose_reach_cannot_be_read_asks_for_purge(bench):
    data = dataset_of(random_rows(days=80))
    with pytest.raises(ConfigError, match="give purge: N"):
        rolling(purge="auto").fit(data)


@pytest.mark.parametrize("where", ["model", "dataset"])
def test_a_purge_given_once_is_enough(bench, where):
    data = CrossSectionDataset(
        handler_of(random_rows(days=80)), {"test": TEST}, step_len=3, **({"purge": 4} if where == "dataset" else {})
    )
    model = rolling(purge=4 if where == "model" else "auto")
    model.fit(data)
    assert [DAYS.get_loc(w.test[0]) - DAYS.get_loc(w.valid[1]) for w in model.plan(data)] == [5, 5, 5]
    assert len(model.predict(data)) == len(data.prepare("test"))

"""What every model promises."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.gats import GATs
from tests.frames import SEGMENTS, dataset_of, handler_of, random_rows
from tests.models.cases import fitted

TEST_START = pd.Timestamp(SEGMENTS["test"][0])


def test_predicts_exactly_the_samples_of_the_segment(make, rows):
    model = fitted(make(), rows)
    for segment in ("train", "valid", "test"):
        score = model.predict(dataset_of(rows), segment)
        start, end = SEGMENTS[segment]
        pd.testing.assert_index_equal(score.index, rows.loc[start:end].index)
        assert np.isfinite(score).all()


def test_weak_factors_average_to_the_score(make, rows):
    model = fitted(make(), rows)
    if isinstance(model, GATs):
        with pytest.raises(TypeError, match="GATs has no weak factors"):
            model.weak_factors(dataset_of(rows))
        return
    factors = model.weak_factors(dataset_of(rows), "test")
    assert list(factors.columns) == [f"net0_factor{k}" for k in range(4)]
    pd.testing.assert_series_equal(factors.mean(axis=1), model.predict(dataset_of(rows)), check_names=False, atol=1e-6)


def test_learns_what_is_there_to_learn(make):
    rows = random_rows(stocks=40, holes=0.0, seed=1)
    rows["label", "LABEL0"] = rows["feature", "F0"]
    evals: dict = {}
    model = make(n_epochs=15, seed=1)
    model.fit(dataset_of(rows), evals)
    score = model.predict(dataset_of(rows))
    ic = score.groupby(level="datetime").corr(rows["label", "LABEL0"]).mean()
    assert ic > 0.5
    assert evals["train_ic"][-1] > evals["train_ic"][0]


def test_same_seed_same_scores_bit_for_bit(make, rows):
    first, second, other = (fitted(make(seed=s), rows).predict(dataset_of(rows)) for s in (3, 3, 4))
    pd.testing.assert_series_equal(first, second, check_exact=True)
    assert not np.allclose(first, other)


def test_training_leaves_the_global_random_state_alone(make, rows):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    fitted(make(), rows)
    assert torch.equal(torch.rand(3), expected)


def test_seeds_average_the_standardised_scores_of_several_nets(make, rows):
    both = fitted(make(seeds=[3, 4]), rows)
    singles = [fitted(make(seed=s), rows).predict(dataset_of(rows)) for s in (3, 4)]
    standard = [s.groupby(level="datetime").transform(lambda x: (x - x.mean()) / x.std()) for s in singles]
    pd.testing.assert_series_equal(both.predict(dataset_of(rows)), sum(standard) / 2, check_names=False, atol=1e-5)
    assert len(both.nets_) == len(both.curves_) == 2


def test_pickle_round_trip_predicts_the_same(make, rows):
    model = fitted(make(), rows)
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_series_equal(again.predict(dataset_of(rows)), model.predict(dataset_of(rows)), check_exact=True)


def test_weights_round_trip_predicts_the_same(make, rows, tmp_path):
    model = fitted(make(), rows)
    model.save_weights(tmp_path / "weights.pt")
    again = make(seed=9)
    again.load_weights(tmp_path / "weights.pt")
    pd.testing.assert_series_equal(again.predict(dataset_of(rows)), model.predict(dataset_of(rows)), check_exact=True)


def test_the_best_weights_are_restored(make, rows):
    model = fitted(make(n_epochs=12, lr=0.05, early_stop=12, metric="loss"), rows)
    best = int(np.argmin(model.curves_[0]["valid_loss"]))
    assert best < 11, "the case must overfit to say anything"
    stopped = fitted(make(n_epochs=best + 1, lr=0.05, early_stop=12, metric="loss"), rows)
    pd.testing.assert_series_equal(model.predict(dataset_of(rows)), stopped.predict(dataset_of(rows)), check_exact=True)


def test_early_stopping_counts_epochs_without_progress(make, rows):
    curves = fitted(make(n_epochs=60, lr=0.05, early_stop=3, metric="loss"), rows).curves_[0]["valid_loss"]
    assert len(curves) == int(np.argmin(curves)) + 1 + 3


def test_a_day_is_scored_alike_alone_and_among_others(make, rows):
    model = fitted(make(), rows)
    together = model.predict(dataset_of(rows))
    for day in together.index.unique("datetime")[::4]:
        alone = model.predict(dataset_of(rows, segments=SEGMENTS | {"test": (day, day)}))
        pd.testing.assert_series_equal(alone, together.loc[[day]], atol=1e-6)


@pytest.mark.parametrize("days_per_batch", [1, 3])
def test_days_per_batch_trains(make, rows, days_per_batch):
    assert np.isfinite(fitted(make(days_per_batch=days_per_batch), rows).predict(dataset_of(rows))).all()


def test_rows_after_a_day_change_nothing_of_its_scores(make, rows):
    model = fitted(make(), rows)
    day = pd.Timestamp("2020-03-18")
    before = model.predict(dataset_of(rows)).loc[:day]
    later = rows.index.get_level_values("datetime") > day
    garbage, shuffled, gone = rows.copy(), rows.copy(), rows[~later]
    garbage.loc[later] = 1e6
    shuffled.loc[later] = rows[later].sample(frac=1, random_state=0).to_numpy()
    for changed in (garbage, shuffled, gone):
        pd.testing.assert_series_equal(model.predict(dataset_of(changed)).loc[:day], before, atol=1e-6)


def test_training_reads_nothing_of_the_test_segment(make, rows):
    garbage = rows.copy()
    garbage.loc[garbage.index.get_level_values("datetime") >= TEST_START] = 1e3
    first, second = fitted(make(), rows), fitted(make(), garbage)
    pd.testing.assert_series_equal(first.predict(dataset_of(rows)), second.predict(dataset_of(rows)), check_exact=True)


def test_labels_that_reach_over_a_border_are_not_trained_on(make, rows):
    changed = rows.copy()
    for border in (SEGMENTS["valid"][0], SEGMENTS["test"][0]):
        days = rows.index.unique("datetime")
        last_two = days[days < border][-2:]
        changed.loc[changed.index.get_level_values("datetime").isin(last_two), ("label", "LABEL0")] *= -50
    scores = [fitted(make(), r, purge=2).predict(dataset_of(rows)) for r in (rows, changed)]
    pd.testing.assert_series_equal(*scores, check_exact=True)
    unpurged = fitted(make(), changed, purge=0).predict(dataset_of(rows))
    assert not np.allclose(unpurged, scores[0])


def test_the_order_of_the_stocks_does_not_matter(make, rows):
    names = rows.index.unique("instrument")
    renamed = rows.rename(index=dict(zip(names, names[::-1], strict=True)), level="instrument").sort_index()
    model = fitted(make(), rows)
    if isinstance(model, ASTGNN) and model.options.node_embedding == "instrument":
        pytest.skip("a vector per instrument ties scores to names on purpose")
    score, mirrored = model.predict(dataset_of(rows)), model.predict(dataset_of(renamed))
    mirrored = mirrored.rename(index=dict(zip(names, names[::-1], strict=True)), level="instrument").sort_index()
    pd.testing.assert_series_equal(mirrored, score, atol=1e-5)


def test_a_stock_never_seen_is_scored(make, rows):
    model = fitted(make(), rows)
    known = rows.index.unique("instrument")
    newcomers = rows.rename(index={known[0]: "SZ300999"}, level="instrument").sort_index()
    assert np.isfinite(model.predict(dataset_of(newcomers))).all()


def test_reads_qlibs_own_dataset(make, rows, qlib_expressions):
    from qlib.data.dataset import TSDatasetH

    theirs = TSDatasetH(handler=handler_of(rows), segments=SEGMENTS, step_len=5)
    theirs.handler.data_loader.fields = {"label": (["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"])}
    model = make()
    model.fit(theirs)
    ours = fitted(make(), rows, purge=2)
    pd.testing.assert_series_equal(
        model.predict(theirs), ours.predict(CrossSectionDataset.of(theirs)), check_exact=True
    )


@pytest.mark.cuda
def test_a_model_moves_between_gpu_and_cpu(make, rows):
    on_gpu = fitted(make(GPU=0), rows)
    score = on_gpu.predict(dataset_of(rows))
    on_cpu = pickle.loads(pickle.dumps(on_gpu))
    on_cpu.options.GPU = -1
    pd.testing.assert_series_equal(on_cpu.predict(dataset_of(rows)), score, atol=1e-4)
    on_cpu.options.GPU = 0
    pd.testing.assert_series_equal(on_cpu.predict(dataset_of(rows)), score, atol=1e-6)


@pytest.mark.parametrize("gpu", [-1, pytest.param(0, marks=pytest.mark.cuda)])
def test_bfloat16_stays_close(make, rows, gpu):
    full, half = (fitted(make(GPU=gpu, autocast=a), rows).predict(dataset_of(rows)) for a in (False, True))
    assert full.dtype == half.dtype == np.float32
    assert not full.equals(half)
    assert full.corr(half) > 0.95

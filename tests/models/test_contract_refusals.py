"""What every model refuses, and that nothing is lost by it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from qlib_ext.errors import CheckpointError, DataError, NotFittedError, TrainingError
from tests.frames import dataset_of, random_rows
from tests.models.cases import fitted


def test_a_nan_feature_is_refused_by_fit_and_predict(make, rows):
    broken = rows.copy()
    broken.iloc[30, 1] = np.nan
    with pytest.raises(DataError, match="'F1' is NaN"):
        make().fit(dataset_of(broken))
    with pytest.raises(DataError, match="'F1' is NaN"):
        fitted(make(), rows).predict(dataset_of(broken))


def test_a_day_of_equal_labels_is_refused(make, rows):
    constant = rows.copy()
    constant.loc["2020-01-20", ("label", "LABEL0")] = 0.5
    with pytest.raises(DataError, match=r"same for all stocks on 1 of \d+ days of 'train', the first 2020-01-20"):
        make().fit(dataset_of(constant))


def test_a_universe_of_one_stock_is_refused(make, rows):
    with pytest.raises(DataError, match="single stock"):
        make().fit(dataset_of(rows.xs("SH600003", level="instrument", drop_level=False)))


def test_a_wrong_number_of_features_is_refused(make, rows):
    with pytest.raises(DataError, match=r"read 7 features.*has 4"):
        make(d_feat=7).fit(dataset_of(rows))
    with pytest.raises(DataError, match=r"read (images of )?4 .* has (images of )?6 "):
        fitted(make(), rows).predict(dataset_of(random_rows(fields=6)))


def test_a_diverging_loss_stops_the_training(make, rows):
    huge = rows.copy()
    huge["label"] = huge["label"] * 1e30
    if make().options.loss != "mse":
        pytest.skip("a correlation does not diverge")
    with pytest.raises(TrainingError, match="smaller lr"):
        make().fit(dataset_of(huge))


def test_a_fit_that_fails_leaves_the_model_as_it_was(make, rows):
    model, broken = fitted(make(), rows), rows.copy()
    before = model.predict(dataset_of(rows))
    broken.loc["2020-01-20", ("label", "LABEL0")] = 0.5
    with pytest.raises(DataError):
        model.fit(dataset_of(broken))
    model.loss = lambda scores, batch: scores.score.sum() * np.nan
    with pytest.raises(TrainingError):
        model.fit(dataset_of(rows))
    del model.loss
    pd.testing.assert_series_equal(model.predict(dataset_of(rows)), before, check_exact=True)


def test_predicting_before_fitting_is_refused(make, rows, tmp_path):
    for use in (lambda m: m.predict(dataset_of(rows)), lambda m: m.save_weights(tmp_path / "w.pt")):
        with pytest.raises(NotFittedError, match="call fit"):
            use(make())


@pytest.mark.parametrize("damage", ["truncated", "text", "other file", "missing"])
def test_a_damaged_checkpoint_is_refused_and_nothing_is_lost(make, rows, tmp_path, damage):
    model, path = fitted(make(), rows), tmp_path / "weights.pt"
    before = model.predict(dataset_of(rows))
    model.save_weights(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "text":
        path.write_text("these are no weights")
    elif damage == "other file":
        torch.save({"something": torch.ones(3)}, path)
    else:
        path.unlink()
    with pytest.raises(CheckpointError, match=r"weights\.pt cannot be read"):
        model.load_weights(path)
    pd.testing.assert_series_equal(model.predict(dataset_of(rows)), before, check_exact=True)


def test_weights_of_another_net_are_refused(make, rows, tmp_path):
    fitted(make(hidden_size=6), rows).save_weights(tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="another net"):
        make().load_weights(tmp_path / "w.pt")

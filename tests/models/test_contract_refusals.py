"""What every model refuses, and that nothing is lost by it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from qlib_ext.errors import CheckpointError, ConfigError, DataError, NotFittedError, TrainingError
from qlib_ext.testing.rows import random_rows


def test_a_nan_feature_is_refused_by_fit_and_predict(case):
    broken = case.rows.copy()
    broken.iloc[30, 1] = np.nan
    with pytest.raises(DataError, match="'F1' is NaN"):
        case.make().fit(case.dataset(broken))
    with pytest.raises(DataError, match="'F1' is NaN"):
        case.trained.predict(case.dataset(broken))


def test_a_day_of_equal_labels_is_refused(case):
    constant = case.rows.copy()
    constant.loc["2020-01-20", ("label", "LABEL0")] = 0.5
    with pytest.raises(DataError, match=r"same for all stocks on 1 of \d+ days of 'train', the first 2020-01-20"):
        case.make().fit(case.dataset(constant))


def test_a_universe_of_one_stock_is_refused(case):
    with pytest.raises(DataError, match="single stock"):
        case.make().fit(case.dataset(case.rows.xs("SH600003", level="instrument", drop_level=False)))


def test_a_wrong_number_of_features_is_refused(case):
    with pytest.raises(ConfigError, match=r"read 7 features.*has 4"):
        case.make(d_feat=7).fit(case.dataset())
    stated = case.window is not None and case.window.series is not None
    message = "trained on .*4.*, the handler's are of .*6"
    if stated:
        values = case.window.layout(4).values
        message = f"hold {values} values, but its shape makes {values * 6 // 4}"
    with pytest.raises(ConfigError if stated else DataError, match=message):
        case.trained.predict(case.dataset(random_rows(fields=6)))


def test_a_diverging_loss_stops_the_training(case):
    huge = case.rows.copy()
    huge["label"] = huge["label"] * 1e30
    if case.make().options.loss != "mse":
        pytest.skip("a correlation does not diverge")
    with pytest.raises(TrainingError, match="smaller lr"):
        case.make().fit(case.dataset(huge))


def test_a_fit_that_fails_leaves_the_model_as_it_was(case):
    model, broken = case.fitted(), case.rows.copy()
    before = model.predict(case.dataset())
    broken.loc["2020-01-20", ("label", "LABEL0")] = 0.5
    with pytest.raises(DataError):
        model.fit(case.dataset(broken))
    model.loss = lambda scores, batch: scores.score.sum() * np.nan
    with pytest.raises(TrainingError):
        model.fit(case.dataset())
    del model.loss
    pd.testing.assert_series_equal(model.predict(case.dataset()), before, check_exact=True)


def test_predicting_before_fitting_is_refused(case, tmp_path):
    for use in (lambda m: m.predict(case.dataset()), lambda m: m.save_weights(tmp_path / "w.pt")):
        with pytest.raises(NotFittedError, match="call fit"):
            use(case.make())


@pytest.mark.parametrize("damage", ["truncated", "text", "other file", "missing"])
def test_a_damaged_checkpoint_is_refused_and_nothing_is_lost(case, tmp_path, damage):
    model, path = case.fitted(), tmp_path / "weights.pt"
    before = model.predict(case.dataset())
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
    pd.testing.assert_series_equal(model.predict(case.dataset()), before, check_exact=True)


def test_weights_of_another_net_are_refused(case, tmp_path):
    case.fitted(hidden_size=6).save_weights(tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="another net"):
        case.make().load_weights(tmp_path / "w.pt")

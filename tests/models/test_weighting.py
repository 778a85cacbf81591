"""The linear weightings against slow formulas, in Qlib's dataset and ours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset import DatasetH

from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import ConfigError, DataError, NotFittedError, SegmentError
from qlib_ext.models.weighting import EqualWeight, Fusion, ICIRWeight
from qlib_ext.testing.rows import SEGMENTS, dataset_of, handler_of, random_rows

ROWS = random_rows(fields=3, holes=0.0, seed=1)


def z_scored(features: pd.DataFrame) -> pd.DataFrame:
    """Day by day, with the formula as it stands; what is missing or the same for all is 0."""
    days = []
    for _, day in features.groupby(level="datetime"):
        z = (day - day.mean()) / day.std(ddof=1)
        z.loc[:, day.nunique() == 1] = 0.0
        days.append(z.fillna(0.0))
    return pd.concat(days)


def slow_icir(train: pd.DataFrame) -> pd.Series:
    """Spearman's correlation of each day, by pandas."""
    days = [day for _, day in train.groupby(level="datetime")]
    ic = pd.DataFrame([day["feature"].corrwith(day["label"]["LABEL0"], method="spearman") for day in days])
    return ic.mean() / ic.std(ddof=1)


def part(rows: pd.DataFrame, segment: str) -> pd.DataFrame:
    return rows.loc[slice(*SEGMENTS[segment])]


def fitted(model, rows=ROWS):
    dataset = dataset_of(rows, purge=0)
    model.fit(dataset)
    return model, model.predict(dataset)


def assert_scores(scores: pd.Series, expected: pd.Series) -> None:
    pd.testing.assert_series_equal(scores, expected.rename("score"), rtol=1e-4, atol=1e-6, check_dtype=False)


def test_equal_weight_is_the_mean_of_the_z_scores():
    _, scores = fitted(EqualWeight())
    assert_scores(scores, z_scored(part(ROWS, "test")["feature"]).mean(axis=1))


def test_icir_weight_has_the_sign_and_size_of_the_training_days_icir():
    model, scores = fitted(ICIRWeight())
    icir = slow_icir(part(ROWS, "train"))
    np.testing.assert_allclose(model.weights_, icir, rtol=1e-9)
    assert (icir < 0).any(), "a weight is negative"
    z = z_scored(part(ROWS, "test")["feature"])
    assert_scores(scores, sum(z[name] * weight for name, weight in icir.items()) / icir.abs().sum())


def test_fusion_takes_the_weights_it_is_given_and_no_other_feature():
    _, scores = fitted(Fusion({"F2": 1, "F0": 3}))
    z = z_scored(part(ROWS, "test")["feature"])
    assert_scores(scores, (z["F2"] + 3 * z["F0"]) / 4)


@pytest.mark.parametrize("value", [0.1, np.nan])  # the mean of twelve 0.1 is not 0.1 but for rounding
def test_a_constant_or_missing_feature_says_nothing(value):
    rows = ROWS.astype("f8")
    day = pd.Timestamp(SEGMENTS["test"][0])
    rows.loc[day, ("feature", "F1")] = value
    rows.iloc[-1, 0] = np.nan
    _, scores = fitted(EqualWeight(), rows)
    assert_scores(scores, z_scored(part(rows, "test")["feature"]).sum(axis=1) / 3)
    _, without = fitted(Fusion({"F0": 1, "F2": 1}), rows)
    np.testing.assert_allclose(scores[day], without[day] * 2 / 3, rtol=1e-4, atol=1e-6)


def test_weights_know_the_training_days_alone():
    other = ROWS.copy()
    other.loc[SEGMENTS["valid"][0] :] *= -7
    assert fitted(ICIRWeight())[0].weights_.equals(fitted(ICIRWeight(), other)[0].weights_)


def test_a_days_score_knows_no_other_day():
    other, day = ROWS.copy(), "2020-03-16"
    other.loc["2020-03-17":] *= -7
    scores, turned = (fitted(EqualWeight(), rows)[1].loc[:day] for rows in (ROWS, other))
    assert len(scores)
    pd.testing.assert_series_equal(scores, turned)


def test_datasets_of_qlib_are_read_as_well():
    dataset = DatasetH(handler_of(ROWS), SEGMENTS)
    for model in (EqualWeight(), ICIRWeight(), Fusion({"F0": 2})):
        model.fit(dataset)
        pd.testing.assert_series_equal(model.predict(dataset), fitted(model)[1])


def test_a_feature_whose_icir_is_undefined_is_named():
    rows = ROWS.copy()
    rows[("feature", "F1")] = 1.0
    with pytest.raises(
        DataError, match=r"ICIR of 1 of 3 features is undefined over 33 training days, the first is 'F1'"
    ):
        fitted(ICIRWeight(), rows)


def test_a_weight_without_its_feature_is_named():
    with pytest.raises(DataError, match="no feature 'gru' to weight; the dataset has F0, F1, F2"):
        fitted(Fusion({"F0": 1, "gru": 3}))


@pytest.mark.parametrize("weights", [{}, {"F0": 0, "F1": 0}])
def test_weights_that_weigh_nothing_are_refused(weights):
    with pytest.raises(DataError, match="are to be numbers, and not all 0"):
        fitted(Fusion(weights))


@pytest.mark.parametrize(("weights", "named"), [({"F0": float("nan")}, "nan"), ({"F0": "1"}, "'1'"), ([1], "1")])
def test_weights_that_are_no_numbers_are_refused(weights, named):
    with pytest.raises(ConfigError, match=f"weights is a mapping to numbers, not .*{named}"):
        Fusion(weights)


def test_a_misspelt_keyword_is_named():
    with pytest.raises(ConfigError, match="EqualWeight has no option 'weigths'; it takes none"):
        EqualWeight(weigths=1)
    with pytest.raises(ConfigError, match="Fusion has no option 'weight'; did you mean 'weights'"):
        Fusion({}, weight=1)


def test_scores_before_fit_are_refused():
    with pytest.raises(NotFittedError, match="EqualWeight has no weights yet"):
        EqualWeight().predict(dataset_of(ROWS))


@pytest.mark.parametrize("kind", [DatasetH, CrossSectionDataset])
def test_a_test_segment_on_a_weekend_is_named(kind):
    purge = {"purge": 0} if kind is CrossSectionDataset else {}
    dataset = kind(handler_of(ROWS), SEGMENTS | {"test": ("2020-03-07", "2020-03-08")}, **purge)
    model = EqualWeight()
    model.fit(dataset)
    with pytest.raises((DataError, SegmentError), match=r"Segment 'test', 2020-03-07 .* has no .*trading day"):
        model.predict(dataset)


def test_a_slice_of_days_has_the_scores_that_its_days_have():
    dataset, model = dataset_of(ROWS, purge=0), Fusion(weights={"F0": 1, "F1": 3})
    model.fit(dataset)
    whole = model.predict(dataset)
    days = whole.index.unique("datetime")[1:4]
    pd.testing.assert_series_equal(model.predict(dataset, slice(days[0], days[-1])), whole.loc[days[0] : days[-1]])
    assert repr(model) == "Fusion(weights={'F0': 1, 'F1': 3})"
    assert repr(EqualWeight()) == "EqualWeight()"

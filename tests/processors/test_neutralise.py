"""Clipping and neutralising among a day's stocks: statsmodels' residuals, pandas' medians, no day but its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.processors.neutralise import MADClip, Neutralise

INDUSTRY, SIZE = ("neutral", "INDUSTRY"), ("neutral", "SIZE")
DAYS = pd.bdate_range("2020-01-01", periods=7)


def rows(seed=0, stocks=40, features=20, industries=5, dtype=np.float64):
    """Random rows with holes everywhere, factors that follow industry and size, an industry of one stock."""
    random = np.random.default_rng(seed)
    cells = np.argwhere(random.random((len(DAYS), stocks)) < 0.9)
    index = pd.MultiIndex.from_tuples(
        [(DAYS[day], f"SH{600000 + stock}") for day, stock in cells], names=["datetime", "instrument"]
    )
    industry = (cells[:, 1] % industries).astype(float)
    industry[cells[:, 1] == 0] = 99
    size = 22 + random.standard_normal(len(index))
    values = random.standard_normal((len(index), features)) + industry[:, None] * 0.1 + size[:, None]
    industry[random.random(len(index)) < 0.05] = np.nan
    size[random.random(len(index)) < 0.05] = np.nan
    values[random.random(values.shape) < 0.1] = np.nan
    columns = [("feature", f"F{k}") for k in range(features)] + [INDUSTRY, SIZE, ("label", "LABEL0")]
    frame = np.column_stack([values, industry, size, random.standard_normal(len(index))]).astype(dtype)
    return pd.DataFrame(frame, index=index, columns=pd.MultiIndex.from_tuples(columns))


def days_of(frame):
    return [day for _, day in frame.groupby(level="datetime")]


def slow_residuals(day: pd.DataFrame, name) -> pd.Series:
    """One factor of one day: statsmodels' OLS on a dummy for each industry, one for the unknown, and size."""
    dummies = pd.get_dummies(day[INDUSTRY].fillna(-1), dtype=float)
    use = day[name].notna() & day[SIZE].notna()
    residuals = pd.Series(np.nan, index=day.index)
    if use.any():
        design = np.column_stack([dummies[use], day[SIZE][use]])
        residuals[use] = sm.OLS(day[name][use].to_numpy(), design).fit().resid
    return residuals


def slow_clip(day: pd.DataFrame, name, reach=3.0) -> pd.Series:
    values = day[name].replace([np.inf, -np.inf], np.nan)
    middle = values.median()
    spread = reach * 1.4826 * (values - middle).abs().median()
    return values.clip(middle - spread, middle + spread)


def features(frame):
    return frame["feature"].to_numpy()


def expected(frame, slow, names=None):
    out = frame.copy()
    for name in names or [column for column in frame.columns if column[0] == "feature"]:
        out[name] = pd.concat([slow(day, name) for day in days_of(frame)])
    return out


SINGULAR = pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")


@SINGULAR
@pytest.mark.parametrize("seed", range(3))
def test_residuals_are_those_of_statsmodels(seed):
    frame = rows(seed)
    result = Neutralise()(frame.copy())
    np.testing.assert_allclose(features(result), features(expected(frame, slow_residuals)), rtol=0, atol=1e-8)
    pd.testing.assert_frame_equal(result[["neutral", "label"]], frame[["neutral", "label"]], check_exact=True)
    unknown_size = frame[SIZE].isna().to_numpy()
    assert unknown_size.any()
    assert np.isnan(features(result)[unknown_size]).all()
    unknown_industry = frame[INDUSTRY].isna().to_numpy() & ~unknown_size
    assert np.isfinite(features(result)[unknown_industry]).any()


@SINGULAR
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), stocks=st.integers(1, 12), industries=st.integers(1, 12), scale=st.integers(-14, 6))
def test_residuals_are_those_of_statsmodels_on_small_days(seed, stocks, industries, scale):
    frame = rows(seed, stocks, features=2, industries=industries)
    frame["feature"] *= 10.0**scale
    result = Neutralise()(frame.copy())
    slow = features(expected(frame, slow_residuals))
    np.testing.assert_allclose(features(result), slow, rtol=0, atol=1e-8 * 10.0**scale)


def test_residuals_of_float32_are_those_of_float64():
    single = rows(dtype=np.float32)
    result = Neutralise()(single.copy())
    assert (result.dtypes == np.float32).all()
    np.testing.assert_allclose(features(result), features(Neutralise()(single.astype(float))), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_explained_wholly_is_exactly_zero(dtype):
    frame = rows(dtype=dtype)
    few = frame.index.get_level_values("datetime") == DAYS[2]
    frame.loc[few, INDUSTRY] = 4.0
    frame.loc[few, ("feature", "F3")] = np.array([0.3, 0.7, *[np.nan] * (few.sum() - 2)], dtype=dtype)
    frame.loc[few, SIZE] = np.linspace(20, 25, few.sum(), dtype=dtype)
    frame["feature", "F0"] = 0.1  # a constant
    frame["feature", "F1"] = frame[INDUSTRY] * np.pi  # its industry alone, which size cannot better
    alone = (frame[INDUSTRY] == 99).to_numpy()
    result = Neutralise()(frame.copy())["feature"]
    for column in ("F0", "F1"):
        known = result[column].notna()
        assert known.any()
        assert (result[column][known] == 0).all()
    assert (result["F4"][alone].dropna() == 0).all()
    assert result["F4"][alone].notna().any()
    assert result["F3"][few].dropna().tolist() == [0, 0], "two stocks, a dummy and a size"


def test_a_size_that_does_not_differ_within_industries_is_left_out():
    frame = rows(dtype=np.float32)
    frame[SIZE] = frame[INDUSTRY].fillna(7).astype(np.float32) + np.float32(0.1)
    result = Neutralise()(frame.copy())["feature"]
    groups = [frame.index.get_level_values("datetime"), frame[INDUSTRY].fillna(-1).to_numpy()]
    plain = frame["feature"].astype(float)
    plain -= plain.groupby(groups).transform("mean")
    np.testing.assert_allclose(result, plain, rtol=0, atol=1e-5)


def test_infinite_values_are_missing():
    frame = rows()
    frame.iloc[3, 0], frame.loc[frame.index[5], SIZE] = np.inf, -np.inf
    holes = frame.replace([np.inf, -np.inf], np.nan)
    for processor in (MADClip(), Neutralise()):
        pd.testing.assert_frame_equal(processor(frame.copy())["feature"], processor(holes.copy())["feature"])


@pytest.mark.parametrize("reach", [3.0, 1.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipping_is_that_of_medians(dtype, reach):
    frame = rows(seed=4, dtype=dtype)
    frame["feature", "F1"] = np.nan
    frame["feature", "F2"] = np.round(frame["feature", "F2"] - frame[SIZE])  # many alike
    frame["feature", "F3"] = 2.5
    result = MADClip(reach=reach)(frame.copy())
    slow = expected(frame, lambda day, name: slow_clip(day, name, reach))
    np.testing.assert_allclose(features(result), features(slow), rtol=1e-6 if dtype == np.float32 else 1e-12)
    assert (features(result) != features(frame))[np.isfinite(features(frame))].any()
    pd.testing.assert_frame_equal(result[["neutral", "label"]], frame[["neutral", "label"]], check_exact=True)


@pytest.mark.parametrize("processor", [MADClip(), Neutralise()])
def test_the_layout_of_the_frame_changes_nothing(processor):
    frame = rows(dtype=np.float32)
    result = processor(frame.copy())
    block = pd.DataFrame(frame.to_numpy().T.copy().T, index=frame.index, columns=frame.columns, copy=False)
    pd.testing.assert_frame_equal(processor(block), result, check_exact=True)
    mixed = frame.astype({("label", "LABEL0"): np.float64, SIZE: np.float64})
    pd.testing.assert_frame_equal(processor(mixed)["feature"], result["feature"], atol=1e-5)
    by_stock = processor(frame.swaplevel().sort_index())
    pd.testing.assert_frame_equal(by_stock.swaplevel().sort_index(), result, check_exact=True)


@pytest.mark.parametrize("processor", [MADClip(), Neutralise()])
def test_the_frame_itself_is_changed(processor):
    frame = rows()
    before = frame.copy()
    assert processor(frame) is frame
    assert not frame.equals(before)


@pytest.mark.parametrize("processor", [MADClip(), Neutralise()])
def test_no_other_day_is_read(processor):
    frame = rows()
    other = frame.index.get_level_values("datetime") != DAYS[3]
    changed = frame.copy()
    changed[other] = np.random.default_rng(1).standard_normal(changed[other].shape) * 100
    alone = frame[~other].copy()
    result = processor(frame)[~other]
    pd.testing.assert_frame_equal(processor(changed)[~other], result, check_exact=True)
    pd.testing.assert_frame_equal(processor(alone), result, check_exact=True)


def test_columns_of_other_names_and_groups():
    frame = rows()
    other = frame.rename(columns={"feature": "factor", "neutral": "risk", "INDUSTRY": "SW1"})
    result = Neutralise("factor", industry=["risk", "SW1"], size=["risk", "SIZE"])(other)
    np.testing.assert_array_equal(result["factor"].to_numpy(), features(Neutralise()(frame)))


def test_a_frame_without_the_columns_is_refused():
    with pytest.raises(
        DataError, match=r"reads the column neutral/SIZE, but the rows have the groups feature, neutral"
    ):
        Neutralise()(rows().drop(columns=[SIZE]))
    with pytest.raises(DataError, match=r"neutral/INDUSTRY, but the rows have the groups feature, label"):
        Neutralise().fit(rows()[["feature", "label"]])


@pytest.mark.parametrize("name", [INDUSTRY, SIZE])
def test_a_column_that_nobody_knows_is_refused(name):
    frame = rows()
    Neutralise().fit(frame)
    frame[name] = np.nan
    with pytest.raises(DataError, match=rf"neutral/{name[1]} is NaN in all {len(frame)} rows.*name a stand-in"):
        Neutralise().fit(frame)


@pytest.mark.parametrize("reach", [0, -1, np.nan])
def test_a_reach_of_nothing_is_refused(reach):
    with pytest.raises(ConfigError, match="above 0, not"):
        MADClip(reach=reach)

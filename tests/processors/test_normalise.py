"""Every processor gives the numbers of Qlib's of the same name, on frames of every layout, and writes in place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset import processor as qlibs
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader

from qlib_ext.errors import DataError
from qlib_ext.processors import normalise as ours

DAYS = pd.bdate_range("2020-01-01", periods=60)
FIT = {"fit_start_time": "2020-01-10", "fit_end_time": "2020-02-14"}


def rows(dtype=np.float32, features=37):
    """Random rows with NaN, infinities, ties, constants, days of one stock, stocks that come and go."""
    random = np.random.default_rng(3)
    cells = random.random((len(DAYS), 12)) < 0.8
    cells[5] = cells[44] = np.arange(12) == 7  # days of a single stock
    index = pd.MultiIndex.from_tuples(
        [(DAYS[day], f"SH60000{stock:02d}") for day, stock in np.argwhere(cells)], names=["datetime", "instrument"]
    )
    values = random.standard_normal((len(index), features + 2)) * 10.0 ** random.integers(-4, 9, features + 2)
    values[random.random(values.shape) < 0.05] = np.nan
    values[:, 3] = np.round(random.standard_normal(len(index)))  # ties
    values[:, 4] = 7.25
    values[:, 5] = np.nan
    values[100, 4:6], values[101, 5] = (-1.0, 3.0), 4.0  # of training: one value that differs, two that are known
    values[random.random(len(index)) < 0.02, 6] = np.inf
    values[random.random(len(index)) < 0.02, 7] = -np.inf
    values[20:30, -1] = 1.5  # a part of a day is constant, and one day altogether
    columns = [("feature", f"F{i}") for i in range(features)] + [("label", "LABEL0"), ("label", "LABEL1")]
    return pd.DataFrame(values.astype(dtype), index=index, columns=pd.MultiIndex.from_tuples(columns))


def as_blocks(frame):
    return pd.concat([frame[["feature"]], frame[["label"]]], axis=1)


def by_columns(frame):
    values = np.array(frame.to_numpy().T, order="C", copy=True)
    return pd.DataFrame(values.T, index=frame.index, columns=frame.columns, copy=False)


def with_float64_label(frame):
    return frame.astype({column: np.float64 for column in frame.columns if column[0] == "label"})


def by_stock(frame):
    return frame.swaplevel().sort_index()


LAYOUTS = {
    "rows together": rows,
    "columns together": lambda: by_columns(rows()),
    "blocks": lambda: as_blocks(rows()),
    "float64": lambda: rows(np.float64),
    "labels of float64": lambda: with_float64_label(rows()),
    "by stock": lambda: by_stock(rows()),
    "a few columns": lambda: rows(features=8),
}
PROCESSORS = [
    ("RobustZScoreNorm", FIT | {"fields_group": "feature"}),
    ("RobustZScoreNorm", FIT | {"fields_group": "feature", "clip_outlier": False}),
    ("RobustZScoreNorm", FIT | {"fields_group": "label"}),
    ("RobustZScoreNorm", FIT),
    ("RobustZScoreNorm", {"fit_start_time": None, "fit_end_time": "2020-02", "fields_group": "feature"}),
    ("Fillna", {}),
    ("Fillna", {"fields_group": "feature"}),
    ("Fillna", {"fields_group": "label", "fill_value": -1.5}),
    ("CSZScoreNorm", {"fields_group": "label"}),
    ("CSZScoreNorm", {"fields_group": ["feature", "label"]}),
    ("CSZScoreNorm", {"fields_group": "feature", "method": "robust"}),
    ("CSZScoreNorm", {}),
]


def processed(module, name, kwargs, frame):
    processor = getattr(module, name)(**kwargs)
    with np.errstate(all="ignore"):
        processor.fit(frame)
        return processor(frame)


@pytest.mark.filterwarnings("ignore")  # Qlib's own, of empty columns and of options that pandas gives up
@pytest.mark.parametrize(("name", "kwargs"), PROCESSORS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_numbers_are_qlibs(layout, name, kwargs):
    mixed = layout == "labels of float64" and len(kwargs) < 3 and name == "RobustZScoreNorm"
    mine = processed(ours, name, kwargs, LAYOUTS[layout]())
    theirs = LAYOUTS[layout]()
    if name == "CSZScoreNorm":  # of a day with an infinite value Qlib's gives nobody a number
        mine, theirs = (frame.replace([np.inf, -np.inf], np.nan) for frame in (mine, theirs))
    theirs = processed(qlibs, name, kwargs, theirs)
    exact = name != "CSZScoreNorm" and not mixed  # of a mixed frame Qlib takes every column for float64
    sums = {"rtol": 1e-4, "atol": 2e-5}  # Qlib's means of a day are sums in float32
    pd.testing.assert_frame_equal(mine, theirs, check_dtype=False, **({"check_exact": True} if exact else sums))
    assert (mine.dtypes == LAYOUTS[layout]().dtypes).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "kwargs"), PROCESSORS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_frame_itself_is_changed(layout, name, kwargs):
    frame = LAYOUTS[layout]()
    before = frame.copy()
    assert processed(ours, name, kwargs, frame) is frame
    assert not frame.equals(before)


@pytest.mark.skipif(pd.__version__ < "3", reason="frames that share values change together before pandas 3")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "kwargs"), PROCESSORS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_frame_that_shares_its_values_is_not_changed(layout, name, kwargs):
    frame = LAYOUTS[layout]()
    before, twin = frame.copy(), frame.copy(deep=False)
    processed(ours, name, kwargs, frame)
    pd.testing.assert_frame_equal(twin, before, check_exact=True)


def test_only_the_days_of_fitting_are_fitted():
    frame, other = rows(), rows()
    inside = frame.index.get_level_values("datetime").to_series().between("2020-01-10", "2020-02-14").to_numpy()
    other[~inside] = 1e6
    fitted, again = (ours.RobustZScoreNorm(**FIT, fields_group="feature") for _ in range(2))
    fitted.fit(frame)
    again.fit(other)
    np.testing.assert_array_equal(fitted.mean_train, again.mean_train)
    np.testing.assert_array_equal(fitted.std_train, again.std_train)
    other[inside] += 1
    again.fit(other)
    assert (fitted.mean_train != again.mean_train)[[0, 1, 2]].all()


@pytest.mark.filterwarnings("ignore")
def test_in_a_handler_they_take_the_place_of_qlibs():
    def views(module):
        where = {} if module is qlibs else {"module_path": module.__name__}
        handler = DataHandlerLP(
            data_loader=StaticDataLoader(rows()),
            infer_processors=[
                {"class": "RobustZScoreNorm", "kwargs": FIT | {"fields_group": "feature"}} | where,
                {"class": "Fillna", "kwargs": {"fields_group": "feature"}} | where,
            ],
            learn_processors=[
                {"class": "DropnaLabel"},
                {"class": "CSZScoreNorm", "kwargs": {"fields_group": "label"}} | where,
            ],
        )
        return [handler.fetch(col_set="__raw", data_key=key) for key in ("raw", "infer", "learn")]

    for mine, theirs in zip(views(ours), views(qlibs), strict=True):
        pd.testing.assert_frame_equal(mine, theirs, check_dtype=False, rtol=1e-4, atol=2e-5)


def test_an_infinite_value_takes_no_part_in_the_z_score_of_its_day():
    frame = rows()
    day = frame.index[0][0]
    finite = frame.loc[day, ("label", "LABEL0")].to_numpy()[1:].astype(float)
    frame.iloc[0, -2] = np.inf
    found = ours.CSZScoreNorm(fields_group="label")(frame).loc[day, ("label", "LABEL0")].to_numpy()
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], (finite - np.nanmean(finite)) / np.nanstd(finite, ddof=1), rtol=1e-4)


@pytest.mark.parametrize("dates", [("2020-01-10", "2020-02-14"), (None, "2020-01-15")])
@pytest.mark.parametrize("value", [7.25, np.nan])
def test_a_column_without_a_spread_in_the_training_days_is_refused(dates, value):
    frame = rows()
    days = frame.index.get_level_values("datetime")
    within = (days >= (dates[0] or days.min())) & (days <= dates[1])
    frame.loc[within, ("feature", "F1")] = value
    with pytest.raises(DataError, match=rf"1 of 37 columns have no number .* of {dates[0]} to {dates[1]}.*first 'F1'"):
        ours.RobustZScoreNorm(*dates, fields_group="feature").fit(frame)


def test_another_method_is_refused():
    with pytest.raises(NotImplementedError):
        ours.CSZScoreNorm(method="mad")

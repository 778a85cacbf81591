"""A window's rows: exactly what a handler of the window's own dates would give, and nothing of the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.contrib.data.handler import Alpha158
from qlib.data.dataset import DatasetH, TSDatasetH
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader

from qlib_ext.data.dataset import DEFAULT_STEP_LEN, CrossSectionDataset
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.rolling.jobs import train_window
from qlib_ext.rolling.rows import RawData, SharedRows
from qlib_ext.rolling.windows import RollingWindow, plan
from qlib_ext.testing.rows import random_rows
from tests.rolling.cases import DAYS, LENGTHS, Returns, dataset_of, handler_of, inner, job_of, rolling
from tests.rolling.inner import Witness

TIMES = {"instruments": "csi300", "start_time": "2014-12-15", "end_time": "2015-10-30"}
ON_TIME = [
    {"class": "RobustZScoreNorm", "kwargs": {"fields_group": "feature", "clip_outlier": True}},
    {"class": "Fillna", "kwargs": {"fields_group": "feature"}},
]
ACROSS = [{"class": "CSZScoreNorm", "kwargs": {"fields_group": "feature"}}, ON_TIME[1]]
RANKED = [{"class": "DropnaLabel"}, {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}}]
TEST = ("2015-07-01", "2015-09-30")

KINDS = {
    "ours, on time": (Returns, ON_TIME, CrossSectionDataset, {}),
    "ours, across stocks": (Returns, ACROSS, CrossSectionDataset, {"step_len": 4}),
    "Qlib's, tabular": (Alpha158, ON_TIME, DatasetH, {}),
    "Qlib's, windows": (Alpha158, ON_TIME, TSDatasetH, {"step_len": 5}),
    "Qlib's, cross-sections": (Alpha158, ON_TIME, CrossSectionDataset, {}),
}


def fitted_on(first: str | pd.Timestamp, last: str | pd.Timestamp) -> dict:
    return {"fit_start_time": first, "fit_end_time": last}


@pytest.fixture(scope="module", params=KINDS)
def pair(request, small, init):
    """The second window's dataset, and one that is built fresh from the provider up to the window's end."""
    init(small[0])
    handler, infer, dataset, options = KINDS[request.param]
    processors = {"infer_processors": infer, "learn_processors": RANKED}
    whole = dataset(handler=handler(**TIMES, **processors, **fitted_on(*TEST)), segments={"test": TEST}, **options)
    days = whole.handler.fetch(col_set="label").index.unique("datetime").sort_values()
    window = plan(days, TEST, "60D", "20D", "30D", reach=2)[1]
    data = RawData.of(whole)
    assert data.first_day(window) > days[0], "the window must leave rows out"
    times = TIMES | {"end_time": window.test[1]}
    handler = handler(**times, **processors, **fitted_on(*window.train))
    fresh = dataset(handler=handler, segments=window.segments(), **options)
    return data.dataset_of(window), fresh, window, data.first_day(window)


def cut(frame: pd.DataFrame, first: pd.Timestamp) -> pd.DataFrame:
    return frame[frame.index.get_level_values("datetime") >= first]


@pytest.mark.parametrize("view", [DataHandlerLP.DK_I, DataHandlerLP.DK_L])
def test_rows_are_exactly_those_of_a_handler_of_the_windows_dates(pair, view):
    own, fresh, _, first = pair
    mine, theirs = (data.handler.fetch(col_set=DataHandlerLP.CS_RAW, data_key=view) for data in (own, fresh))
    assert len(mine) > 500
    assert mine.index.get_level_values("datetime").min() >= first
    pd.testing.assert_frame_equal(mine, cut(theirs, first), check_exact=True)


def test_the_history_is_that_of_a_handler_of_the_windows_dates(pair):
    own, fresh, _, first = pair
    if not isinstance(own.handler, Returns):
        assert not hasattr(own.handler, "history")
        return
    assert len(own.handler.history()) > 2
    pd.testing.assert_frame_equal(own.handler.history(), cut(fresh.handler.history(), first), check_exact=True)


@pytest.mark.parametrize("segment", ["train", "valid", "test"])
def test_a_model_is_given_exactly_the_same(pair, segment):
    own, fresh, window, _ = pair
    learn = segment != "test"
    given = []
    for data in (own, fresh):
        if isinstance(data, CrossSectionDataset):
            samples = data.samples(segment, learn=learn)
            batch = samples.batch(np.arange(samples.n_days), data.window)
            given.append((samples.index, batch.x.numpy(), *([batch.y.numpy()] if learn else [])))
        else:
            prepared = data.prepare(segment, data_key=DataHandlerLP.DK_L if learn else DataHandlerLP.DK_I)
            ready = isinstance(prepared, pd.DataFrame)
            index = prepared.index if ready else prepared.get_index()
            given.append((index, prepared.to_numpy() if ready else prepared[np.arange(len(prepared))]))
    assert given[0][0].get_level_values("datetime").max() == getattr(window, segment)[1]
    assert given[0][0].equals(given[1][0])
    for mine, theirs in zip(given[0][1:], given[1][1:], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def first_window(reach: int = 2) -> RollingWindow:
    return plan(DAYS, ("2020-03-10", "2020-04-20"), LENGTHS["train"], LENGTHS["valid"], LENGTHS["step"], reach=reach)[0]


@pytest.mark.parametrize("later", [True, False])
def test_what_comes_after_training_changes_neither_the_processors_nor_the_training_rows(later):
    rows, window = random_rows(days=80), first_window()
    garbage = rows.copy()
    days = rows.index.get_level_values("datetime")
    touched = days > window.train[1] if later else days == window.train[1]
    garbage.loc[touched] = 1e3 * np.random.default_rng(0).standard_normal(garbage.loc[touched].shape, np.float32)
    read = []
    for frame in (rows, garbage):
        data = RawData.of(dataset_of(frame)).dataset_of(window)
        fitted = data.handler.infer_processors[0]
        read.append(
            (fitted.mean_train, fitted.std_train, data.prepare("train", data_key=DataHandlerLP.DK_L).to_numpy())
        )
    same = [np.array_equal(mine, theirs) for mine, theirs in zip(*read, strict=True)]
    assert same == [later] * 3


def test_processors_are_fitted_to_the_windows_training_days():
    rows, window = random_rows(days=80), first_window()
    fitted = RawData.of(dataset_of(rows)).dataset_of(window).handler.infer_processors[0]
    inside = rows["feature"].loc[slice(*window.train)]
    np.testing.assert_allclose(fitted.mean_train, inside.mean(), rtol=1e-5)
    assert (fitted.fit_start_time, fitted.fit_end_time) == window.train


def test_the_whole_handler_is_left_as_it_was():
    data = dataset_of(random_rows(days=80))
    views = (DataHandlerLP.DK_R, DataHandlerLP.DK_I, DataHandlerLP.DK_L)
    before = [data.handler.fetch(data_key=view).copy() for view in views]
    state = data.handler.infer_processors[0].mean_train.copy()
    RawData.of(data).dataset_of(first_window())
    for view, frame in zip(views, before, strict=True):
        pd.testing.assert_frame_equal(data.handler.fetch(data_key=view), frame, check_exact=True)
    np.testing.assert_array_equal(data.handler.infer_processors[0].mean_train, state)
    assert data.segments == {"test": ("2020-03-10", "2020-04-20")}


@pytest.mark.parametrize("dataset", [DatasetH, TSDatasetH, CrossSectionDataset])
@pytest.mark.parametrize("reach", [0, 2, 7])
def test_a_model_sees_no_label_that_is_known_after_its_segment(dataset, reach):
    options = {DatasetH: {}, TSDatasetH: {"step_len": 5}, CrossSectionDataset: {"purge": reach}}[dataset]
    whole = dataset(
        handler=handler_of(random_rows(days=80)), segments={"test": ("2020-03-10", "2020-04-20")}, **options
    )
    Witness.seen.clear()
    windows = rolling(purge=reach).plan(whole)
    data = RawData.of(whole)
    for window in windows:
        train_window(data, job_of(window, inner("Witness")))
    assert len(Witness.seen) == len(windows) == 3
    for window, (segments, read) in zip(windows, Witness.seen, strict=True):
        assert segments == window.segments()
        borders = {"train": window.valid[0], "valid": window.test[0]}
        for (segment, _), given in read.items():
            index = given.index if isinstance(given, pd.DataFrame) else given.get_index()
            last = index.get_level_values("datetime").max()
            assert DAYS.get_loc(last) + reach == DAYS.get_loc(borders[segment]) - 1


def ic_of(model, data, label: pd.Series, days: pd.DatetimeIndex) -> float:
    """The mean correlation of the scores with the label on some days."""
    model.fit(data)
    scores = model.predict(data)
    return float(np.mean([scores.loc[day].corr(label.loc[day].reindex(scores.loc[day].index)) for day in days]))


@pytest.mark.parametrize(("purge", "known"), [(10, False), (0, True)])
def test_a_label_that_overlaps_the_next_window_gives_no_gain(qlib_expressions, purge, known):
    random = np.random.default_rng(5)
    returns = pd.DataFrame(
        random.standard_normal((len(DAYS) + 10, 200)), columns=[f"SH{600000 + i}" for i in range(200)]
    )
    ahead = sum(returns.shift(-k) for k in range(1, 11)).iloc[: len(DAYS)].set_axis(DAYS)
    label = ahead.stack().rename_axis(["datetime", "instrument"])
    rows = pd.DataFrame({("feature", "F0"): random.standard_normal(len(label)), ("label", "LABEL0"): label})
    data = dataset_of(rows)
    model = rolling(inner("LastLabel"), purge=purge, valid="15D")
    firsts = pd.DatetimeIndex([window.test[0] for window in model.plan(data)])
    ic = ic_of(model, data, label, firsts)
    assert ic > 0.8 if known else abs(ic) < 3 / np.sqrt(3 * 200)


def test_scaling_by_what_comes_later_gives_no_gain(qlib_expressions):
    random = np.random.default_rng(6)
    rows = random_rows(days=80, stocks=40, fields=20, holes=0.0)
    window = first_window()
    shifts = random.choice([-1.0, 1.0], 20).astype(np.float32)
    tested = rows.index.get_level_values("datetime") >= window.test[0]
    x = rows["feature"].to_numpy()
    rows.loc[tested, ("label", "LABEL0")] = (x @ shifts)[tested]
    rows.loc[tested, "feature"] = x[tested] + shifts
    data, label = dataset_of(rows), rows["label", "LABEL0"]
    days = DAYS[DAYS.slice_indexer(*window.test)]
    told = np.asarray(data.handler.infer_processors[0].mean_train) @ shifts / 20
    assert told > 0.3, "fitted to all rows the processor must tell"
    fitted = RawData.of(data).dataset_of(window).handler.infer_processors[0]
    assert abs(np.asarray(fitted.mean_train) @ shifts / 20) < 0.03
    model = rolling(inner("ProcessorReader"))
    scores = data.prepare("test", col_set="feature").to_numpy() @ data.handler.infer_processors[0].mean_train
    leaked = pd.Series(scores, index=data.prepare("test").index)
    assert leaked.loc[days].corr(label.loc[days]) > 0.9
    assert abs(ic_of(model, data, label, days)) < 0.5


def test_a_dataset_that_reads_windows_of_its_own_length_gets_the_days_before_training():
    data = CrossSectionDataset(handler=handler_of(random_rows(days=80)), segments={"test": DAYS[[70, 79]]}, purge=2)
    window = plan(DAYS, DAYS[[70, 79]], "20D", "10D", "10D", reach=2)[0]
    assert DAYS.get_loc(window.train[0]) - DAYS.get_loc(RawData.of(data).first_day(window)) == DEFAULT_STEP_LEN - 1


def test_columns_keep_their_types():
    rows = random_rows(days=80)
    rows["feature", "F1"] = rows["feature", "F1"].astype(np.float64) + 1e-12
    rows["feature", "F2"] = np.arange(len(rows))
    rows["feature", "F3"] = rows["feature", "F3"] > 0
    again = SharedRows.of(rows).between(DAYS[3], DAYS[9])
    pd.testing.assert_frame_equal(again, rows.loc[DAYS[3] : DAYS[9]], check_exact=True)


@pytest.mark.parametrize(("value", "dtype"), [("text", "object"), ("text", "str"), (1.0, "Float64")])
def test_columns_without_numbers_are_refused(value, dtype):
    rows = random_rows(days=80)
    rows["feature", "NAME"] = pd.Series(value, index=rows.index, dtype=dtype)
    with pytest.raises(DataError, match=r"Columns \('feature', 'NAME'\) hold no numbers of numpy's"):
        SharedRows.of(rows)


def test_dropped_raw_rows_are_refused():
    handler = DataHandlerLP(data_loader=StaticDataLoader(random_rows(days=80)), drop_raw=True)
    data = DatasetH(handler=handler, segments={"test": ("2020-03-10", "2020-04-20")})
    with pytest.raises(ConfigError, match=r"dropped its raw rows \(drop_raw: true\)"):
        RawData.of(data)

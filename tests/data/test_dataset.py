from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset import DatasetH, TSDatasetH
from qlib.data.dataset.handler import DataHandlerLP

from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError, DataError, SegmentError
from qlib_ext.testing.rows import SEGMENTS, dataset_of, handler_of, random_rows


def day_of(samples) -> pd.DatetimeIndex:
    return samples.index.get_level_values("datetime")


def test_a_batch_is_the_cross_section_of_one_day():
    rows = random_rows(seed=1)
    data = dataset_of(rows)
    samples = data.samples("train", learn=True)
    for day in range(samples.n_days):
        batch = samples.batch(np.array([day]), data.window)
        assert len(set(batch.day.tolist())) == 1
        when = data.panel().days[int(batch.day[0])]
        own = rows.xs(when, level="datetime")
        assert list(data.panel().instruments[batch.instrument.numpy()]) == list(own.index)
        np.testing.assert_array_equal(batch.x[:, -1].numpy(), own["feature"].to_numpy())
        np.testing.assert_array_equal(batch.y.numpy(), own["label"].to_numpy()[:, 0])


def test_several_days_in_one_batch_are_told_apart_by_the_mask():
    data = dataset_of(random_rows(holes=0.4, seed=2))
    samples = data.samples("train", learn=True)
    days = np.array([3, 11, 4])
    batch = samples.batch(days, data.window)
    singles = [samples.batch(np.array([day]), data.window) for day in days]
    assert batch.mask.sum(1).tolist() == [len(single.y) for single in singles]
    laid_out = batch.to_days(batch.x)
    for number, single in enumerate(singles):
        np.testing.assert_array_equal(laid_out[number, batch.mask[number]].numpy(), single.x.numpy())
    assert (laid_out[~batch.mask] == 0).all()


def test_samples_have_labels_but_windows_keep_the_rows_without():
    rows = random_rows(holes=0.0, seed=3)
    rows.iloc[5::7, -1] = np.nan
    data = dataset_of(rows)
    learn, infer = data.samples("train", learn=True), data.samples("train", learn=False)
    assert np.isfinite(learn.labels().numpy()).all()
    assert len(infer) > len(learn)
    complete = dataset_of(rows.fillna(0.0)).samples("train", learn=True).batch(np.array([20]), data.window)
    batch = learn.batch(np.array([20]), data.window)
    kept = np.isin(complete.instrument.numpy(), batch.instrument.numpy())
    np.testing.assert_array_equal(batch.x.numpy(), complete.x[kept].numpy())


@pytest.mark.parametrize("purge", [0, 1, 2, 5])
def test_training_ends_before_its_labels_reach_the_next_segment(purge):
    rows = random_rows(holes=0.0)
    days = rows.index.unique("datetime")
    data = dataset_of(rows, purge=purge)
    for segment, border in (("train", SEGMENTS["valid"][0]), ("valid", SEGMENTS["test"][0])):
        last = day_of(data.samples(segment, learn=True)).max()
        assert days.get_loc(last) + purge < days.searchsorted(pd.Timestamp(border))
        assert days.get_loc(last) + purge + 1 == days.searchsorted(pd.Timestamp(border))
        assert day_of(data.samples(segment, learn=False)).max() == days[days <= SEGMENTS[segment][1]][-1]
    assert day_of(data.samples("test", learn=True)).max() == days[days <= SEGMENTS["test"][1]][-1]


def test_a_gap_between_segments_needs_no_purging():
    segments = SEGMENTS | {"train": ("2020-01-01", "2020-02-07")}
    data = dataset_of(random_rows(holes=0.0), segments=segments)
    assert day_of(data.samples("train", learn=True)).max() == pd.Timestamp("2020-02-07")


def test_prepare_purges_the_learning_view_only():
    data = dataset_of(random_rows(holes=0.0))
    learn, infer = (
        data.prepare("train", col_set=["feature", "label"], data_key=key)
        for key in (DataHandlerLP.DK_L, DataHandlerLP.DK_I)
    )
    assert infer.index.unique("datetime")[-1] == pd.Timestamp("2020-02-14")
    assert learn.index.unique("datetime")[-1] == pd.Timestamp("2020-02-12")
    both = data.prepare(["train", "valid"], col_set="label", data_key=DataHandlerLP.DK_L)
    assert [len(part) for part in both] == [len(learn), len(data.samples("valid", learn=True))]


def test_prepare_is_qlibs_otherwise():
    rows = random_rows()
    theirs = DatasetH(handler=handler_of(rows), segments=SEGMENTS).prepare("test")
    pd.testing.assert_frame_equal(dataset_of(rows).prepare("test"), theirs)
    pd.testing.assert_frame_equal(dataset_of(rows).prepare(slice("2020-03-09", "2020-03-31")), theirs)


def test_open_segments():
    segments = {"train": (None, "2020-02-14"), "valid": ("2020-02-17", "2020-03-06"), "test": ("2020-03-09", None)}
    data = dataset_of(random_rows(holes=0.0), segments=segments)
    assert day_of(data.samples("train", learn=True)).min() == pd.Timestamp("2020-01-01")
    assert day_of(data.samples("train", learn=True)).max() == pd.Timestamp("2020-02-12")
    assert day_of(data.samples("test", learn=False)).max() == pd.Timestamp("2020-03-31")


def test_sample_every_thins_the_training_days_only():
    rows = random_rows(holes=0.0)
    every, fifth = dataset_of(rows), dataset_of(rows, sample_every=5)
    days = day_of(every.samples("train", learn=True)).unique()
    assert list(day_of(fifth.samples("train", learn=True)).unique()) == list(days[::5])
    assert len(fifth.samples("valid", learn=True)) == len(every.samples("valid", learn=True))


def test_a_model_of_rows_trains_on_the_sampled_days_too():
    """Qlib's own models read ``prepare``: the same rows are learnt, and all are scored."""
    data = dataset_of(random_rows(holes=0.0), sample_every=5)
    learnt = data.prepare("train", col_set="label", data_key=DataHandlerLP.DK_L).dropna()
    np.testing.assert_array_equal(day_of(learnt).unique(), day_of(data.samples("train", learn=True)).unique())
    assert len(learnt) == len(data.samples("train", learn=True))
    whole = dataset_of(random_rows(holes=0.0))
    for segment, view in (("train", DataHandlerLP.DK_I), ("valid", DataHandlerLP.DK_L)):
        pd.testing.assert_frame_equal(data.prepare(segment, data_key=view), whole.prepare(segment, data_key=view))


def test_several_label_columns():
    rows = random_rows()
    rows["label", "LABEL1"] = 2 * rows["label", "LABEL0"]
    data = dataset_of(rows)
    batch = data.samples("train", learn=True).batch(np.array([0, 1]), data.window)
    assert batch.labels.shape == (len(batch.y), 2)
    np.testing.assert_array_equal(batch.labels[:, 1].numpy(), 2 * batch.y.numpy())


def test_a_window_is_shaped_after_it_is_gathered():
    rows = random_rows()
    handler = handler_of(rows)
    handler.window = Window(4, shape=lambda x: x[:, ::2] * 10)
    data = CrossSectionDataset(handler=handler, segments=SEGMENTS, purge=2)
    plain = dataset_of(rows, step_len=4)
    shaped, unshaped = (d.samples("test", learn=False).batch(np.array([2]), d.window).x for d in (data, plain))
    np.testing.assert_array_equal(shaped.numpy(), unshaped[:, ::2].numpy() * 10)


def test_a_shorter_window_than_the_handlers_is_fine_a_longer_one_is_not():
    handler = handler_of(random_rows())
    handler.window = Window(6)
    assert CrossSectionDataset(handler=handler, segments=SEGMENTS).window == Window(6)
    assert CrossSectionDataset(handler=handler, segments=SEGMENTS, step_len=3).window == Window(3)
    with pytest.raises(ConfigError, match="step_len 8 asks for more days than the 6"):
        CrossSectionDataset(handler=handler, segments=SEGMENTS, step_len=8)


def test_qlibs_time_series_dataset_is_read_as_it_is():
    theirs = TSDatasetH(handler=handler_of(random_rows()), segments=SEGMENTS, step_len=7)
    ours = CrossSectionDataset.of(theirs)
    assert ours.handler is theirs.handler
    assert ours.window == Window(7)
    assert CrossSectionDataset.of(ours) is ours


def test_other_datasets_are_refused():
    handler = handler_of(random_rows())
    with pytest.raises(ConfigError, match="not DatasetH"):
        CrossSectionDataset.of(DatasetH(handler=handler, segments=SEGMENTS))
    with pytest.raises(ConfigError, match="flt_col"):
        CrossSectionDataset.of(TSDatasetH(handler=handler, segments=SEGMENTS, flt_col="label"))


def test_a_pickled_dataset_carries_no_data():
    import pickle

    data = dataset_of(random_rows(days=65, stocks=12))
    data.panel()
    data.config(dump_all=False, recursive=True)
    assert len(pickle.dumps(data)) < 20_000
    recorded = pickle.loads(pickle.dumps(data))
    for read in (lambda: recorded.prepare("test"), lambda: recorded.samples("train", learn=True)):
        with pytest.raises(DataError, match=r"has no rows.*setup_data\(handler_kwargs=\{\"init_type\": \"load_state"):
            read()


def test_a_slice_of_days_is_read_as_a_segment_of_them():
    data = dataset_of(random_rows(days=65))
    test = data.samples("test", learn=False).index
    first, last = test[5][0], test[-9][0]
    part = data.samples(slice(first, last), learn=False)
    assert part.index.equals(test[(test.get_level_values(0) >= first) & (test.get_level_values(0) <= last)])
    assert len(data.samples(slice(None, None), learn=False)) == len(data.prepare(slice(None, None)))
    with pytest.raises(ConfigError, match="no step"):
        data.samples(slice(first, last, 2), learn=False)
    with pytest.raises(SegmentError, match="The slice, 2031-01-01 to None, has no sample"):
        data.samples(slice("2031-01-01", None), learn=False)


@pytest.mark.parametrize(
    "segment",
    [
        ["6Y", "6Y"],
        "2020-01-01",
        ["2020-01-01"],
        ["2020-01-01", "soon"],
        None,
        2020,
        [20200101, 20200131],
        ["2020-01", "2020-03"],
        ["2020-01-01T00:00Z", "2020-01-31T00:00Z"],
    ],
)
def test_a_segment_that_is_no_first_and_last_day_is_named_before_anything_is_loaded(segment):
    handler = {"class": "NoSuchHandler", "module_path": "nowhere"}
    with pytest.raises(ConfigError, match=r"Segment 'train' is its first and its last day, such as .* not "):
        CrossSectionDataset(handler=handler, segments={"train": segment})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_every": 0}, "sample_every"),
        ({"purge": -1}, "purge"),
        ({"purge": "yes"}, "purge"),
        ({"step_len": 0}, "at least one day"),
    ],
)
def test_options_that_make_no_sense(arguments, message):
    with pytest.raises(ConfigError, match=message):
        dataset_of(random_rows(), **arguments)


def test_an_empty_segment_is_named_with_the_days_at_hand():
    data = dataset_of(random_rows(), segments=SEGMENTS | {"test": ("2021-01-01", "2021-06-30")})
    with pytest.raises(SegmentError, match=r"'test'.*no sample.*2020-01-01 to 2020-03-31"):
        data.samples("test", learn=False)


def test_a_missing_segment_is_named():
    with pytest.raises(SegmentError, match=r"no segment 'holdout'.*test.*train.*valid"):
        dataset_of(random_rows()).samples("holdout", learn=False)


def test_a_reach_that_cannot_be_read_asks_for_a_number():
    data = dataset_of(random_rows(), purge="auto")
    with pytest.raises(ConfigError, match="purge: N"):
        data.samples("train", learn=True)


def test_a_misspelt_option_names_the_nearest_one():
    with pytest.raises(
        ConfigError, match=r"CrossSectionDataset has no option 'step_length'; did you mean 'step_len'\?"
    ):
        dataset_of(random_rows(), step_length=20)


def test_handler_and_segments_are_needed():
    with pytest.raises(ConfigError, match="needs a handler and segments"):
        CrossSectionDataset(handler=handler_of(random_rows()))

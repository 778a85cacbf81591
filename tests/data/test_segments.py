"""Segments lie apart, and no processor is fitted on the test."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlib_ext.data import segments
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.segments import refuse_fitted_on_test, refuse_overlap
from qlib_ext.errors import SegmentError
from qlib_ext.testing.rows import SEGMENTS, dataset_of, random_rows

DAYS = pd.bdate_range("2020-01-01", periods=30)
NO_HANDLER = {"class": "NoSuchHandler", "module_path": "nowhere", "kwargs": {}}
OVERLAPS = {
    "a border day is in both": {
        "train": ("2020-01-01", "2020-02-17"),
        "valid": ("2020-02-17", "2020-03-06"),
    },
    "valid lies within train": {"train": ("2020-01-01", "2020-03-06"), "valid": ("2020-02-17", "2020-02-20")},
    "valid is test": {"valid": ("2020-03-09", "2020-03-31"), "test": ("2020-03-09", "2020-03-31")},
    "train has no end": {"train": ("2020-01-01", None), "test": ("2020-03-09", "2020-03-31")},
    "train is all days": {"train": (None, None), "test": ("2020-03-09", "2020-03-31")},
}


@pytest.mark.parametrize("overlapping", OVERLAPS.values(), ids=OVERLAPS)
def test_segments_with_a_day_in_common_are_refused_before_anything_is_loaded(overlapping):
    with pytest.raises(SegmentError, match=r"segments '\w+' .* and '\w+' .* overlap"):
        CrossSectionDataset(handler=NO_HANDLER, segments=overlapping)


@pytest.mark.parametrize("data_key", ["learn", "infer"])
def test_segments_that_come_to_overlap_are_refused_by_every_reader(data_key):
    data = dataset_of(random_rows())
    data.config(segments=SEGMENTS | {"valid": SEGMENTS["train"]})
    with pytest.raises(SegmentError, match="overlap"):
        data.prepare("train", data_key=data_key)
    with pytest.raises(SegmentError, match="overlap"):
        data.samples("train", learn=data_key == "learn")


def test_a_part_of_the_test_may_be_a_segment_too():
    data = dataset_of(random_rows(), segments=SEGMENTS | {"first_week": ("2020-03-09", "2020-03-13")})
    assert len(data.samples("first_week", learn=False)) < len(data.samples("test", learn=False))


@given(st.lists(st.integers(0, 29), min_size=6, max_size=6))
def test_segments_are_refused_exactly_where_they_share_a_day(places):
    spans = [sorted(places[at : at + 2]) for at in (0, 2, 4)]
    drawn = {name: (DAYS[a], DAYS[b]) for name, (a, b) in zip(("train", "valid", "test"), spans, strict=True)}
    days = [set(range(a, b + 1)) for a, b in spans]
    apart = not (days[0] & days[1] or days[0] & days[2] or days[1] & days[2])
    if apart:
        refuse_overlap(drawn)
    else:
        with pytest.raises(SegmentError):
            refuse_overlap(drawn)


def test_a_handler_fitted_on_days_of_the_test_is_refused_before_it_loads():
    handler = NO_HANDLER | {"kwargs": {"fit_end_time": "2020-03-09"}}
    with pytest.raises(SegmentError, match=r"fitted on days up to 2020-03-09.*test begins on 2020-03-09"):
        CrossSectionDataset(handler=handler, segments=SEGMENTS)


def test_a_processor_fitted_on_validation_days_is_told(monkeypatch):
    warnings = []
    monkeypatch.setattr(segments, "logger", SimpleNamespace(warning=warnings.append))
    refuse_fitted_on_test([("2020-03-01", "ZScoreNorm")], SEGMENTS)
    assert "ZScoreNorm is fitted on days up to 2020-03-01, after the last day of training" in warnings[0]


def test_dates_to_fit_on_are_left_alone_where_every_window_has_its_own():
    refuse_fitted_on_test([("2020-03-20", "ZScoreNorm")], {"test": SEGMENTS["test"]})


@pytest.mark.parametrize("data_key", ["learn", "infer", "raw"])
def test_a_segment_without_a_trading_day_is_named(data_key):
    weekend = ("2020-03-07", "2020-03-08")
    data = dataset_of(random_rows(), segments={"test": weekend})
    message = "Segment 'test', 2020-03-07 to 2020-03-08, has no sample; .* None of its days is a trading day"
    with pytest.raises(SegmentError, match=message):
        data.prepare("test", data_key=data_key)
    with pytest.raises(SegmentError, match=message):
        data.samples("test", learn=False)


def test_borders_on_a_weekend_are_those_of_the_trading_days_between_them():
    weekends, days = ({"test": span} for span in (("2020-02-29", "2020-03-15"), ("2020-03-02", "2020-03-13")))
    wide, narrow = (dataset_of(random_rows(), segments=segments).prepare("test") for segments in (weekends, days))
    pd.testing.assert_frame_equal(wide, narrow)


def test_one_stock_alone_is_said_to_have_no_label_of_a_cross_section():
    rows = random_rows()
    name = rows.index.get_level_values("instrument")[0]
    alone = rows[rows.index.get_level_values("instrument") == name].copy()
    alone["label"] = float("nan")  # as the z-score of a day's only stock
    with pytest.raises(
        SegmentError, match=f"'train', .* no sample with a label; .* All are of {name}: among one stock"
    ):
        dataset_of(alone).samples("train", learn=True)

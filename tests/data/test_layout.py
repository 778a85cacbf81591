"""What a window says of its samples: every handler's and every shape's layout is what the tensors are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.bars import DayBars, MultiFrequencyBars
from handlers.fused import FusedBars
from handlers.msnew import MsNew
from handlers.week import Week
from qlib_ext.data.layout import Layout, Series
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError
from qlib_ext.testing import IMAGES
from qlib_ext.testing.rows import dataset_of, random_rows

NO_DATA = {"init_data": False}
FIELDS = Window(5).layout(4)
PACKED = Layout({"day": Series(3, (6,)), "week": Series(2, (6,))})
MIXED = Layout({"day": Series(3, (6,)), "highfreq": Series(2, (27,))})
SERIES = st.dictionaries(st.text("abc", min_size=1), st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1)


@pytest.mark.parametrize(
    ("handler", "fields", "expected"),
    [
        (DayBars, 6, {"window": (30, (6,))}),
        (Week, 6, {"window": (30, (6, 5))}),
        (MsNew, 40, {"window": (30, (5, 8))}),
        (MultiFrequencyBars, 6, {"day": (40, (6,)), "week": (20, (6,)), "month": (12, (6,))}),
        (lambda **kwargs: MultiFrequencyBars({"week": 2}, calendar=True, **kwargs), 8, {"week": (2, (6,))}),
        (FusedBars, 33, {"day": (40, (6,)), "week": (20, (6,)), "month": (12, (6,)), "highfreq": (40, (27,))}),
        (
            lambda **kwargs: FusedBars({"day": 3, "highfreq": 2}, families=["minute"], **kwargs),
            21,
            {"day": (3, (6,)), "highfreq": (2, (15,))},
        ),
    ],
)
def test_the_layout_of_a_handlers_windows(handler, fields, expected):
    window = handler(**NO_DATA).window
    layout = window.layout(fields)
    assert dict(layout.series) == expected
    x = torch.rand(7, window.length, fields) + 0.5
    assert window.shape(x)[0].numel() == layout.values


@pytest.mark.parametrize("window", [Window(5), IMAGES])
def test_the_layout_of_one_series_is_that_of_a_batch(window):
    data = dataset_of(random_rows(), window)
    samples = data.samples("train", learn=True)
    (series,) = data.window.layout(len(data.panel().fields)).series.values()
    assert samples.batch(np.array([3]), data.window).x.shape[1:] == (series.length, *series.step)


@settings(deadline=None)
@given(SERIES)
def test_series_are_cut_out_of_the_row_of_values_in_their_order(series):
    layout = Layout({name: Series(length, (fields,)) for name, (length, fields) in series.items()})
    parts = [torch.rand(3, length, fields) for length, fields in series.values()]
    row = torch.cat([part.flatten(1) for part in parts], dim=1)
    assert layout.values == row.shape[1]
    for packed in (row, row[:, :, None]):
        assert all(map(torch.equal, layout.split(packed), parts))
    same = len({fields for _, fields in series.values()}) == 1
    if same:
        assert all(map(torch.equal, layout.split(torch.cat(parts, dim=1)), parts))


def test_images_are_one_series():
    layout = IMAGES.layout(4)
    assert layout.image == (4, 3)
    x = torch.rand(2, 3, 4, 3)
    assert torch.equal(layout.split(x)[0], x)


@pytest.mark.parametrize(
    ("layout", "kind", "message"),
    [
        (IMAGES.layout(4), "fields", r"are 3 images of 4 rows x 3 columns\. Take a net of images such as ResNetGRU"),
        (PACKED, "fields", r"are day 3 x 6, week 2 x 6\. Take MultiTaskGRU"),
        (FIELDS, "image", r"\[samples, length, rows, columns\].*are window 5 x 4\. Take .*Week or .*MsNew"),
        (MIXED, "image", r"are day 3 x 6, highfreq 2 x 27\. Take .*Week"),
        (IMAGES.layout(4), "sequences", r"reads series of fields; .* 3 images of 4 rows x 3 columns"),
    ],
)
def test_a_net_that_asks_for_another_kind_is_told_what_to_take(layout, kind, message):
    with pytest.raises(ConfigError, match=message):
        getattr(layout, kind)


def test_what_a_net_asks_for():
    assert FIELDS.fields == 4
    assert Layout({"day": Series(12, (6,))}).fields == 6
    assert MIXED.sequences == {"day": (3, 6), "highfreq": (2, 27)}


def test_the_length_of_a_single_series_alone_is_free():
    assert FIELDS.fits(Window(9).layout(4))
    assert not FIELDS.fits(Window(5).layout(3))
    assert not FIELDS.fits(IMAGES.layout(4))
    assert MIXED.fits(Layout(dict(MIXED.series)))
    assert not MIXED.fits(Layout({**MIXED.series, "day": Series(4, (6,))}))
    assert not MIXED.fits(PACKED)


def test_series_that_are_not_what_the_shape_makes():
    window = Window(5, shape=lambda x: x.repeat(1, 2, 1), series={"a": Series(5, (4,)), "b": Series(4, (4,))})
    with pytest.raises(ConfigError, match=r"a 5 x 4, b 4 x 4 .*hold 36 values, .* makes 40 of 5 days of 4 fields"):
        window.layout(4)

"""Windows that are shaped and set against each other: what is missing, who takes part, and that nets train on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.panel import Panel
from qlib_ext.data.shapes.images import five_day_images, half_hour_images, relative_prices
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError, DataError, WindowError
from qlib_ext.models.gru import GRU
from qlib_ext.testing.rows import SEGMENTS, handler_of, random_rows
from tests.slow import standardised_places


def dataset_of(rows: pd.DataFrame, length: int = 5, **kwargs) -> CrossSectionDataset:
    handler = handler_of(rows, related=False)  # polars is not on every GPU
    handler.window = Window(length, standardise=True, **kwargs)
    return CrossSectionDataset(handler=handler, segments=SEGMENTS, purge=2)


def with_missing(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The rows, with a tenth of the features and of the labels NaN."""
    return rows.mask(np.random.default_rng(seed).random(rows.shape) < 0.1)


def slow_windows(rows: pd.DataFrame, day: pd.Timestamp, length: int) -> np.ndarray:
    """The windows of all stocks that have a row today, ``[stocks, length, fields]``; NaN where there is no row."""
    days = rows.index.unique("datetime").sort_values()
    past = [days[days.get_loc(day) - back] if days.get_loc(day) >= back else None for back in range(length - 1, -1, -1)]
    x = np.full((len(rows.loc[[day]]), length, rows["feature"].shape[1]), np.nan)
    for stock, (_, name) in enumerate(rows.loc[[day]].index):
        for place, when in enumerate(past):
            if when is not None and (when, name) in rows.index:
                x[stock, place] = rows.loc[(when, name), "feature"]
    return x


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), holes=st.floats(0, 0.5))
def test_windows_of_days_equal_a_slow_construction(seed, holes):
    rows = with_missing(random_rows(holes=holes, stocks=7, seed=seed), seed)
    data = dataset_of(rows)
    samples = data.samples("train", learn=True)
    picked = np.array([samples.n_days - 1, 0, 3])
    batch = samples.batch(picked, data.window)
    for number, day in enumerate(data.panel().days[batch.day.unique_consecutive().numpy()]):
        expected = standardised_places(slow_windows(rows, day, 5))
        labelled = rows.loc[[day], ("label", "LABEL0")].notna().to_numpy()
        found = batch.to_days(batch.x)[number, batch.mask[number]]
        np.testing.assert_allclose(found.numpy(), expected[labelled], rtol=1e-3, atol=1e-4)


def test_a_stock_without_a_label_is_part_of_the_cross_section_and_its_row_before_joining_is_not():
    rows = random_rows(holes=0.0)
    history = rows.index.get_level_values("instrument").isin(["SH600003", "SH600004"])
    history &= rows.index.get_level_values("datetime") < "2020-01-20"
    panel = Panel.from_frames([rows["feature"][~history], rows["feature"][history]], rows["label"][~history])
    days = torch.tensor([panel.days.get_loc("2020-01-17"), panel.days.get_loc("2020-01-20")])
    members = panel.members(days)
    assert members.sum(1).tolist() == [10, 12]
    assert set(panel.instruments[~members[0].numpy()]) == {"SH600003", "SH600004"}


def test_a_day_without_a_row_is_not_filled_where_that_is_asked_for():
    rows = random_rows(days=8, stocks=3, holes=0.4, seed=3)
    panel = Panel.from_frames([rows["feature"]], rows["label"])
    for day, name in rows.index:
        at = [torch.tensor([level.get_loc(value)]) for level, value in ((panel.days, day), (panel.instruments, name))]
        window = panel.windows(*at, 5, fill=False)[0].numpy()
        own = slow_windows(rows, day, 5)[rows.loc[[day]].index.get_loc((day, name))]
        np.testing.assert_array_equal(window, own.astype("f4"))


def test_the_last_known_close_divides_the_prices():
    nan = np.nan
    x = torch.tensor([[[1, 2, 3, 4, 5, 6], [2, 4, 6, 8, 10, 12], [nan, nan, nan, nan, nan, 9]]] * 2)
    x[1, :, 3] = nan
    shaped = relative_prices(x)
    assert shaped[0, :2].tolist() == [[1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8, 6], [2 / 8, 4 / 8, 6 / 8, 1, 10 / 8, 12]]
    assert shaped[0, 2, :5].isnan().all()
    assert shaped[1, :, :5].isnan().all(), "there is no close"
    assert shaped[:, :, 5].tolist() == [[6, 12, 9]] * 2


def test_images_are_in_order_of_time():
    day = torch.arange(15.0).view(1, 15, 1).expand(2, 15, 6).clone() + 1
    images = five_day_images(day)
    assert images.shape == (2, 3, 6, 5)
    np.testing.assert_allclose(images[0, :, 2].numpy() * 15, [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12, 13, 14, 15]])
    columns = torch.arange(40.0).expand(2, 3, 40)
    assert half_hour_images(columns)[1, 2].tolist() == [list(range(8 * row, 8 * row + 8)) for row in range(5)]


def test_missing_features_train_a_net_where_they_become_zero():
    rows = with_missing(random_rows(), 0)
    data = dataset_of(rows)
    options = {"hidden_size": 4, "num_layers": 1, "num_factors": 2, "n_epochs": 1, "GPU": -1}
    model = GRU(**options)
    model.fit(data)
    assert np.isfinite(model.predict(data)).all()
    data.window = Window(5)
    with pytest.raises(DataError, match="NaN"):
        GRU(**options).fit(data)
    with pytest.raises(DataError, match="NaN"):
        model.predict(data)


def test_a_window_longer_than_all_rows_is_refused_where_it_would_stay_empty():
    rows = random_rows(days=65)
    assert dataset_of(rows, 65).panel()
    with pytest.raises(
        WindowError, match=r"No window of 66 days is complete: there are rows of 65 days, from 2020-01-01"
    ):
        dataset_of(rows, 66).panel()


def test_the_length_is_a_multiple():
    assert Window(20, multiple=5).length == 20
    with pytest.raises(ConfigError, match="every 5 days; step_len 12 is no multiple"):
        Window(12, multiple=5)


@pytest.mark.cuda
def test_a_batch_on_the_gpu_is_that_on_the_cpu():
    data = dataset_of(with_missing(random_rows(), 0))
    days = np.array([3, 0, 7])
    here, there = (data.samples("train", learn=True, device=d).batch(days, data.window).x for d in ("cpu", "cuda"))
    np.testing.assert_allclose(here.numpy(), there.cpu().numpy(), atol=1e-5)

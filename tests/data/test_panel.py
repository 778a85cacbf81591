from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qlib.data.dataset import TSDataSampler

from qlib_ext.data.panel import Panel
from qlib_ext.errors import DataError
from qlib_ext.testing.rows import random_rows


def panel_of(rows: pd.DataFrame) -> Panel:
    return Panel.from_frames([rows["feature"]], rows["label"])


def slow_window(rows: pd.DataFrame, day: pd.Timestamp, instrument: str, length: int) -> np.ndarray:
    """The obvious way: reindex the stock to the days of the window, fill forward, then backward."""
    days = rows.index.unique("datetime").sort_values()
    days = days[days <= day][-length:]
    own = rows["feature"].xs(instrument, level="instrument").reindex(days).ffill().bfill()
    return np.concatenate([np.repeat(own.to_numpy()[:1], length - len(days), axis=0), own.to_numpy()])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), holes=st.floats(0, 0.7), length=st.integers(1, 9), stocks=st.integers(1, 6))
def test_windows_equal_a_slow_reference(seed, holes, length, stocks):
    rows = random_rows(days=14, stocks=stocks, fields=2, holes=holes, seed=seed)
    if rows.empty:
        return
    panel = panel_of(rows)
    day = torch.from_numpy(panel.days.get_indexer(rows.index.get_level_values("datetime")))
    instrument = torch.from_numpy(panel.instruments.get_indexer(rows.index.get_level_values("instrument")))
    windows = panel.windows(day, instrument, length).numpy()
    for number, (when, name) in enumerate(rows.index):
        np.testing.assert_array_equal(windows[number], slow_window(rows, when, name, length))


def test_windows_equal_qlibs_sampler():
    rows = random_rows(days=40, stocks=8, holes=0.3, seed=1)
    sampler = TSDataSampler(rows.copy(), None, None, step_len=6, fillna_type="ffill+bfill")
    panel = panel_of(rows)
    index = sampler.get_index()
    day = torch.from_numpy(panel.days.get_indexer(index.get_level_values("datetime")))
    instrument = torch.from_numpy(panel.instruments.get_indexer(index.get_level_values("instrument")))
    theirs = np.stack([sampler[i] for i in range(len(sampler))])
    np.testing.assert_array_equal(panel.windows(day, instrument, 6).numpy(), theirs[:, :, :-1])
    np.testing.assert_array_equal(panel.labels[panel.rows(day, instrument), 0].numpy(), theirs[:, -1, -1])


def test_a_window_never_reads_a_row_after_its_day():
    rows = random_rows(days=30, stocks=5, holes=0.4, seed=2)
    panel = panel_of(rows)
    day_of_row = torch.from_numpy(panel.days.get_indexer(rows.sort_index().index.get_level_values("datetime")))
    for day in range(30):
        has_row = (panel.last_row[day] == panel.next_row[day]).nonzero()[:, 0]
        window_rows = panel.window_rows(torch.full_like(has_row, day), has_row, 7)
        assert (day_of_row[window_rows] <= day).all()
        assert (day_of_row[window_rows] > day - 7).all()


def test_rows_from_two_frames_merge_in_order_of_day_and_instrument():
    rows = random_rows(days=20, stocks=6, holes=0.0, seed=3)
    early = rows.index.get_level_values("datetime") < "2020-01-10"
    merged = Panel.from_frames(
        [rows["feature"][~early], rows["feature"][early].sample(frac=1, random_state=0)], rows["label"]
    )
    whole = panel_of(rows)
    assert torch.equal(merged.values, whole.values)
    assert torch.equal(merged.labels, whole.labels)
    assert torch.equal(merged.last_row, whole.last_row)


def test_windows_are_laid_out_time_major():
    panel = panel_of(random_rows(holes=0.0))
    windows = panel.windows(torch.tensor([9, 9, 9]), torch.tensor([0, 1, 2]), 4)
    assert windows.transpose(0, 1).is_contiguous()


def test_groups_follow_their_rows():
    rows = random_rows(days=5, stocks=3, holes=0.2, seed=4)
    groups = pd.Series(np.arange(len(rows), dtype=float), index=rows.index).sample(frac=1, random_state=1)
    panel = Panel.from_frames([rows["feature"]], rows["label"], groups)
    np.testing.assert_array_equal(panel.groups.numpy(), np.arange(len(rows)))


def test_duplicate_rows_are_named():
    rows = random_rows(days=5, stocks=3, holes=0.0)
    with pytest.raises(DataError, match=r"1 rows repeat.*2020-01-02, SH600001"):
        panel_of(pd.concat([rows, rows.iloc[[4]]]))


@pytest.mark.parametrize("gone", ["row", "stock", "day"])
def test_labels_without_features_are_named(gone):
    rows = random_rows(days=5, stocks=3, holes=0.0)
    day, instrument = rows.index[4]
    lost = {
        "row": rows.index[4:5],
        "stock": rows.index[rows.index.get_level_values("instrument") == instrument],
        "day": rows.index[rows.index.get_level_values("datetime") == day],
    }[gone]
    with pytest.raises(DataError, match=rf"{len(lost)} labels or groups have no row .* {lost[0][0]:%Y-%m-%d} at SH"):
        Panel.from_frames([rows["feature"].drop(lost)], rows["label"])


def test_no_rows_at_all():
    rows = random_rows().iloc[:0]
    with pytest.raises(DataError, match="no rows"):
        panel_of(rows)


def test_an_unnamed_index_is_refused():
    rows = random_rows(days=3)
    rows.index.names = ["day", "stock"]
    with pytest.raises((DataError, KeyError), match="datetime"):
        panel_of(rows)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_is_named_with_count_and_place(bad):
    rows = random_rows(days=6, stocks=4, holes=0.2, seed=5)
    rows.iloc[[7, 9], 2] = bad
    when, name = rows.index[7]
    with pytest.raises(
        DataError, match=rf"'F2' is NaN or infinite in 2 of {len(rows)} rows, first on {when:%Y-%m-%d} for {name}"
    ):
        panel_of(rows).require_finite()


@pytest.mark.cuda
def test_a_panel_moves_to_the_gpu_and_back():
    panel = panel_of(random_rows())
    back = panel.to(torch.device("cuda")).to(torch.device("cpu"))
    assert torch.equal(panel.values, back.values)

"""Frames over one block: what lies in one piece is read and joined without a copy, and nothing else is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.data.blocks import copies, joined, values_of, written_over
from qlib_ext.testing.rows import random_rows

ROWS = random_rows()


def block(rows: int = 30, columns: int = 5) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"F{k}" for k in range(values.shape[1])], copy=False)


def test_values_are_the_frames_own_memory():
    values = block()
    for own in (frame(values), frame(values[3:9]), frame(values).iloc[:, 1:4], frame(values).iloc[:, [2]]):
        found = values_of(own)
        assert np.shares_memory(found, values)
        np.testing.assert_array_equal(found, own.to_numpy())
        assert found.flags.writeable


def read_only() -> np.ndarray:
    values = block()
    values.flags.writeable = False
    return values


@pytest.mark.parametrize(
    "other",
    [
        frame(block().astype(np.float64)),
        frame(np.asfortranarray(block())),
        pd.concat([frame(block()), frame(block()).add_prefix("G")], axis=1),
        frame(block()).astype({"F1": np.float64}),
        frame(block()).iloc[:0],
        frame(read_only()),
    ],
    ids=["float64", "by columns", "two blocks", "two types", "no row", "read-only"],
)
def test_what_is_not_in_one_piece_has_none(other):
    assert values_of(other) is None


def test_frames_one_after_the_other_are_one_array():
    values = block()
    whole = joined([frame(values[:10]), frame(values[10:])])
    assert np.shares_memory(whole, values)
    np.testing.assert_array_equal(whole, values)
    some = joined([frame(values[:10]).iloc[:, 1:3], frame(values[10:25]).iloc[:, 1:3]])
    assert np.shares_memory(some, values)
    np.testing.assert_array_equal(some, values[:25, 1:3])


def test_frames_apart_are_not_joined():
    values = block()
    apart = [
        [frame(values[:10]), frame(values[11:])],
        [frame(values[10:]), frame(values[:10])],
        [frame(values[:10]), frame(values[:10])],
        [frame(values[:10]), frame(values[10:].copy())],
        [frame(values[:10]).iloc[:, 1:3], frame(values[10:]).iloc[:, 2:4]],
        [frame(values[:10]), frame(values[10:]).iloc[:, :3]],
    ]
    assert [joined(frames) for frames in apart] == [None] * len(apart)


def test_copies_lie_one_after_the_other_and_are_no_ones():
    parts = [ROWS.iloc[:50], ROWS.iloc[50:90], ROWS.iloc[:0]]
    own = copies(parts)
    for mine, theirs in zip(own, parts, strict=True):
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
    whole = joined(own[:2])
    assert not np.shares_memory(whole, ROWS.to_numpy())
    whole[:] = 0.0
    assert (own[0] == 0).all(axis=None)
    assert not (ROWS == 0).any(axis=None)


def test_copies_keep_the_types():
    mixed = ROWS.astype({("label", "LABEL0"): np.float64})
    for mine, theirs in zip(copies([mixed, mixed.iloc[:3]]), [mixed, mixed.iloc[:3]], strict=True):
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)


def test_new_values_take_the_place_of_the_old_where_they_fit():
    own, new = ROWS.copy(), ROWS["feature"] + np.float32(1)
    (own,) = copies([own])
    memory = values_of(own)
    found = written_over(own, "feature", new)
    pd.testing.assert_frame_equal(found, new, check_exact=True)
    assert np.shares_memory(found.to_numpy(), memory)
    pd.testing.assert_series_equal(own["label", "LABEL0"], ROWS["label", "LABEL0"])


@pytest.mark.parametrize(
    "change", [lambda new: new.iloc[1:], lambda new: new.astype(np.float64), lambda new: new[["F1"]]]
)
def test_new_values_that_do_not_fit_are_taken_themselves(change):
    (own,) = copies([ROWS])
    new = change(ROWS["feature"] + np.float32(1))
    assert written_over(own, "feature", new) is new
    pd.testing.assert_frame_equal(own, ROWS, check_exact=True)

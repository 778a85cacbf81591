"""Frames of float32 over one block of memory in which a row lies in one piece: read, joined, written without a copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def values_of(frame: pd.DataFrame) -> np.ndarray | None:
    """The frame's own memory ``[rows, columns]`` float32, which may be written into; None where it is not in one piece.

    Whoever writes into it must know that no other frame shares it: pandas is not told.
    """
    if not frame.size or set(frame.dtypes) != {np.dtype(np.float32)}:
        return None
    first = frame.iloc[:1].to_numpy()  # a view where all columns lie in one block, else a row that is put together
    if not np.may_share_memory(first, frame.iloc[:1, 0].to_numpy()):
        return None
    values = frame.to_numpy()
    if values.shape[1] > 1 and values.strides[1] != values.itemsize:
        return None
    if not owner(values).flags.writeable:
        return None
    values.flags.writeable = True
    return values


def joined(frames: Sequence[pd.DataFrame]) -> np.ndarray | None:
    """The rows of all frames as one array over their own memory; None where they are not one piece."""
    frames = [frame for frame in frames if len(frame)]
    parts = [part for frame in frames if (part := values_of(frame)) is not None]
    if not parts or len(parts) < len(frames):
        return None
    first, place = parts[0], address(parts[0])
    for part in parts:
        alike = part.shape[1] == first.shape[1] and part.strides == first.strides
        if not alike or address(part) != place or owner(part) is not owner(first):
            return None
        place += len(part) * part.strides[0]
    rows = sum(map(len, parts))
    return np.lib.stride_tricks.as_strided(first, (rows, first.shape[1]), first.strides)


def copies(frames: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Copies of frames with the same columns, one after the other in one block where all are float32."""
    if any(set(frame.dtypes) != {np.dtype(np.float32)} for frame in frames):
        return [frame.copy() for frame in frames]
    block = np.empty((sum(map(len, frames)), frames[0].shape[1]), dtype=np.float32)
    own, low = [], 0
    for frame in frames:
        part = block[low : low + len(frame)]
        part[:] = frame.to_numpy()
        own.append(pd.DataFrame(part, frame.index, frame.columns, copy=False))
        low += len(frame)
    return own


def written_over(frame: pd.DataFrame, group: str, new: pd.DataFrame) -> pd.DataFrame:
    """A group's columns of a frame with new values in its own memory; ``new`` itself where these do not fit into it."""
    own = frame[group]
    values = values_of(own)
    if values is None or not (own.index.equals(new.index) and own.columns.equals(new.columns)):
        return new
    if set(new.dtypes) != {np.dtype(np.float32)}:
        return new
    values[:] = new.to_numpy()
    return own


def address(values: np.ndarray) -> int:
    """Where in memory an array begins."""
    place: int = values.__array_interface__["data"][0]
    return place


def owner(values: np.ndarray) -> np.ndarray:
    """The array that an array is a part of, be it over several."""
    return owner(values.base) if isinstance(values.base, np.ndarray) else values

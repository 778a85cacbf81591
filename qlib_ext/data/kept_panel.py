"""What belongs to a panel beside its values, kept in the cache of the views that it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch

from qlib_ext.data import cache
from qlib_ext.data.blocks import joined
from qlib_ext.data.panel import Panel

ARRAYS = ("groups", "member", "last_row", "next_row", "places")
OTHERS = ("days", "instruments", "fields", "finite")


def read_panel(key: str, features: Sequence[pd.DataFrame]) -> Panel | None:
    """The panel over the memory of frames that are the views of this key; None where it is not kept."""
    values, kept = joined(features), cache.read(key)
    if values is None or kept is None:
        return None
    labels, beside = joined(kept[0]), kept[1]
    assert labels is not None  # what the cache keeps is one piece
    own: dict[str, Any] = {name: beside[name] for name in OTHERS}
    own |= {name: None if beside[name] is None else torch.from_numpy(beside[name]) for name in ARRAYS}
    return Panel(values=torch.from_numpy(values), labels=torch.from_numpy(labels), **own)


def write_panel(key: str, features: Sequence[pd.DataFrame], panel: Panel) -> Panel:
    """Keep what belongs to a panel beside its values; gives the same panel, of which is known whether it is finite.

    One whose frames are not one piece has its rows in another order than the cache, and is left as it is.
    """
    if joined(features) is None:
        return panel
    panel = replace(panel, finite=panel.all_finite())
    arrays = {name: None if (own := getattr(panel, name)) is None else own.numpy() for name in ARRAYS}
    cache.write(key, [pd.DataFrame(panel.labels.numpy())], arrays | {name: getattr(panel, name) for name in OTHERS})
    return panel

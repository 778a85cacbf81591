"""The closes and members of a universe, for tests of the risk model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from qlib_ext.errors import DataError
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.names import instruments_with_features
from qlib_ext.provider.panels import above_zero, checked_folder, membership, read_panels, read_spans
from qlib_ext.risk.windows import carried


@dataclass(frozen=True)
class Universe:
    """Frames [days, stocks]: adjusted closes, carried through suspensions, and whether the stock is a member."""

    close: pd.DataFrame
    members: pd.DataFrame


def read_universe(provider: str | Path, names: Sequence[str]) -> Universe:
    """The stocks of one or several instruments files, such as csi300 and csi500, a member of either being one.

    Raises DataError where the provider has no such file, or bars of none of the stocks.
    """
    folder = checked_folder(provider)
    days = read_calendar(folder)
    spans = pd.concat([read_spans(folder, name) for name in names])
    stocks = sorted({*spans["instrument"]} & instruments_with_features(folder))
    if not stocks:
        raise DataError(f"{folder} has bars of none of the {len(spans)} members of {', '.join(names)}; name others.")
    close = carried(above_zero(read_panels(folder, ["close"], stocks)["close"]))
    return Universe(pd.DataFrame(close, days, stocks), pd.DataFrame(membership(spans, days, stocks), days, stocks))

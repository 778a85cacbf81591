"""Loading features that are functions of a stock's whole bars, where no expression says them."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from qlib.config import C

from qlib_ext.cross_section.cells import cells_of
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.expressions.spans import Spans
from qlib_ext.factors.own_days import Functions, over_own_days
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.panels import read_panels

BARS = ("open", "high", "low", "close", "volume")
FEATURE = "feature"


class OwnDaysLoader(HistoryLoader):
    """Members and their history as ``HistoryLoader`` loads them, their features by ``over_own_days`` of all their bars.

    functions: name of a feature -> function of frames of BARS, and of what is shared, see ``over_own_days``. A stock's
    bars are read from the provider's first day on, whatever day is asked for, so that what is smoothed does not depend
    on it. ``config`` has as features the expressions of BARS, which say what is read.
    """

    of_provider_alone: ClassVar[bool] = True

    def __init__(self, config: dict, functions: Functions, shared: Functions | None = None, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.functions, self.shared = dict(functions), dict(shared or {})

    def _read(self, spans: Spans, extended: Spans, end_time: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of ``spans``, and those beyond them: two frames over one block of float32."""
        members, others = super()._read(spans, extended, end_time)
        provider, symbols = Path(C.dpm.get_data_uri("day")), sorted(extended)
        days = read_calendar(provider)
        panels = read_panels(provider, BARS, symbols)
        bars = {name: pd.DataFrame(panels[name], days, symbols) for name in BARS}
        cells = np.concatenate([cells_of(frame.index, days, pd.Index(symbols)) for frame in (members, others)])
        columns = self._columns(members.columns)
        block = np.empty((len(cells), len(columns)), dtype=np.float32)
        places = {column: place for place, column in enumerate(columns)}
        for name, frame in over_own_days(bars, self.functions, self.shared):
            block[:, places[FEATURE, name]] = frame.to_numpy().ravel()[cells]
        for column in columns:
            if column[0] != FEATURE:
                own = [frame[column].to_numpy() for frame in (members, others)]
                block[:, places[column]] = np.concatenate(own)
        names = pd.MultiIndex.from_tuples(columns)
        head, rest = block[: len(members)], block[len(members) :]
        return (
            pd.DataFrame(head, members.index, names, copy=False),
            pd.DataFrame(rest, others.index, names, copy=False),
        )

    def _columns(self, loaded: pd.MultiIndex) -> list[tuple[str, str]]:
        """The loaded columns with ours in the place of the features."""
        columns: list[tuple[str, str]] = []
        for group in self.fields:
            own = (
                self.functions if group == FEATURE else loaded[loaded.get_level_values(0) == group].get_level_values(1)
            )
            columns += [(group, name) for name in own]
        return columns

    def _expressions(self) -> dict[str, str]:
        """What each column is made of; of a function the fields that it reads."""
        read = {
            name: f"{name}({', '.join(f'${field}' for field in BARS if field in self._bars_of(function))})"
            for name, function in self.functions.items()
        }
        return super()._expressions() | read

    def _bars_of(self, function: Callable[..., pd.DataFrame]) -> set[str]:
        read = signature(function).parameters.keys()
        shared = [self._bars_of(self.shared[name]) for name in read if name in self.shared]
        return set(BARS).intersection(read).union(*shared)

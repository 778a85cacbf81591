"""Technical indicators and candle states of day bars."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from handlers.alpha158vwap import LEARN_PROCESSORS
from handlers.bars import LABEL
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.own_days_loader import BARS, OwnDaysLoader
from qlib_ext.data.window import Window
from qlib_ext.factors.candle_states import STATES
from qlib_ext.factors.technical import INDICATORS
from qlib_ext.keywords import check_types


class Technical(WindowHandler):
    """30 days of 34 technical indicators and 13 candle states: windows ``[samples, 30, 47]``, standardised.

    A column is the name of an indicator in ``qlib_ext.factors.technical`` or of a state in ``candle_states``, made of
    the stock's own trading days from the provider's first day on. Every (field, day of the window) is standardised over
    the day's members, see ``cross_section.standardise``; missing, and therefore 0, are days without trading and windows
    that are not full yet. A state is read as its number, which has an order. states: without them, 34 fields.

    The label is ``vwap[t+11] / vwap[t+1] - 1``, z-scored over the day. Raises DataError for a column that is NaN in
    every row, ProviderError for a provider without one of the five bars.
    Source: Orient Securities, market microstructure series 32 (2026-01-28), the family G.
    """

    window: ClassVar[Window] = Window(length=30, standardise=True)  # type: ignore[misc]

    def __init__(
        self,
        states: bool = True,
        label: Any = LABEL,
        learn_processors: Any = LEARN_PROCESSORS,
        **kwargs: Any,
    ) -> None:
        check_types(Technical.__init__, locals())
        functions = INDICATORS | ({name: function for name, (function, _) in STATES.items()} if states else {})
        super().__init__(
            features=([f"${name}" for name in BARS], [name.upper() for name in BARS]),
            loader=partial(OwnDaysLoader, functions=functions),
            label=label,
            learn_processors=learn_processors,
            **kwargs,
        )

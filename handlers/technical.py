"""Technical indicators and candle states of day bars."""

from __future__ import annotations

from functools import partial
from typing import Any

from handlers.alpha158vwap import LEARN_PROCESSORS
from handlers.bars import LABEL
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.own_days_loader import BARS, OwnDaysLoader
from qlib_ext.data.shapes.one_hot import OneHot
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError
from qlib_ext.factors.candle_states import STATES
from qlib_ext.factors.technical import INDICATORS, SHARED
from qlib_ext.keywords import check_types

DAYS = 30
READINGS = ("one_hot", "number", "none")


class Technical(WindowHandler):
    """30 days of 34 technical indicators and 13 candle states: windows ``[samples, 30, 87]``.

    A column is the name of an indicator in ``qlib_ext.factors.technical`` or of a state in ``candle_states``, made of
    the stock's own trading days from the provider's first day on. Every (indicator, day of the window) is standardised
    over the day's members, see ``cross_section.standardise``; missing, and therefore 0, are days without trading and
    windows that are not full yet.

    states: one_hot, a field for each value of each state, 1 where it is the state's, so that the first layer of a net
    embeds it: a column of its matrix is the vector of that value; number, the states standardised as the indicators
    are, 47 fields; or none, 34 fields.

    The label is ``vwap[t+11] / vwap[t+1] - 1``, z-scored over the day. Raises ConfigError for other states, DataError
    for a column that is NaN in every row, ProviderError for a provider without one of the five bars.
    Source: Orient Securities, market microstructure series 32 (2026-01-28), the family G.
    """

    def __init__(
        self,
        states: str = "one_hot",
        label: Any = LABEL,
        learn_processors: Any = LEARN_PROCESSORS,
        **kwargs: Any,
    ) -> None:
        check_types(Technical.__init__, locals())
        if states not in READINGS:
            raise ConfigError(f"states of {type(self).__name__} is one of {', '.join(READINGS)}, not {states!r}.")
        of_states = {name: function for name, (function, _) in STATES.items()}
        one_hot = OneHot(tuple(values for _, values in STATES.values())) if states == "one_hot" else None
        super().__init__(
            window=Window(DAYS, one_hot, standardise=True, unscaled=0 if one_hot is None else one_hot.values),
            features=([f"${name}" for name in BARS], [name.upper() for name in BARS]),
            loader=partial(
                OwnDaysLoader, functions=INDICATORS if states == "none" else INDICATORS | of_states, shared=SHARED
            ),
            label=label,
            learn_processors=learn_processors,
            **kwargs,
        )

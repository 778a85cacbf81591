"""Flows of money by the size of orders."""

from __future__ import annotations

from typing import Any

from handlers.alpha158vwap import LEARN_PROCESSORS
from handlers.bars import LABEL
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.shapes.one_hot import OneHot
from qlib_ext.data.window import Window
from qlib_ext.factors.flows import INDICATORS, STATE_VALUES, STATES
from qlib_ext.keywords import check_types

DAYS = 30


class Flows(WindowHandler):
    """30 days of 40 indicators and 5 states of flows by order size: windows ``[samples, 30, 55]``.

    The provider has ``$flow_small_buy`` to ``$flow_very_large_sell``, which ``qlib-ext ticks build --families flows``
    writes of trades, or ``qlib-ext fields`` of a vendor's table. A column is an indicator or a state of
    ``qlib_ext.factors.flows``. Every (indicator, day of the window) is standardised over the day's members, see
    ``cross_section.standardise``; what is missing is 0. A state is a field for each of its three values, 1 where it is
    the state's. states: false, without them, 40 fields.

    The label is ``vwap[t+11] / vwap[t+1] - 1``, z-scored over the day. Raises ProviderError for a provider without the
    flows, DataError for a column that is NaN in every row.
    Source: Orient Securities, market microstructure series 32 (2026-01-28), the family C.
    """

    def __init__(
        self,
        states: bool = True,
        label: Any = LABEL,
        learn_processors: Any = LEARN_PROCESSORS,
        **kwargs: Any,
    ) -> None:
        check_types(Flows.__init__, locals())
        columns = INDICATORS | (STATES if states else {})
        one_hot = OneHot((STATE_VALUES,) * len(STATES)) if states else None
        super().__init__(
            features=(list(columns.values()), list(columns)),
            window=Window(DAYS, one_hot, standardise=True, unscaled=0 if one_hot is None else one_hot.values),
            label=label,
            learn_processors=learn_processors,
            **kwargs,
        )

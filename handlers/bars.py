"""Day bars, as they are or with week and month bars, and the return of ten days from the next day's average price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from handlers.alpha158vwap import LEARN_PROCESSORS
from qlib_ext.data.calendar_loader import CalendarLoader
from qlib_ext.data.handler import Columns, WindowHandler
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.data.shapes.frequencies import LENGTHS, Frequencies
from qlib_ext.data.shapes.images import relative_prices
from qlib_ext.data.window import Window
from qlib_ext.keywords import check_type, check_types, refuse_unknown

LABEL = (["Ref($vwap, -11)/Ref($vwap, -1) - 1"], ["LABEL0"])
PRICES = {name: f"${name}" for name in ("open", "high", "low", "close", "vwap")}
DAY_FIELDS = PRICES | {"turnover": "$volume / Mean($volume, 60)"}
FREQUENCY_FIELDS = PRICES | {"volume": "$volume * ($volume / $volume)"}  # NaN where nothing is traded


def replaced(fields: Mapping[str, str], given: Mapping[str, str] | None, owner: str) -> dict[str, str]:
    """Expressions by name, those that were given in the place of ours; raises ConfigError for another field's name."""
    check_type("fields", given, Mapping[str, str] | None)
    refuse_unknown(given or {}, fields, f"fields of {owner}")
    return {**fields, **(given or {})}


def columns_of(expressions: Mapping[str, str]) -> Columns:
    """Expressions by name as columns, named in capital letters."""
    return list(expressions.values()), [name.upper() for name in expressions]


class DayBars(WindowHandler):
    """30 days of open, high, low, close, vwap and relative volume: windows ``[samples, 30, 6]``, standardised.

    The prices of a window, adjusted, are divided by its last close: their unit differs from stock to stock. Then every
    (field, day of the window) is standardised over the day's members, see ``cross_section.standardise``. Missing, and
    therefore 0: a suspended day, in every field; the days before the listing; every price of a window without a close.
    The last close is the last that is known, so a stock suspended today keeps what it did before.

    fields: expressions in place of the six, by name. The sixth, ``turnover``, is by default relative volume, the volume
    over its mean of 60 days, which every provider has and which is no share of the float; where the provider knows the
    turnover: ``fields: {turnover: $turnover}``. The label is ``vwap[t+11] / vwap[t+1] - 1``. Raises ConfigError for
    another field's name.
    Source: Orient Securities, factor selection series 96 (2023-08-24), section 1.2, whose week images are treated so.
    """

    window: ClassVar[Window] = Window(length=30, shape=relative_prices, standardise=True)  # type: ignore[misc]

    def __init__(
        self,
        fields: Mapping[str, str] | None = None,
        label: Any = LABEL,
        learn_processors: Any = LEARN_PROCESSORS,
        **kwargs: Any,
    ) -> None:
        columns = replaced(DAY_FIELDS, fields, type(self).__name__)
        super().__init__(
            features=columns_of(columns),
            label=label,
            learn_processors=learn_processors,
            **kwargs,
        )


class MultiFrequencyBars(WindowHandler):
    """40 days, 20 weeks and 12 months of open, high, low, close, vwap and volume: windows ``[samples, 72, 6]``.

    The three series stand one after the other, made of daily columns by blocks of 5 and of 20 trading days that end at
    t, each divided by its own last value: ``Frequencies`` says how. Then every (field, place) is standardised over the
    day's members, see ``cross_section.standardise``. Missing, and therefore 0: bars without a trading day, because of a
    suspension, before the listing, or before the provider begins; a stock listed last week has one week and one month.

    lengths: how many of each frequency, and which; ``lengths: {day: 40}`` reads days alone. calendar: weeks and months
    of the calendar, the last of them as far as they have come. Windows reach as far back as the lengths ask, 240
    trading days (276 with calendar): step_len is no other, and WindowError is raised where the provider has fewer. The
    label is ``vwap[t+11] / vwap[t+1] - 1``. Raises DataError where all volumes are zero.
    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibits 50 and 51.
    """

    def __init__(
        self,
        lengths: Mapping[str, int] = LENGTHS,
        calendar: bool = False,
        label: Any = LABEL,
        learn_processors: Any = LEARN_PROCESSORS,
        **kwargs: Any,
    ) -> None:
        check_types(MultiFrequencyBars.__init__, locals())
        shape = Frequencies(dict(lengths), calendar)
        super().__init__(
            features=columns_of(FREQUENCY_FIELDS),
            window=Window(shape.days, shape, standardise=True, multiple=shape.days, series=shape.series),
            loader=CalendarLoader if calendar else HistoryLoader,
            label=label,
            learn_processors=learn_processors,
            **kwargs,
        )

"""Day bars as they are, with the return of ten days from the next day's average price on as label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.images import relative_prices
from qlib_ext.data.windows import Window
from qlib_ext.errors import refuse_unknown

LABEL = (["Ref($vwap, -11)/Ref($vwap, -1) - 1"], ["LABEL0"])
FIELDS = {
    "open": "$open",
    "high": "$high",
    "low": "$low",
    "close": "$close",
    "vwap": "$vwap",
    "turnover": "$volume / Mean($volume, 60)",
}
LEARN_PROCESSORS = (
    {"class": "DropnaLabel"},
    {"class": "CSZScoreNorm", "module_path": "qlib_ext.data.processors", "kwargs": {"fields_group": "label"}},
)


class DayBars(WindowHandler):
    """30 days of open, high, low, close, vwap and turnover: windows ``[samples, 30, 6]``, standardised.

    The prices of a window, adjusted, are divided by its last close: their unit differs from stock to stock. Then every
    (field, day of the window) is standardised over the day's members, see `cross_section.standardise`. Missing, and
    therefore 0: a suspended day, in every field; the days before the listing; every price of a window without a close.
    The last close is the last that is known, so a stock suspended today keeps what it did before.

    fields: expressions in place of the six, by name. turnover is the volume over its mean of 60 days, which every
    provider has, and no share of the float; where the provider knows it: ``fields: {turnover: $turnover}``. The label
    is ``vwap[t+11] / vwap[t+1] - 1``. Raises TypeError for another field's name.
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
        refuse_unknown(fields or {}, FIELDS, f"fields of {type(self).__name__}")
        columns = FIELDS | dict(fields or {})
        super().__init__(
            fields=(list(columns.values()), [name.upper() for name in columns]),
            label=label,
            learn_processors=learn_processors,
            **kwargs,
        )

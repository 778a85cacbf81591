"""Images of a day's eight half-hours, a window of 30 days."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from handlers.alpha158vwap import LEARN_PROCESSORS
from handlers.bars import LABEL, replaced
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.intraday import HalfHourLoader
from qlib_ext.data.shapes.half_hours import HALF_HOUR_FIELDS
from qlib_ext.data.shapes.images import half_hour_images
from qlib_ext.data.window import Window

HALF_HOUR_EXPRESSIONS = {**{name: f"${name}" for name in HALF_HOUR_FIELDS}, "float_mv": "$float_mv"}


class MsNew(WindowHandler):
    """30 days as 30 images of 5 rows (open, high, low, close, amount) x 8 half-hours, the last one of day t.

    Windows ``[samples, 30, 5, 8]``, rows of 40 columns, OPEN1 to AMOUNT8. Prices are divided by the close of the day
    before, adjusted, and the amount by the float market value: ``HalfHourLoader`` says how, from which bars, and what
    it raises. Then every (field, half-hour, day of the window) is standardised over the day's members, see
    ``cross_section.standardise``. Missing, and therefore 0: half-hours without a bar, suspended days, the days before
    the listing and the day of the listing itself, which has no close before it, and days of a window before the bars
    of the intraday provider begin.

    fields: expressions by name in place of the five of the intraday provider, or of float_mv, of the day's; where the
    float is not known, for example ``fields: {float_mv: $total_mv}``. The label is
    ``vwap[t+11] / vwap[t+1] - 1``. Raises ConfigError for another field's name.
    Source: Orient Securities, factor selection series 96 (2023-08-24), section 1.2.
    """

    window: ClassVar[Window] = Window(length=30, shape=half_hour_images, standardise=True)  # type: ignore[misc]

    def __init__(
        self,
        fields: Mapping[str, str] | None = None,
        label: Any = LABEL,
        learn_processors: Any = LEARN_PROCESSORS,
        **kwargs: Any,
    ) -> None:
        expressions = replaced(HALF_HOUR_EXPRESSIONS, fields, type(self).__name__)
        super().__init__(
            features=([expressions["float_mv"]], ["FLOAT_MV"]),
            label=label,
            loader=partial(HalfHourLoader, bars=expressions),
            learn_processors=learn_processors,
            **kwargs,
        )

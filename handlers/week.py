"""Images of five days each, a window of 150 days."""

from __future__ import annotations

from typing import ClassVar

from handlers.bars import DayBars
from qlib_ext.data.shapes.images import DAYS_PER_IMAGE, five_day_images
from qlib_ext.data.window import Window


class Week(DayBars):
    """150 days as 30 images of 6 rows x 5 days, the last one ending at t.

    Windows ``[samples, 30, 6, 5]``; the rows are open, high, low, close, vwap and relative volume, or turnover. Prices
    are divided by the last close of the 150 days; what is standardised, missing and raised, and the keywords, are those
    of ``DayBars``. step_len is a multiple of five.
    Source: Orient Securities, factor selection series 96 (2023-08-24), section 1.2.
    """

    window: ClassVar[Window] = Window(  # type: ignore[misc]
        length=150, shape=five_day_images, standardise=True, multiple=DAYS_PER_IMAGE
    )

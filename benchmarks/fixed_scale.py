"""Day bars as they move, not set against those of other stocks: what standardising over the day might take away."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from handlers.bars import DAY_FIELDS, DayBars
from qlib_ext.data.shapes.images import N_PRICES, relative_prices
from qlib_ext.data.window import Window

PRICE_SCALE, MOST = 0.1, 5.0  # about what a price moves by within 30 days; how many such scales are the most


def fixed_scale(x: Tensor) -> Tensor:
    """Prices as returns to the last close over 0.1, relative volume less its mean of 1, within 5.

    x [samples, days, 6] -> the same shape.
    """
    scale = x.new_full((x.shape[2],), 1.0)
    scale[:N_PRICES] = PRICE_SCALE
    return ((relative_prices(x) - 1) / scale).clamp(-MOST, MOST)


class FixedScaleBars(DayBars):
    """DayBars with one scale for all days and stocks in the place of a mean and a deviation a day and place."""

    window: ClassVar[Window] = Window(length=30, shape=fixed_scale, standardise=True, unscaled=len(DAY_FIELDS))  # type: ignore[misc]

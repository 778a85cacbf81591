"""Qlib's daily price-volume features without the average price, for data that have none, such as Yahoo's."""

from __future__ import annotations

from typing import Any, ClassVar

from qlib.contrib.data.loader import Alpha158DL

from handlers.alpha158vwap import FEATURES, LEARN_PROCESSORS
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.window import Window

LABEL = (["Ref($close, -2)/Ref($close, -1) - 1"], ["LABEL0"])
PRICES: dict = {"windows": [0], "feature": ["OPEN", "HIGH", "LOW"]}


class Alpha158close(WindowHandler):
    """The 157 of Alpha158's features that need no $vwap, and its label ``close[t+2] / close[t+1] - 1``.

    Traded at the next day's close. Default processors are those of ``Alpha158vwap``; windows of 20 days.
    """

    window: ClassVar[Window] = Window(length=20)  # type: ignore[misc]

    def __init__(self, label: Any = LABEL, learn_processors: Any = LEARN_PROCESSORS, **kwargs: Any) -> None:
        super().__init__(
            features=Alpha158DL.get_feature_config(FEATURES | {"price": PRICES}),
            label=label,
            learn_processors=learn_processors,
            **kwargs,
        )

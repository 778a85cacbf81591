"""Qlib's 158 daily price-volume features, with the return between two days' volume-weighted prices as label."""

from __future__ import annotations

from typing import Any, ClassVar

from qlib.contrib.data.loader import Alpha158DL

from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.window import Window

LABEL = (["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"])
FEATURES: dict = {
    "kbar": {},
    "price": {"windows": [0], "feature": ["OPEN", "HIGH", "LOW", "VWAP"]},
    "rolling": {},
}
LEARN_PROCESSORS = (
    {"class": "DropnaLabel"},
    {"class": "CSZScoreNorm", "module_path": "qlib_ext.processors.normalise", "kwargs": {"fields_group": "label"}},
)


class Alpha158vwap(WindowHandler):
    """Alpha158 with the label ``vwap[t+2] / vwap[t+1] - 1``: traded at the next day's average price.

    The features, label and default processors are those of Qlib's ``Alpha158vwap``; windows of 20 days.
    ``engine: fast``, the default, gives the numbers of ``engine: qlib`` in a tenth of its time.
    Raises DataError where $vwap is NaN throughout, ConfigError for another engine.
    """

    window: ClassVar[Window] = Window(length=20)  # type: ignore[misc]

    def __init__(self, label: Any = LABEL, learn_processors: Any = LEARN_PROCESSORS, **kwargs: Any) -> None:
        super().__init__(
            features=Alpha158DL.get_feature_config(FEATURES),
            label=label,
            learn_processors=learn_processors,
            **kwargs,
        )

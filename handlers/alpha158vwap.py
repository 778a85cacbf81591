"""Qlib's 158 daily price-volume features, with the return between two days' volume-weighted prices as label."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from qlib.contrib.data.loader import Alpha158DL

from handlers.expression_file import read_columns
from qlib_ext.data.handler import Columns, WindowHandler
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError

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

    file: further columns beside the 158, such as factors that a search has found: YAML, a line ``NAME: expression`` for
    each, as ``handlers.expressions.Expressions`` reads it alone.

    Raises DataError where $vwap is NaN throughout; ConfigError for another engine, and for a file that cannot be read,
    has a name of Alpha158's or an expression that is none or reads a later day than its own.
    """

    window: ClassVar[Window] = Window(length=20)  # type: ignore[misc]

    def __init__(
        self, label: Any = LABEL, learn_processors: Any = LEARN_PROCESSORS, file: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(
            features=Alpha158DL.get_feature_config(FEATURES) if file is None else beside_alpha158(Path(file)),
            label=label,
            learn_processors=learn_processors,
            **kwargs,
        )


def beside_alpha158(file: Path) -> Columns:
    """Alpha158's expressions and names, and those of a file after them."""
    expressions, names = Alpha158DL.get_feature_config(FEATURES)
    own, own_names = read_columns(file)
    if twice := sorted(set(names) & set(own_names)):
        raise ConfigError(f"{file} names {twice[0]!r}, which is one of Alpha158's own columns; name it otherwise.")
    return expressions + own, names + own_names

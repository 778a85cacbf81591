"""Columns that a file names: factors that a search has found, or that somebody wrote down."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from handlers.alpha158vwap import LEARN_PROCESSORS
from handlers.bars import LABEL
from handlers.expression_file import read_columns
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.window import Window
from qlib_ext.keywords import check_types


class Expressions(WindowHandler):
    """30 days of the expressions of a file: windows ``[samples, 30, expressions]``, standardised.

    file: YAML, a line ``NAME: expression`` for each column, such as ``REVERSAL: 1 - $close / Ref($close, 20)``; its
    content is part of what a finished training is known by. Every (field, day of the window) is standardised over the
    day's members, see ``cross_section.standardise``; what is missing is 0.

    The label is ``vwap[t+11] / vwap[t+1] - 1``, z-scored over the day. Raises ConfigError for a file that cannot be
    read or names no column, and for an expression that cannot be read or reads a later day than its own.
    """

    window: ClassVar[Window] = Window(length=30, standardise=True)  # type: ignore[misc]

    def __init__(
        self,
        file: str,
        label: Any = LABEL,
        learn_processors: Any = LEARN_PROCESSORS,
        **kwargs: Any,
    ) -> None:
        check_types(Expressions.__init__, locals())
        super().__init__(features=read_columns(Path(file)), label=label, learn_processors=learn_processors, **kwargs)

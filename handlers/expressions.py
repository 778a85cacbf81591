"""Columns that a file names: factors that a search has found, or that somebody wrote down."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ruamel.yaml import YAML, YAMLError  # which, unlike PyYAML, refuses a name that stands there twice

from handlers.alpha158vwap import LEARN_PROCESSORS
from handlers.bars import LABEL
from qlib_ext.data.handler import Columns, WindowHandler
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError
from qlib_ext.expressions.reach import reach_of
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


def read_columns(file: Path) -> Columns:
    """The expressions of a file and the names of their columns."""
    try:
        columns = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(f"{file} cannot be read as YAML, a line NAME: expression for each column: {error}") from error
    if not isinstance(columns, dict) or not columns:
        raise ConfigError(f"{file} names no column; write a line for each, such as REVERSAL: $close / Ref($close, 20).")
    for name, expression in columns.items():
        if not isinstance(name, str) or not isinstance(expression, str):
            raise ConfigError(f"{file}: {name!r} is {expression!r}, where a name and the text of an expression belong.")
        refuse_future(f"{file}: {name}, {expression!r},", expression)
    return list(columns.values()), list(columns)


def refuse_future(name: str, expression: str) -> None:
    """Raise ConfigError, which calls it ``name``, for what is no expression or reads a later day than its own."""
    try:
        days = reach_of(expression)
    except ConfigError:
        raise
    except Exception as error:  # whatever evaluating a text raises
        raise ConfigError(f"{name} is no expression: {error}") from error
    if days > 0:
        raise ConfigError(f"{name} reads {days} days after its own: a factor knows the past alone.")

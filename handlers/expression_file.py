"""A file of expressions, which becomes columns of a data set."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML, YAMLError  # which, unlike PyYAML, refuses a name that stands there twice

from qlib_ext.data.handler import Columns
from qlib_ext.errors import ConfigError
from qlib_ext.expressions.reach import reach_of


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
        hint = ". Write 0 - $close for -$close" if "unary -" in str(error) else ""
        raise ConfigError(f"{name} is no expression: {error}{hint}") from error
    if days > 0:
        raise ConfigError(f"{name} reads {days} days after its own: a factor knows the past alone.")

"""What can be read off the expression of a label: how far it reaches, and over how many days its return runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qlib.data.base import Expression, Feature
from qlib.data.data import ExpressionD
from qlib.data.ops import Ref

from qlib_ext.errors import ConfigError


def check_purge(purge: int | str) -> None:
    """Raise ConfigError unless purge is "auto" or a number of trading days."""
    if purge != "auto" and (not isinstance(purge, int) or purge < 0):
        raise ConfigError(f'purge is "auto" or a number of trading days, not {purge!r}.')


def label_reach(handler: Any, purge: int | str = "auto") -> int:
    """Trading days from a sample to the day its label is known, ``Ref($vwap, -2)/Ref($vwap, -1) - 1`` reaching two.

    ``purge`` is that number, or "auto": it is read from the expressions of the handler's label. Raises
    ConfigError where it cannot be read.
    """
    check_purge(purge)
    if purge != "auto":
        return int(purge)
    try:
        expressions = handler.data_loader.fields["label"][0]
        return max(int(ExpressionD.get_expression_instance(e).get_extended_window_size()[1]) for e in expressions)
    except (AttributeError, KeyError, TypeError, NameError, SyntaxError) as error:
        raise ConfigError(
            "How far the label reaches into the future cannot be read from an expression; give purge: N, the number "
            f"of trading days from a sample to the day its label is known ({error})."
        ) from error


def horizon_of(label: str) -> int:
    """Trading days between the first and the last price of a label's expression.

    `Ref($vwap, -11)/Ref($vwap, -1) - 1` is the return of 10 days. Raises ConfigError where it is none of Qlib's.
    """
    try:
        shifts = set(_shifts(ExpressionD.get_expression_instance(label), 0))
    except (AttributeError, NameError, SyntaxError, TypeError) as error:
        raise ConfigError(f"The label {label!r} cannot be read; give horizon, in trading days ({error}).") from error
    if len(shifts) < 2:
        raise ConfigError(f"The label {label!r} reads prices of one day alone; give horizon, in trading days.")
    return max(shifts) - min(shifts)


def _shifts(expression: Expression, forward: int) -> Iterator[int]:
    """How many days after the label's day each of its fields is read."""
    if isinstance(expression, Feature):
        yield forward
    if isinstance(expression, Ref):
        forward -= expression.N
    for part in vars(expression).values():
        if isinstance(part, Expression):
            yield from _shifts(part, forward)

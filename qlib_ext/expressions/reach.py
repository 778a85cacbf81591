"""What can be read off the expression of a label: how far it reaches, and over how many days its return runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qlib.data import ops, pit
from qlib.data.base import Expression, Feature

from qlib_ext.errors import ConfigError
from qlib_ext.expressions import operators
from qlib_ext.expressions.operators import expression_of

KNOWN = ("qlib.data.base", ops.__name__, pit.__name__, operators.__name__)  # whose operators are known here


def check_purge(purge: int | str) -> None:
    """Raise ConfigError unless purge is "auto" or a number of trading days."""
    if purge != "auto" and (isinstance(purge, bool) or not isinstance(purge, int) or purge < 0):
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
        return max(reach_of(expression) for expression in handler.data_loader.fields["label"][0])
    except (AttributeError, KeyError, TypeError, NameError, SyntaxError) as error:
        raise ConfigError(
            "How far the label reaches into the future cannot be read from an expression; give purge: N, the number "
            f"of trading days from a sample to the day its label is known ({error})."
        ) from error


def reach_of(expression: str) -> int:
    """How many days after its own an expression reads a field at most, 0 for one that reads the past alone.

    Raises ConfigError for an operator that is not Qlib's and has no ``get_extended_window_size`` of its own.
    """
    return max(0, *map(int, _days_read(expression_of(expression), 0)))


def horizon_of(label: str) -> int:
    """Trading days between the first and the last price of a label's expression.

    ``Ref($vwap, -11)/Ref($vwap, -1) - 1`` is the return of 10 days. Raises ConfigError where it is none of Qlib's.
    """
    try:
        days = set(_days_read(expression_of(label), 0))
    except (AttributeError, NameError, SyntaxError, TypeError, ConfigError) as error:
        raise ConfigError(f"The label {label!r} cannot be read; give horizon, in trading days ({error}).") from error
    if len(days) < 2:
        raise ConfigError(f"The label {label!r} reads prices of one day alone; give horizon, in trading days.")
    return max(days) - min(days)


def _days_read(node: Expression, day: int) -> Iterator[int]:
    """On which days, counted from the label's own, the fields of an expression that stands on ``day`` are read.

    A window of N > 0 rows ends on its day and is one day here. With a period of N < 0, Ref reads the later day, and
    every other rolling operator, such as Delta, both.
    """
    if not _is_known(node):
        declared = _declared_reach(node)
        yield from (day, day + declared)
        # Qlib's operators do not declare a negative period: what lies within is read from them, not from this one
        own = declared - max((child.get_extended_window_size()[1] for child in _children(node)), default=0)
        for child in _children(node):
            yield from _days_read(child, day + max(0, own))
    elif isinstance(node, (Feature, pit.P)):  # what P reads is what was known on its day
        yield day
    elif isinstance(node, ops.Ref):
        yield from _days_read(node.feature, day - node.N)
    else:
        period = getattr(node, "N", 0)
        for child in _children(node):
            yield from _days_read(child, day)
            if period < 0:
                yield from _days_read(child, day - period)


def _children(node: Expression) -> Iterator[Expression]:
    """The expressions that an expression is made of."""
    for value in vars(node).values():
        for each in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(each, Expression):
                yield each


def _is_known(node: Expression) -> bool:
    """Whether an operator computes as one of Qlib's does, whose reach follows from its period."""
    computing = (type(node)._load_internal, type(node).load)
    return all(method.__module__ in KNOWN for method in computing) and not isinstance(node, ops.TResample)


def _declared_reach(node: Expression) -> int:
    """The later days that an operator's own ``get_extended_window_size`` asks for."""
    if type(node).get_extended_window_size.__module__ in KNOWN:
        raise ConfigError(
            f"How far {type(node).__name__} reads into the future is not known, since it is no operator of Qlib's. "
            "Give purge: N, the number of trading days from a sample to the day its label is known, or let its "
            "get_extended_window_size() say it."
        )
    return int(node.get_extended_window_size()[1])

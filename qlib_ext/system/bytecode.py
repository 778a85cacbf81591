"""What a class or function of a notebook computes, whose module has no file: its compiled code, and what that calls."""

from __future__ import annotations

import inspect
from types import CodeType
from typing import Any


def compiled(thing: Any, seen: tuple[str, ...] = ()) -> Any:
    """The code of a class or function as texts and lists, with that of the names of its own module that it uses."""
    if thing.__qualname__ in seen:
        return thing.__qualname__
    seen = (*seen, thing.__qualname__)
    if inspect.isclass(thing):
        functions = [part for part in map(_function_of, vars(thing).values()) if inspect.isfunction(part)]
        bases = [base for base in thing.__bases__ if base.__module__ == thing.__module__]
        return [thing.__qualname__, *(compiled(each, seen) for each in [*bases, *functions])]
    used = [thing.__globals__.get(name) for name in _names(thing.__code__)]
    own = [each for each in used if inspect.isroutine(each) or inspect.isclass(each)]
    return [
        _code(thing.__code__),
        *(compiled(each, seen) for each in own if each.__module__ == thing.__module__ and not inspect.isbuiltin(each)),
    ]


def _function_of(part: Any) -> Any:
    """The function behind a property, a static or class method, and a wrapper; anything else as it is."""
    return inspect.unwrap(getattr(part, "fget", None) or getattr(part, "__func__", part))


def _names(code: CodeType) -> list[str]:
    """The names that code and the code within it use."""
    return [*code.co_names, *(name for inner in _inner(code) for name in _names(inner))]


def _code(code: CodeType) -> list[Any]:
    """Instructions, constants and names, without places in a file, which change from run to run."""
    constants = [
        sorted(map(repr, c)) if isinstance(c, frozenset) else repr(c)
        for c in code.co_consts
        if not isinstance(c, CodeType)
    ]
    return [code.co_code.hex(), constants, list(code.co_names), [_code(inner) for inner in _inner(code)]]


def _inner(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]

"""Keywords that a constructor takes, and the messages for one that it does not, and for a value of another type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from inspect import Parameter, signature
from math import isnan
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from qlib_ext.errors import ConfigError

Matches = Callable[[Any], bool]

SINGLE: dict[Any, tuple[type, str, str]] = {
    int: (Integral, "a whole number", "whole numbers"),
    float: (Real, "a number", "numbers"),
    bool: (bool, "true or false", "true or false"),
    str: (str, "a text", "texts"),
}


def keywords_of(klass: type) -> set[str]:
    """The keywords that a class and its bases name in their constructors."""
    named = (p for base in klass.__mro__[:-1] for p in signature(base).parameters.values())
    return {p.name for p in named if p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)}


def refuse_unknown(keywords: Iterable[str], valid: Iterable[str], owner: str) -> None:
    """Raise a ConfigError that names the nearest valid keyword for the first one that ``owner`` does not know."""
    known = sorted(valid)
    for name in keywords:
        if not known:
            raise ConfigError(f"{owner} has no option {name!r}; it takes none.")
        if name not in known:
            nearest = get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{owner} has no option {name!r}; did you mean {nearest!r}? It takes {', '.join(known)}.")


def check_types(owner: Any, given: Mapping[str, Any]) -> None:
    """Raise ConfigError for the first of some keywords whose value is not of the type that ``owner`` states for it.

    owner: a constructor, or a class of options. Known are texts, numbers, true or false, lists and mappings of these,
    and None where it is named; a keyword of any other type is not looked at. NaN is no number.
    """
    for name, annotation in get_type_hints(owner).items():
        if name in given:
            check_type(name, given[name], annotation)


def check_type(name: str, value: Any, annotation: Any) -> None:
    """Raise ConfigError for a value of another type than the annotation's."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    known = [_known(kind) for kind in kinds if kind is not NoneType]
    if None in known or (value is None and NoneType in kinds):
        return
    if not any(matches(value) for matches, _ in filter(None, known)):
        raise ConfigError(f"{name} is {' or '.join(noun for _, noun in filter(None, known))}, not {value!r}.")


def check_least(least: Mapping[str, int], given: Mapping[str, Any]) -> None:
    """Raise ConfigError for the first of some keywords whose value is below its least one; None is fine."""
    for name, bound in least.items():
        if given[name] is not None and given[name] < bound:
            raise ConfigError(f"{name} is at least {bound}, not {given[name]}.")


def _known(kind: Any) -> tuple[Matches, str] | None:
    """What tells a value of a type, and what such a value is called; None for a type that is not looked at."""
    if kind in SINGLE:
        return (lambda value: _is_single(value, kind)), SINGLE[kind][1]
    origin, elements = get_origin(kind) or kind, get_args(kind)
    if origin in (list, Sequence):
        if not elements or elements[0] not in SINGLE:
            return None
        is_list: Matches = lambda value: (  # noqa: E731
            isinstance(value, Sequence)
            and not isinstance(value, str)
            and all(_is_single(each, elements[0]) for each in value)
        )
        return is_list, f"a list of {SINGLE[elements[0]][2]}"
    if origin in (dict, Mapping):
        of = elements[1] if len(elements) > 1 and elements[1] in SINGLE else None
        is_mapping: Matches = lambda value: (  # noqa: E731
            isinstance(value, Mapping) and (of is None or all(_is_single(each, of) for each in value.values()))
        )
        return is_mapping, "a mapping" if of is None else f"a mapping to {SINGLE[of][2]}"
    return None


def _is_single(value: Any, kind: type) -> bool:
    """Whether a value is of a type of ``SINGLE``; true is no number, nor is NaN."""
    if kind is not bool and isinstance(value, bool):
        return False
    fits = isinstance(value, SINGLE[kind][0])
    return fits and not (kind is float and isnan(value))


def check_seeds(seeds: Any) -> None:
    """Raise ConfigError for what is no list of seeds; None is fine."""
    if seeds is None:
        return
    if (
        isinstance(seeds, str)
        or not isinstance(seeds, Sequence)
        or not all(isinstance(seed, Integral) for seed in seeds)
    ):
        raise ConfigError(f"seeds is a list of whole numbers, for example [0, 1, 2], not {seeds!r}.")
    if not seeds:
        raise ConfigError("seeds names at least one seed, for example [0, 1, 2].")

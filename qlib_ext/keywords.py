"""Keywords that a constructor takes, and the messages for one that it does not, and for a value of another type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from inspect import Parameter, signature
from math import isnan
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from qlib_ext.errors import ConfigError

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


def written_out(thing: Any, options: Mapping[str, Any]) -> str:
    """A thing with its options, as it is made: ``GRU(hidden_size=64, ...)``."""
    return f"{type(thing).__name__}({', '.join(f'{name}={value!r}' for name, value in options.items())})"


def own_keywords(thing: Any) -> dict[str, Any]:
    """The attributes of a thing that are named as the keywords of its class, by name."""
    return {name: getattr(thing, name) for name in sorted(keywords_of(type(thing)))}


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
    if value is None and NoneType in kinds:
        return
    nouns = []
    for kind in kinds:
        if kind is not NoneType:
            noun = _noun_of(kind)
            if not noun or _is_of(value, kind):
                return
            nouns.append(noun)
    raise ConfigError(f"{name} is {' or '.join(nouns)}, not {value!r}.")


def check_least(least: Mapping[str, int], given: Mapping[str, Any]) -> None:
    """Raise ConfigError for the first of some keywords whose value is below its least one; None is fine."""
    for name, bound in least.items():
        if given[name] is not None and given[name] < bound:
            raise ConfigError(f"{name} is at least {bound}, not {given[name]}.")


def _noun_of(kind: Any) -> str:
    """What a value of a type is called; empty for a type that is not looked at."""
    if kind in SINGLE:
        return SINGLE[kind][1]
    origin, elements = get_origin(kind) or kind, get_args(kind)
    known = bool(elements) and elements[-1] in SINGLE
    if origin in (list, Sequence):
        return f"a list of {SINGLE[elements[-1]][2]}" if known else ""
    if origin in (dict, Mapping):
        return f"a mapping to {SINGLE[elements[-1]][2]}" if known else "a mapping"
    return ""


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of a type that has a noun."""
    if kind in SINGLE:
        return _is_single(value, kind)
    elements = get_args(kind)
    if (get_origin(kind) or kind) in (list, Sequence):
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        return is_list and all(_is_single(each, elements[-1]) for each in value)
    of_any = not elements or elements[-1] not in SINGLE
    return isinstance(value, Mapping) and (of_any or all(_is_single(each, elements[-1]) for each in value.values()))


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

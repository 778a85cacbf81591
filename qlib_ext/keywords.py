"""Keywords that a constructor takes, and the message for one that it does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from inspect import Parameter, signature
from numbers import Integral
from typing import Any

from qlib_ext.errors import ConfigError


def keywords_of(klass: type) -> set[str]:
    """The keywords that a class and its bases name in their constructors."""
    named = (p for base in klass.__mro__[:-1] for p in signature(base).parameters.values())
    return {p.name for p in named if p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)}


def refuse_unknown(keywords: Iterable[str], valid: Iterable[str], owner: str) -> None:
    """Raise a ConfigError that names the nearest valid keyword for the first one that ``owner`` does not know."""
    known = sorted(valid)
    for name in keywords:
        if name not in known:
            nearest = get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{owner} has no option {name!r}; did you mean {nearest!r}? It takes {', '.join(known)}.")


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

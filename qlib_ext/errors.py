"""Every error that qlib_ext raises on purpose; each message says what is wrong, where, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from inspect import Parameter, signature


class QlibExtError(Exception):
    """Root of the errors of qlib_ext."""


class ProviderError(QlibExtError):
    """The Qlib provider folder is missing, empty or damaged."""


class DataError(QlibExtError, ValueError):
    """Rows, features or labels cannot be used as they are."""


class SegmentError(DataError):
    """A segment of the dataset is empty, missing, or cannot be cut cleanly from the next one."""


class WindowError(DataError):
    """The windows asked for cannot be made from the rows at hand."""


class CheckpointError(QlibExtError):
    """Saved weights are damaged or belong to another net."""


class NotFittedError(QlibExtError):
    """The model was asked to predict before it was trained."""


class NoWeakFactorsError(QlibExtError, TypeError):
    """The model's score is not made of weak factors."""


class TrainingError(QlibExtError):
    """Training cannot go on, for example because the loss is no longer a number."""


class WorkerError(QlibExtError):
    """A process or a machine that was given work is gone, or cannot be had."""


class OutputError(QlibExtError):
    """A file of results cannot be written."""


def keywords_of(klass: type) -> set[str]:
    """The keywords that a class and its bases name in their constructors."""
    named = (p for base in klass.__mro__[:-1] for p in signature(base).parameters.values())
    return {p.name for p in named if p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)}


def refuse_unknown(keywords: Iterable[str], valid: Iterable[str], owner: str) -> None:
    """Raise a TypeError that names the nearest valid keyword for the first one that ``owner`` does not know."""
    known = sorted(valid)
    for name in keywords:
        if name not in known:
            nearest = get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise TypeError(f"{owner} has no option {name!r}; did you mean {nearest!r}? It takes {', '.join(known)}.")

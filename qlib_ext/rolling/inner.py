"""The inner model's configuration: with a seed in it, and checked before anything is loaded."""

from __future__ import annotations

import copy
from inspect import Parameter, signature

import pandas as pd
from qlib.utils import get_callable_kwargs

from qlib_ext.errors import ConfigError, QlibExtError
from qlib_ext.keywords import refuse_unknown
from qlib_ext.system.random_states import keep_random_states


def with_seed(model: dict, seed: int | None) -> dict:
    """The configuration with a seed in it; None leaves the model its own."""
    model = copy.deepcopy(model)
    if seed is not None:
        model["kwargs"] = {**(model.get("kwargs") or {}), "seed": seed}
    return model


def keeps_checkpoints(model: dict) -> bool:
    """Whether the inner model is to keep the state after each epoch."""
    return bool((model.get("kwargs") or {}).get("checkpoint"))


def beside_dataset(model: dict) -> pd.DataFrame | None:
    """What an inner model reads beside the dataset, a row a day; None for one without a method ``beside_dataset``.

    The model is made for the answer and thrown away, with the random states as they were.
    """
    kind, keywords = get_callable_kwargs(model)
    if not hasattr(kind, "beside_dataset"):
        return None
    with keep_random_states():
        found: pd.DataFrame | None = kind(**(keywords or {})).beside_dataset()
    return found


def check_inner(model: dict, seed: int | None = None) -> None:
    """Raise ConfigError where an inner model cannot be made of its configuration.

    It is made once and thrown away, with the random states as they were. A model of Qlib's is not made: most take any
    keyword without a word, and some seed the random numbers and move a net to the GPU as soon as they are made.
    """
    model = with_seed(model, seed)
    try:
        kind, keywords = get_callable_kwargs(model)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"The inner model {model['class']!r} cannot be imported: {error}.") from error
    if not callable(kind):
        raise ConfigError(f"The inner model's class is a name or a class, not {kind!r}.")
    keywords = keywords or {}
    parameters = signature(kind).parameters
    if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()):
        refuse_unknown(keywords, parameters, kind.__name__)
    if kind.__module__.startswith("qlib."):
        return
    try:
        with keep_random_states():
            kind(**keywords)
    except QlibExtError:
        raise
    except Exception as error:  # whatever a user's constructor raises, it would raise for every window
        raise ConfigError(
            f"The inner model {kind.__name__} cannot be made of {keywords}: {type(error).__name__}: {error}"
        ) from error

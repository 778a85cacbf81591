"""What a handler reads, known from its configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qlib.utils import get_callable_kwargs, init_instance_by_config


@dataclass(frozen=True)
class Needs:
    """What a handler reads of its provider.

    universe       the name of its instruments, such as "csi300"; None where they are named one by one
    fields         fields of day bars, without ``$``, sorted
    minute_fields  fields of bars of minutes; empty where none are read
    relations      kinds of relations that are kept beside the provider
    """

    universe: str | None
    fields: tuple[str, ...]
    minute_fields: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()


def needs_of(config: Mapping[str, Any]) -> Needs | None:
    """The needs of a handler's configuration, as a workflow has it; None for a handler that does not tell them.

    The handler is made as Qlib makes it, but without data: no provider is read. Raises ConfigError for bad options.
    """
    if not hasattr(get_callable_kwargs(dict(config))[0], "needs"):
        return None
    without_data = dict(config.get("kwargs") or {}) | {"init_data": False}
    needs: Needs = init_instance_by_config(dict(config) | {"kwargs": without_data}).needs()
    return needs

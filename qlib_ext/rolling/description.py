"""What an object was configured with, the modules that it is made of, and the files that it names."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import CellType
from typing import Any

from qlib.data.dataset import Dataset
from qlib.data.dataset.handler import DataHandlerABC
from qlib.data.dataset.processor import Processor

# attributes that the dates of each window replace; a longer test segment leaves the windows before it as they are
OF_WINDOWS: dict[type, set[str]] = {
    Dataset: {"segments", "cal"},
    DataHandlerABC: {"start_time", "end_time"},
    Processor: {"fit_start_time", "fit_end_time"},
}
WITH_DATA = {"numpy", "pandas", "torch"}  # libraries whose objects hold data, or are a date


class Description:
    """Describes objects, and collects what their parts are made of.

    modules  of the classes and functions among the parts, and those that a configuration names: ``module_path``
    files    that a text among the parts names, at whatever depth
    """

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.files: set[Path] = set()

    def of(self, thing: Any, above: tuple[int, ...] = ()) -> Any:
        """An object as numbers, texts, lists and dicts: its class, and its public attributes.

        Of arrays it says only that they are there: a processor holds what it was fitted to, and rows have a hash.
        """
        if isinstance(thing, str | os.PathLike):
            return self._text(os.fspath(thing))
        if thing is None or isinstance(thing, int | float | bool):
            return thing
        if isinstance(thing, Mapping):
            return self._mapping(thing, above)
        if isinstance(thing, list | tuple):
            return [self.of(value, above) for value in thing]
        if isinstance(thing, set | frozenset):
            return sorted(map(repr, thing))
        if isinstance(thing, partial):
            return self.of([thing.func, thing.args, thing.keywords], above)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            module = thing.__module__ or "builtins"
            self.modules.add(module)
            name = f"{module}.{thing.__qualname__}"
            if not inspect.isfunction(thing) or id(thing) in above:
                return name
            captured = [cell.cell_contents for cell in thing.__closure__ or () if cell != CellType()]
            given = [captured, thing.__defaults__, thing.__kwdefaults__]
            return [name, self.of(given, (*above, id(thing)))] if any(given) else name
        if inspect.ismodule(thing):
            self.modules.add(thing.__name__)
            return thing.__name__
        return self._object(thing, above)

    def _text(self, text: str) -> str:
        path = Path(os.path.expanduser(text))
        if os.path.isfile(path):
            self.files.add(path)
        return text

    def _mapping(self, thing: Mapping, above: tuple[int, ...]) -> dict[str, Any]:
        name, module = thing.get("class"), thing.get("module_path")
        if isinstance(name, str) and "." in name:  # Qlib reads package.module.Class as well
            module = name.rpartition(".")[0]
        if isinstance(module, str):
            self.modules.add(module)
        return {str(key): self.of(value, above) for key, value in thing.items()}

    def _object(self, thing: Any, above: tuple[int, ...]) -> Any:
        kind = type(thing)
        if kind.__module__.partition(".")[0] in WITH_DATA or not hasattr(thing, "__dict__"):
            text = "" if hasattr(thing, "__len__") else repr(thing)
            return kind.__qualname__ if not text or " at 0x" in text else text
        self.modules |= {base.__module__ for base in kind.__mro__}
        if id(thing) in above:
            return kind.__qualname__
        dropped = {name for base, names in OF_WINDOWS.items() if isinstance(thing, base) for name in names}
        own = {name: value for name, value in vars(thing).items() if not name.startswith("_") and name not in dropped}
        return [kind.__qualname__, self._mapping(own, (*above, id(thing)))]

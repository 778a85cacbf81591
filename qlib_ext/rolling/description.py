"""What an object was configured with, the modules that it is made of, and the files that it names."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import CellType
from typing import Any

import joblib
from qlib.data.dataset import Dataset
from qlib.data.dataset.handler import DataHandlerABC
from qlib.data.dataset.processor import Processor

from qlib_ext.keywords import keywords_of
from qlib_ext.rolling.bytecode import compiled
from qlib_ext.system.imports import file_of, is_own

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
        """An object as numbers, texts, lists and dicts: its class, and its public attributes; of data, a hash.

        Of data that is an attribute and no option of the object's class it says only that it is there: it is what the
        object was fitted to, and rows have a hash.
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
            name: Any = f"{module}.{thing.__qualname__}"
            if is_own(module.partition(".")[0]) and file_of(module) is None:
                name = [name, compiled(thing)]
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
        if _is_of_data_library(kind) or not hasattr(thing, "__dict__"):
            if _is_data(thing):
                return joblib.hash(thing)
            text = repr(thing)
            return kind.__qualname__ if " at 0x" in text else text
        self.modules |= {base.__module__ for base in kind.__mro__}
        name = self.of(kind)
        if id(thing) in above:
            return name
        dropped = {attribute for base, names in OF_WINDOWS.items() if isinstance(thing, base) for attribute in names}
        own = {}
        for attribute, value in vars(thing).items():
            if not attribute.startswith("_") and attribute not in dropped:
                fitted = _is_data(value) and attribute not in keywords_of(kind)
                own[attribute] = type(value).__qualname__ if fitted else value
        return [name, self._mapping(own, (*above, id(thing)))]


def _is_of_data_library(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in WITH_DATA


def _is_data(thing: Any) -> bool:
    """Whether a thing is an array, a frame or a tensor, and no single number or date."""
    return _is_of_data_library(type(thing)) and hasattr(thing, "__len__")

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

from qlib_ext.keywords import keywords_of
from qlib_ext.system.bytecode import compiled
from qlib_ext.system.files import content_hash
from qlib_ext.system.imports import code_behind, file_of, is_changed, is_own

WITH_DATA = {"numpy", "pandas", "torch"}  # libraries whose objects hold data, or are a date
WITHOUT_NUMBERS = {"mlflow", "tqdm"}  # packages that record and show what others compute


HEAP_TYPE = 1 << 9  # flag of a class that is written in Python


class Undescribed(Exception):
    """An object is to be described whole, and has something that no description shows."""


class Description:
    """Describes objects, and collects what their parts are made of.

    without  attributes that are left out of the objects of a class
    whole    with private attributes and what the object was fitted to, which otherwise are left out: two objects that
             are described alike compute alike

    modules  of the classes and functions among the parts, and those that a configuration names: ``module_path``
    files    that a text among the parts names, at whatever depth
    """

    def __init__(self, without: Mapping[type, set[str]] | None = None, whole: bool = False) -> None:
        self.without = without or {}
        self.whole = whole
        self.modules: set[str] = set()
        self.files: set[Path] = set()

    def sources(self, *modules: str) -> list:
        """Hashes of the files that were named and of the code behind the parts, and the versions of its packages.

        modules: further ones whose code takes part. With ``whole`` it raises Undescribed where a file is no longer the
        code that runs.
        """
        code = code_behind({*modules, *self.modules}, without=WITHOUT_NUMBERS)
        if self.whole and (edited := sorted(filter(is_changed, code.files))):
            raise Undescribed(f"{edited[0]} was changed after this process began")
        return [*(sorted(map(content_hash, paths)) for paths in (self.files, code.files)), sorted(code.versions)]

    def of(self, thing: Any, above: tuple[int, ...] = ()) -> Any:
        """An object as numbers, texts, lists and dicts: its class, and its public attributes; of data, a hash.

        Of data that is an attribute and no option of the object's class it says only that it is there: it is what the
        object was fitted to, and rows have a hash. With ``whole`` it raises Undescribed for what cannot be told from
        others: an object that cannot be pickled, a class made in a function or in a notebook.
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
        owner = getattr(thing, "__self__", None) if inspect.isroutine(thing) else None
        if owner is not None and not inspect.ismodule(owner):
            return [self.of(owner, above), thing.__name__]  # a method computes with its object
        if inspect.isclass(thing) or inspect.isroutine(thing):
            module = thing.__module__ or "builtins"
            self.modules.add(module)
            name: Any = f"{module}.{thing.__qualname__}"
            if is_own(module.partition(".")[0]):
                name = self._own(name, thing, module)
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

    def _own(self, name: str, thing: Any, module: str) -> Any:
        """The name of a class or function of ours or the user's, with its code where the name is not enough."""
        without_file, within = file_of(module) is None, "<" in thing.__qualname__
        if self.whole and (without_file or (within and not inspect.isfunction(thing))):
            raise Undescribed(f"{name} is made in a function or has no file")
        if without_file or (within and inspect.isfunction(thing)):  # all lambdas of a module have one name
            return [name, compiled(thing)]
        return name

    def _object(self, thing: Any, above: tuple[int, ...]) -> Any:
        kind = type(thing)
        if self.whole and (_is_data(thing) or not _is_its_attributes(thing)):
            try:
                return [kind.__qualname__, _hash_of(thing)]
            except Exception as error:  # whatever a class raises that refuses to be pickled
                raise Undescribed(f"{kind.__qualname__} cannot be pickled: {error}") from error
        if not self.whole and (_is_of_data_library(kind) or not hasattr(thing, "__dict__")):
            if _is_data(thing):
                return _hash_of(thing)
            text = repr(thing)
            return kind.__qualname__ if " at 0x" in text else text
        self.modules |= {base.__module__ for base in kind.__mro__}
        name = self.of(kind)
        if id(thing) in above:
            return name
        dropped = {attribute for base, names in self.without.items() if isinstance(thing, base) for attribute in names}
        own = {}
        for attribute, value in vars(thing).items():
            if attribute in dropped or (attribute.startswith("_") and not self.whole):
                continue
            fitted = not self.whole and _is_data(value) and attribute not in keywords_of(kind)
            own[attribute] = type(value).__qualname__ if fitted else value
        return [name, self._mapping(own, (*above, id(thing)))]


def _is_of_data_library(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in WITH_DATA


def _is_data(thing: Any) -> bool:
    """Whether a thing is an array, a frame or a tensor, and no single number or date."""
    return _is_of_data_library(type(thing)) and hasattr(thing, "__len__")


def _hash_of(thing: Any) -> str:
    if hasattr(thing, "requires_grad"):  # of a tensor joblib's hash is another one each time
        thing = [str(thing.dtype), thing.tolist()]
    text: str = joblib.hash(thing)
    return text


def _is_its_attributes(thing: Any) -> bool:
    """Whether the attributes of an object are all that it consists of."""
    bases = [base for base in type(thing).__mro__ if base is not object]
    return hasattr(thing, "__dict__") and all(
        base.__flags__ & HEAP_TYPE and not vars(base).get("__slots__") for base in bases
    )

"""By what a finished window is known again: a hash of its rows, its configuration and the code."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from qlib.data.dataset import Dataset
from qlib.data.dataset.handler import DataHandlerABC
from qlib.data.dataset.processor import Processor
from qlib.utils import flatten_dict, get_callable_kwargs

import qlib_ext
from qlib_ext.rolling.rows import RawData, Rows
from qlib_ext.rolling.windows import RollingWindow

# what a window's own dates replace; a longer test segment leaves the windows before it as they are
OF_THE_WHOLE: dict[type, set[str]] = {
    Dataset: {"segments", "cal"},
    DataHandlerABC: {"start_time", "end_time"},
    Processor: {"fit_start_time", "fit_end_time"},
}
ROOMS = (
    "cross_section",
    "data",
    "expressions",
    "layers",
    "models",
    "processors",
    "rolling",
)  # of our code, what trains
LIBRARIES = {"numpy", "pandas", "torch"}
PACKAGES = ("pyqlib", "torch", "lightgbm", "numpy", "pandas")


class Keys:
    """The keys of all windows of one dataset and one inner model; the rows are hashed once, day by day."""

    def __init__(self, data: RawData, dataset: Any, model: dict) -> None:
        self.data = data
        self.members = by_day(data.members)
        self.history = {} if data.history is None else by_day(data.history)
        self.fixed = json.dumps([plain(dataset), model, code(dataset, model)], sort_keys=True, default=str)

    def key(self, window: RollingWindow, seed: int | None) -> str:
        """The key of one window and seed."""
        digest = hashlib.blake2b(self.fixed.encode(), digest_size=16)
        digest.update(json.dumps([window.segments(), seed], default=str).encode())
        first, last = self.data.first_day(window), window.test[1]
        for days in (self.members, self.history):
            for day, rows in days.items():
                if first <= day <= last:
                    digest.update(rows)
        return digest.hexdigest()


def by_day(rows: Rows) -> dict[Any, bytes]:
    """A hash of each day's rows: its instruments and their values."""
    bounds = np.searchsorted(rows.day, np.arange(len(rows.days) + 1))
    names = np.array([str(name) for name in rows.instruments])
    columns = str([*rows.columns, *rows.dtypes]).encode()
    hashes = {}
    for place, day in enumerate(rows.days):
        part = slice(bounds[place], bounds[place + 1])
        digest = hashlib.blake2b(columns, digest_size=16)
        digest.update(names[rows.instrument[part]].tobytes())
        digest.update(np.ascontiguousarray(rows.values[part]).tobytes())
        hashes[day] = digest.digest()
    return hashes


def plain(thing: Any, above: tuple[int, ...] = ()) -> Any:
    """An object as what it was configured with: its class, and its public attributes as far as they are plain.

    Of arrays it says only that they are there: a processor holds what it was fitted to, and rows have a hash.
    """
    if thing is None or isinstance(thing, str | int | float | bool):
        return thing
    if isinstance(thing, dict):
        return {str(key): plain(value, above) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [plain(value, above) for value in thing]
    if isinstance(thing, set | frozenset):
        return sorted(map(repr, thing))
    if inspect.isclass(thing) or inspect.isroutine(thing):
        return f"{thing.__module__}.{thing.__qualname__}"
    kind = type(thing)
    if kind.__module__.partition(".")[0] in LIBRARIES or not hasattr(thing, "__dict__"):  # an array, or a date
        said = "" if hasattr(thing, "__len__") else repr(thing)
        return kind.__qualname__ if not said or " at 0x" in said else said
    if id(thing) in above:
        return kind.__qualname__
    dropped = {name for base, names in OF_THE_WHOLE.items() if isinstance(thing, base) for name in names}
    own = {name: value for name, value in vars(thing).items() if not name.startswith("_") and name not in dropped}
    return [kind.__qualname__, plain(own, (*above, id(thing)))]


def source(thing: Any) -> str | None:
    """The file a class or function is written in; None where there is none, as in a notebook."""
    try:
        return inspect.getsourcefile(thing)
    except TypeError:
        return None


def code(dataset: Any, model: dict) -> list[str]:
    """What the numbers may depend on beside rows and configuration: our source, the user's, the libraries.

    The user's is that of the inner model, the dataset, the handler and its processors, and the files that the model's
    options name, such as weights to start from.
    """
    package = Path(qlib_ext.__file__).parent
    sources = [*sorted(path for room in ROOMS for path in (package / room).rglob("*.py")), package / "losses.py"]
    handler = dataset.handler
    classes = [get_callable_kwargs(model)[0], *map(type, (dataset, handler, *handler.get_all_processors()))]
    sources += [Path(file) for file in map(source, classes) if file is not None]
    given = flatten_dict(model.get("kwargs", {})).values()
    sources += [Path(text) for text in given if isinstance(text, str) and os.path.isfile(text)]
    digest = hashlib.blake2b(b"".join(path.read_bytes() for path in sources), digest_size=16).hexdigest()
    return [digest, *(f"{name} {version(name)}" for name in PACKAGES)]

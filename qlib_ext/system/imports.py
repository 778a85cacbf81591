"""Which code a computation depends on, found by reading the import statements of its modules, without running them."""

from __future__ import annotations

import ast
import os
import site
import sys
import sysconfig
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec, resolve_name
from pathlib import Path

STARTED = time.time()  # of this process; a process that is forked from it runs the same code
OURS = {"qlib_ext", "handlers"}  # followed even where they are installed
INSTALLED = {
    Path(os.path.realpath(folder))
    for folder in (
        *site.getsitepackages(),
        site.getusersitepackages(),
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
        *(folder for folder in sys.path if any(Path(folder).glob("*.dist-info"))),  # pip install --target
    )
}


@dataclass
class Code:
    """The files of the modules that are ours or the user's, and the versions of the packages that these import."""

    files: set[Path] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)


def code_behind(modules: Iterable[str], without: Collection[str] = ()) -> Code:
    """The code of some modules and of all that they import, wherever in a file the import stands.

    A module outside the folders of installed packages is the user's own and is followed, as ours are; of the others
    the versions are taken, those of the packages ``without`` excepted. A module without a file, as in a notebook, is
    passed over.
    """
    code = Code()
    packages: set[str] = set()
    seen: set[str] = set()
    roots = set(modules)
    left = list(roots)
    while left:
        name = left.pop()
        top = name.partition(".")[0]
        if name in seen or top in sys.stdlib_module_names:
            continue
        seen.add(name)
        if not is_own(top):
            packages.add(top)
            if name not in roots:  # an installed model is not followed, but what it imports has a version as well
                continue
        file = file_of(name)
        if file is not None:
            left += imports_of(file, name)
            if is_own(top):
                code.files.add(file)
    code.versions = {entry for package in packages.difference(without) for entry in _versions_of(package)}
    return code


def imports_of(file: Path, name: str) -> tuple[str, ...]:
    """What the import statements of a module may mean: modules, what is taken from them, and the packages above.

    Our own packages are left out where nothing is taken from them: they hold names and compute nothing.
    """
    return _imports_in(file.read_bytes(), name if file.name == "__init__.py" else name.rpartition(".")[0])


@cache
def _imports_in(source: bytes, package: str) -> tuple[str, ...]:
    return tuple(_found_in(ast.parse(source), package))


def _found_in(module: ast.Module, package: str) -> Iterator[str]:
    for node in _statements(module):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for dotted in names:
            yield dotted
            yield from () if dotted.partition(".")[0] in OURS else packages_above(dotted)


def _statements(block: ast.AST) -> Iterator[ast.AST]:
    """All statements within a module or a statement, and none of the expressions, which are most of its nodes."""
    for name in ("body", "orelse", "handlers", "cases", "finalbody"):
        for inner in getattr(block, name, []):
            yield inner
            yield from _statements(inner)


def packages_above(name: str) -> Iterator[str]:
    """The packages that Python imports before a module."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


@cache
def _versions_of(package: str) -> tuple[str, ...]:
    """The name and version of each installed distribution that a package of the first level comes from."""
    return tuple(f"{own.metadata['Name']} {own.version}" for own in _distributions().get(package, ()))


@cache
def _distributions() -> Mapping[str, list[Distribution]]:
    """The installed distributions of each package, as ``importlib.metadata.packages_distributions`` finds them.

    That takes a second, since it looks for every file of them.
    """
    found = defaultdict(list)
    for own in distributions():
        declared = (own.read_text("top_level.txt") or "").split()
        for package in declared or _packages_in(own.read_text("RECORD") or ""):
            found[package].append(own)
    return found


def _packages_in(record: str) -> set[str]:
    """The packages of the first level in the list of files of a wheel, whose lines are ``path,hash,size``."""
    paths = {line.partition(",")[0] for line in record.splitlines()}
    return {path.partition("/")[0].removesuffix(".py") for path in paths if path.endswith(".py")}


@cache
def is_own(top: str) -> bool:
    """Whether a package or module of the first level is ours or the user's, and not an installed one."""
    if top in OURS:
        return True
    spec = spec_of(top)
    if spec is None:
        return top == "__main__"
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    folders = [Path(os.path.realpath(place)) for place in places if place]
    return bool(folders) and not any(folder.is_relative_to(site) for folder in folders for site in INSTALLED)


def file_of(name: str) -> Path | None:
    """The file of a module; None for what is no module, or has no source."""
    spec = spec_of(name)
    origin = getattr(sys.modules.get(name), "__file__", None) if spec is None else spec.origin
    return Path(origin) if origin and origin.endswith(".py") else None


def is_changed(file: Path) -> bool:
    """Whether a file was changed after this process began, which then may run its code as it was before."""
    about = file.stat()
    return max(about.st_mtime, about.st_ctime) > STARTED


@cache
def spec_of(name: str) -> ModuleSpec | None:
    """Where a module lies, found without importing it or the packages above it; None for what is no module."""
    parent = name.rpartition(".")[0]
    if not parent:
        try:
            return find_spec(name)
        except ValueError:  # a script, or what a test has made by hand
            return None
    above = spec_of(parent)
    if above is None or above.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, list(above.submodule_search_locations))

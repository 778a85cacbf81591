"""The rooms of the package in their order: a room imports only what stands before it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ORDER = (
    "qlib_ext.errors",
    "qlib_ext.keywords",
    "qlib_ext.system",
    "qlib_ext.cross_section",
    "qlib_ext.layers",
    "qlib_ext.losses",
    "qlib_ext.provider",
    "qlib_ext.factors",
    "qlib_ext.expressions",
    "qlib_ext.relations",
    "qlib_ext.fundamentals",
    "qlib_ext.ticks",
    "qlib_ext.simulator",
    "qlib_ext.processors",
    "qlib_ext.data",
    "qlib_ext.checks",
    "qlib_ext.recorder",
    "qlib_ext.risk",
    "qlib_ext.rolling",
    "qlib_ext.models",
    "qlib_ext.testing",
    "qlib_ext.analysis",
    "qlib_ext.portfolio",
    "qlib_ext.search",
    "handlers",
    "qlib_ext.workflows",
    "qlib_ext.live",
    "qlib_ext.cli",
)

WITHOUT_QLIB = """
import sys
sys.modules["qlib"] = None
import qlib_ext.losses, qlib_ext.data.panel, qlib_ext.data.batch, qlib_ext.data.window, qlib_ext.data.shapes.images
import pkgutil, importlib, qlib_ext.layers
for module in pkgutil.iter_modules(qlib_ext.layers.__path__):
    importlib.import_module(f"qlib_ext.layers.{module.name}")
"""


def code() -> list[Path]:
    return sorted(path for room in ("qlib_ext", "handlers") for path in (ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in code()}


def imports_of(source: str) -> set[str]:
    """The modules of this package that a source imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found & MODULES.keys()


def floor_of(module: str) -> int:
    """The place of a module's room in ORDER, -1 for the package itself; raises ValueError for a room without one."""
    if module == "qlib_ext":
        return -1
    return ORDER.index(module if module in ORDER else ".".join(module.split(".")[: 1 + module.startswith("qlib_ext")]))


def backward(imports: dict[str, set[str]]) -> list[str]:
    return [f"{a} imports {b}" for a, targets in imports.items() for b in targets if floor_of(b) > floor_of(a)]


IMPORTS = {name: imports_of(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def test_a_room_imports_only_rooms_before_it():
    assert len(IMPORTS) > 100
    assert backward(IMPORTS) == []


def test_an_import_that_runs_back_is_found():
    assert imports_of("def late():\n    from qlib_ext.models.gru import GRU") == {"qlib_ext.models.gru"}
    assert backward({"qlib_ext.layers.encoder": {"qlib_ext.models.gru"}})
    with pytest.raises(ValueError, match="not in tuple"):
        floor_of("qlib_ext.attic.box")


def test_no_modules_import_each_other_in_a_circle():
    faces = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    TopologicalSorter({name: targets - faces for name, targets in IMPORTS.items() if name not in faces}).prepare()


def test_layers_losses_and_panel_import_without_qlib():
    done = subprocess.run([sys.executable, "-c", WITHOUT_QLIB], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_files_stay_short():
    assert not [path for path in MODULES.values() if len(path.read_text(encoding="utf-8").splitlines()) > 300]


def docstrings(source: str) -> list[str]:
    nodes = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
    )
    return [text for node in nodes if (text := ast.get_docstring(node))]


def test_docstrings_write_code_in_double_backticks():
    single = re.compile(r"(?<!`)`[^`]+`(?!`)")
    assert single.search("the field `x`")
    assert not single.search("the field ``x``")
    assert [path for path in MODULES.values() if any(map(single.search, docstrings(path.read_text("utf-8"))))] == []

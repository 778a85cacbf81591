"""The code behind a computation: whatever Python would import of ours and of the user's, and nothing is run."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from qlib_ext.system import imports
from qlib_ext.system.imports import code_behind

USERS = {
    "my_model.py": "from my_bases.base import Base\nimport my_tools as tools\n\nclass Mine(Base): pass\n",
    "my_tools.py": "raise RuntimeError('no module is run')\n",
    "my_bases/__init__.py": "from . import faces\n",
    "my_bases/faces.py": "",
    "my_bases/base.py": "def late():\n    from .deep import formula\n    import not_installed\n",
    "my_bases/deep/__init__.py": "",
    "my_bases/deep/formula.py": "from .. import base\nimport qlib_ext.losses\nimport yaml\n",
    "my_bases/other.py": "",
    "no_init/part.py": "",
}
OF_MY_MODEL = {*USERS} - {"my_bases/other.py", "no_init/part.py"}

LOADED = """
import sys, importlib
importlib.import_module(sys.argv[1])
for name, module in sorted(sys.modules.items()):
    file = getattr(module, "__file__", None)
    if name.split(".")[0] in ("qlib_ext", "handlers") and file and not file.endswith("__init__.py"):
        print(file)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of the user's on the path of modules."""
    for name, text in USERS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for function in (imports.is_own, imports.spec_of):
        function.cache_clear()
    return tmp_path


def of_user(folder: Path, module: str) -> set[str]:
    return {str(file.relative_to(folder)) for file in code_behind([module]).files if file.is_relative_to(folder)}


def test_the_modules_of_a_user_are_followed_and_not_run(folder):
    assert of_user(folder, "my_model") == OF_MY_MODEL
    assert not {"my_model", "my_tools", "my_bases"} & set(sys.modules)


def test_a_folder_without_init_is_a_package_too(folder):
    (folder / "starts.py").write_text("import no_init.part\n")
    assert of_user(folder, "starts") == {"starts.py", "no_init/part.py"}


def test_ours_are_followed_from_the_users_and_versions_are_those_of_what_is_imported(folder):
    code = code_behind(["my_model"])
    assert Path(imports.file_of("qlib_ext.losses")) in code.files
    names = {entry.split()[0].lower() for entry in code.versions}
    assert {"torch", "pyyaml"} <= names
    assert "lightgbm" not in names


def test_an_installed_model_is_not_followed_but_what_it_imports_has_a_version():
    code = code_behind(["qlib.contrib.model.gbdt"])
    assert code.files == set()
    assert {"pyqlib", "lightgbm", "numpy", "pandas"} <= {entry.split()[0] for entry in code.versions}


@pytest.mark.parametrize(
    "module", ["qlib_ext.models.weighting", "qlib_ext.models.multitask_gru", "qlib_ext.data.dataset", "handlers.fused"]
)
def test_nothing_of_ours_that_python_imports_is_left_out(module):
    done = subprocess.run([sys.executable, "-c", LOADED, module], capture_output=True, text=True, check=True)
    loaded = {Path(line) for line in done.stdout.splitlines()}
    assert len(loaded) > 3
    assert loaded <= code_behind([module]).files


def test_what_icir_weights_compute_with_is_among_it():
    names = {file.name for file in code_behind(["qlib_ext.models.weighting"]).files}
    assert {"ic.py", "matrix.py", "zscore.py", "cells.py"} <= names


def test_packages_of_a_folder_that_pip_filled_are_not_the_users(tmp_path):
    site, mine = tmp_path / "site", tmp_path / "mine"
    about = site / "lent-1.5.dist-info"
    for folder in (about, mine):
        folder.mkdir(parents=True)
    (site / "lent.py").write_text("import lent_more.deep\n")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lent\nVersion: 1.5\n")
    (about / "top_level.txt").write_text("lent\n")
    (mine / "model.py").write_text("import lent\n")
    code = "from qlib_ext.system.imports import code_behind as c; b = c(['model']); print(sorted(b.files), b.versions)"
    path = os.pathsep.join([str(mine), str(site), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"[{mine / 'model.py'!r}] {{'lent 1.5'}}"


def test_distributions_are_those_that_the_standard_library_finds():
    mine = {package: {each.metadata["Name"] for each in found} for package, found in imports._distributions().items()}
    assert mine == {package: set(names) for package, names in packages_distributions().items()}


@pytest.mark.parametrize(
    "block",
    [
        "if later:\n    pass\nelse:\n    {}",
        "for each in []:\n    pass\nelse:\n    {}",
        "while later:\n    {}",
        "with later:\n    {}",
        "try:\n    pass\nexcept ImportError:\n    {}",
        "try:\n    pass\nfinally:\n    {}",
        "try:\n    pass\nexcept* ImportError:\n    {}",
        "match later:\n    case 1:\n        {}",
        "class Mine:\n    def late(self):\n        {}",
        "async def late():\n    async with later:\n        {}",
    ],
)
def test_an_import_is_found_in_any_block(folder, block):
    (folder / "starts.py").write_text(block.format("import my_tools"))
    assert of_user(folder, "starts") == {"starts.py", "my_tools.py"}

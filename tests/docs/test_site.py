"""The site of docs/ is built, strictly, where MkDocs is installed: ``make docs``."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from docs.hooks import on_page_markdown
from qlib_ext.workflows.table import TABLE
from qlib_ext.workflows.variables import MEANINGS
from tests.docs.pages import ROOT


def test_the_page_of_variables_names_all_and_their_defaults():
    text = on_page_markdown((ROOT / "docs/variables.md").read_text())
    assert all(f"\n## {name}\n" in text for name in TABLE)
    assert all(f"| `{name}` | " in text for name in MEANINGS)
    assert "| `END` | 2021-12-31 |" in text


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="MkDocs is not installed (make docs)")
def test_the_site_is_built_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site/tutorial.html").read_text()
    assert "https://fonts" not in page
    assert "<code>hidden_size</code>: length of a stock's state" in (tmp_path / "site/api.html").read_text()

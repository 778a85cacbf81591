"""The site of docs/ is built, strictly and offline: ``make docs``."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from docs.hooks import on_page_markdown
from qlib_ext.workflows.table import TABLE
from qlib_ext.workflows.variables import MEANINGS
from tests.docs.pages import ROOT


def test_the_page_of_variables_names_all_and_their_defaults():
    text = on_page_markdown((ROOT / "docs/variables.md").read_text())
    assert all(f"\n## {name}\n" in text for name in TABLE)
    assert all(f"| `{name}` | " in text for name in MEANINGS)
    assert "| `END` | 2021-12-31 |" in text


def test_the_page_of_commands_has_the_help_of_each():
    text = on_page_markdown((ROOT / "docs/commands.md").read_text())
    assert "| [`orders`](#orders) | write tomorrow's orders of a run's strategy |" in text
    assert "usage: qlib-ext ticks build " in text


NOWHERE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")  # where nobody answers
FETCHED = re.compile(r"""<(?:script|img|iframe)[^>]* src="https?:[^"]*"|<link[^>]* href="https?:[^"]*\.(?:css|js)\b""")


def test_the_site_is_built_without_a_warning_and_without_network(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | NOWHERE | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    pages = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html")}
    assert {"index.html", "tutorial.html", "commands.html", "astgnn.html"} <= pages.keys()
    assert [found[0] for page in pages.values() for found in FETCHED.finditer(page)] == []
    assert "<code>hidden_size</code>: length of a stock's state" in pages["api.html"]

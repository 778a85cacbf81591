from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.pages import ROOT


@pytest.mark.slow
def test_the_notebook_runs_to_its_report(tmp_path):
    notebook = nbformat.read(ROOT / "docs/outside_qrun.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "hidden_size=32" in str(notebook.cells)

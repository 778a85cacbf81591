"""What may be imported by whom: layers, losses and the panel run where there is no Qlib."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

WITHOUT_QLIB = """
import sys
sys.modules["qlib"] = None
import qlib_ext.losses, qlib_ext.data.panel, qlib_ext.data.batch, qlib_ext.data.windows, qlib_ext.data.images
import pkgutil, importlib, qlib_ext.layers
for module in pkgutil.iter_modules(qlib_ext.layers.__path__):
    importlib.import_module(f"qlib_ext.layers.{module.name}")
"""


def test_layers_losses_and_panel_import_without_qlib():
    done = subprocess.run([sys.executable, "-c", WITHOUT_QLIB], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_files_stay_short():
    code = [path for room in ("qlib_ext", "handlers") for path in (ROOT / room).rglob("*.py")]
    assert len(code) > 20
    assert not [path for path in code if len(path.read_text().splitlines()) > 300]

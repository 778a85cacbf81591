from __future__ import annotations

import shutil

import pytest
import qlib

from qlib_ext.cli import main
from qlib_ext.simulator.simulate import simulate, write_market
from tests.analysis.findings import findings, log_curve, save_findings
from tests.analysis.recorders import Recorders

MARKET = {"stocks": 40, "days": 420, "seed": 0}


@pytest.fixture(scope="session")
def forty(tmp_path_factory):
    """A simulated market of 40 stocks, as written and as simulated."""
    folder = tmp_path_factory.mktemp("forty") / "market"
    write_market(folder, **MARKET)
    return folder, simulate(**MARKET)


@pytest.fixture(scope="session")
def opened(forty):
    """Opens Qlib on that market and on a store of runs in a folder."""

    def at(runs):
        manager = {
            "class": "SQLiteExpManager",
            "module_path": "qlib_ext.recorder.store",
            "kwargs": {"uri": f"sqlite:///{runs}/mlflow.db", "default_exp_name": "none"},
        }
        qlib.init(provider_uri=str(forty[0]), region="cn", kernels=1, logging_level=40, exp_manager=manager)

    return at


@pytest.fixture
def recorders(tmp_path, database):
    """A folder of runs made by hand."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(database, folder)
    return Recorders(folder)


@pytest.fixture
def whole(recorders):
    """Makes a run with everything that a page shows."""

    def run(experiment, value=0.05, others=(), **frames):
        artifacts = recorders.run(experiment, value, params={"model.class": "GRU"})
        found = findings(experiment, len(experiment), others) | frames
        save_findings(artifacts, {name: frame for name, frame in found.items() if frame is not None})
        log_curve(recorders.client, artifacts.parent.name, "GRU.valid_loss", [2.0, 1.0])
        return artifacts

    return run


@pytest.fixture
def command(recorders, tmp_path, capsys):
    """``qlib-ext report``, and the page that it wrote."""

    def run(*arguments):
        out = tmp_path / "page.html"
        code = main(["report", *arguments, "--runs", str(recorders.folder), "--out", str(out)])
        return code, out.read_text(encoding="utf-8") if out.exists() else "", capsys.readouterr()

    return run

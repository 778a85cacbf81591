"""Skips what this machine cannot run, and says so."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import qlib
import torch
from sqlalchemy import Engine, event

from qlib_ext.data import cache
from qlib_ext.simulator.simulate import Market, simulate, write_market
from tests.garbage import DAY_BINS, edit_bins

pd.set_option("compute.use_bottleneck", False)  # alphalens brings it along; a user's arithmetic is without
torch.set_num_threads(1)  # the nets of the tests are too small to share

os.environ[cache.VARIABLE] = "off"  # of this process and those it starts; tests of the cache name a folder


@event.listens_for(Engine, "connect")
def wait_for_no_disk(connection, _) -> None:
    """A commit of SQLite waits 20 ms for the disk, and a run of mlflow has dozens: no test looks at a loss of power."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


REASONS = {
    "real": "QLIB_EXT_REAL does not name the folder of the real providers (make test-real)",
    "cuda": "no CUDA device",
    "slow": "QLIB_EXT_SLOW is not set (make test-slow)",
}


# files of few tests that take longest: `make test` hands files out in this order, so that a short one ends last
LONG = ("test_workflows.py", "test_market_workflows.py", "test_first_hour.py", "test_data_commands.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)
    present = {"real": bool(os.environ.get("QLIB_EXT_REAL")), "cuda": torch.cuda.is_available()}
    present["slow"] = bool(os.environ.get("QLIB_EXT_SLOW"))
    for item in items:
        for mark, reason in REASONS.items():
            if mark in item.keywords and not present[mark]:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def cache_folder(tmp_path, monkeypatch) -> Path:
    """The folder of a cache that is empty and may fill the disk."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "LEAST_FREE", 0)
    return tmp_path / "cache"


@pytest.fixture
def qlib_expressions(tmp_path):
    """Qlib initialised without data: enough to read expressions."""
    qlib.init(provider_uri=str(tmp_path), region="cn")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Market]:
    """A small market, as written and as simulated."""
    folder = tmp_path_factory.mktemp("small") / "provider"
    assert write_market(folder, stocks=20, days=300, seed=3)
    return folder, simulate(20, 300, seed=3)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of runs; mlflow takes seconds to make one."""
    from qlib_ext.recorder.store import create_database  # with what a machine of the tests marked cuda does without

    file = tmp_path_factory.mktemp("empty") / "mlflow.db"
    create_database(file)
    return file


@pytest.fixture(scope="session")
def init() -> Callable[[Path], None]:
    return lambda folder: qlib.init(provider_uri=str(folder), region="cn", kernels=1, logging_level=40)


@pytest.fixture(scope="module")
def cluster():
    """A Ray of this machine with two workers."""
    ray = pytest.importorskip("ray", reason="Ray is not installed (pip install qlib_ext[ray])")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
        ray.init(num_cpus=2, object_store_memory=10**8, **quiet)
    yield ray
    ray.shutdown()


@pytest.fixture
def copy(small, tmp_path):
    """Another provider like the small one, with other members of csi300 or other bars."""

    def of(name: str, members: dict | None = None, edit: Callable | None = None, files: str = DAY_BINS) -> Path:
        folder = tmp_path / name
        shutil.copytree(small[0], folder)
        if members is not None:
            lines = (f"{s}\t{a:%Y-%m-%d}\t{b:%Y-%m-%d}\n" for s, spans in members.items() for a, b in spans)
            (folder / "instruments" / "csi300.txt").write_text("".join(lines))
        if edit is not None:
            edit_bins(folder, edit, files)
        return folder

    return of


@pytest.fixture(scope="session")
def digest() -> Callable[[Path], dict[str, str]]:
    """File -> hash of its bytes."""

    def of(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return of

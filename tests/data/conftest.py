from __future__ import annotations

import shutil

import pytest

from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.data.panel import Panel
from qlib_ext.simulator.simulate import write_market


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A provider of ten stocks, six of them in csi300."""
    folder = tmp_path_factory.mktemp("tiny") / "provider"
    assert write_market(folder, stocks=10, days=300, seed=3)
    return folder


@pytest.fixture
def provider(tiny, tmp_path, init):
    """A provider of the test's own."""
    folder = shutil.copytree(tiny, tmp_path / "own")
    init(folder)
    return folder


@pytest.fixture
def computed(monkeypatch):
    """How often rows were computed, how often views, and how often panels."""
    counts = {"rows": 0, "views": 0, "panels": 0}
    compute, process = HistoryLoader._compute, WindowHandler._process

    def count(what, function):
        def counted(*args, **kwargs):
            counts[what] += 1
            return function(*args, **kwargs)

        return counted

    monkeypatch.setattr(HistoryLoader, "_compute", count("rows", compute))
    monkeypatch.setattr(WindowHandler, "_process", count("views", process))
    monkeypatch.setattr(Panel, "from_frames", count("panels", Panel.from_frames))
    return counts

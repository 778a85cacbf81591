"""Partitions of three days, and their provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ticks.days import DAYS, orders_of, provider_in, put, trades_of


@pytest.fixture
def ticks(tmp_path) -> dict[str, Path]:
    """Source -> folder of the partitions of three days."""
    folders = {"trades": tmp_path / "trades", "orders": tmp_path / "orders"}
    for seed, day in enumerate(DAYS):
        put(folders["trades"], day, trades_of(seed))
        put(folders["orders"], day, orders_of(seed))
    return folders


@pytest.fixture
def provider(tmp_path) -> Path:
    return provider_in(tmp_path / "provider")

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from qlib_ext.provider.writer import write_provider
from qlib_ext.simulator.simulate import Market, simulate


@pytest.fixture(scope="session")
def market() -> Market:
    return simulate(150, 750, seed=0)


@pytest.fixture
def calendar() -> pd.DatetimeIndex:
    return pd.bdate_range("2020-01-01", periods=8)


@pytest.fixture
def tiny(tmp_path: Path, calendar: pd.DatetimeIndex) -> Path:
    """A provider of two stocks, the second from the third day on."""
    frames = {
        "SH600001": pd.DataFrame({"close": range(8), "open": range(8)}, index=calendar, dtype=float),
        "SZ000001": pd.DataFrame({"close": range(6)}, index=calendar[2:], dtype=float),
    }
    spans = [(symbol, frame.index[0], frame.index[-1]) for symbol, frame in frames.items()]
    return write_provider(tmp_path / "tiny", calendar, frames.items(), {"all": spans})


@pytest.fixture(scope="session")
def digest() -> Callable[[Path], dict[str, str]]:
    """File -> hash of its bytes."""

    def of(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return of

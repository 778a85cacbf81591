from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from qlib_ext.provider.writer import write_provider


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

"""What of a provider changes a few times a year, and a risk model's returns of factors, packed to travel.

A held field is kept as the days on which it changes and its values there, rounded to ``2^-DIGITS`` of themselves; whole
numbers below ``2^DIGITS``, such as those of industries, stay as they are. Of a risk model only what the state of the
market reads is kept: the returns of the market and of styles.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

HELD = (
    "shares",
    "industry",
    "book",
    "earnings_ttm",
    "sales_ttm",
    "dividend_yield",
    "debt_to_assets",
)
DIGITS = 12  # of a float32's 23
DROPPED = 23 - DIGITS


def rounded(values: np.ndarray) -> np.ndarray:
    """float32 values to their nearest of ``DIGITS`` binary digits after the first; NaN stays NaN."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4")
    finite = np.isfinite(values)
    up = (bits.astype(np.uint64) + (1 << (DROPPED - 1))) >> DROPPED << DROPPED
    return np.where(finite, up.astype(np.uint32).view("<f4"), np.float32(np.nan)).astype("<f4")


def packed_field(values: np.ndarray) -> dict[str, np.ndarray]:
    """Places where [stocks, days] change, read row after row, and the new values: planes of bytes, which compress well.

    The first day of each stock is a change.
    """
    own = rounded(values)
    before = np.concatenate([np.full((len(own), 1), np.inf, "<f4"), own[:, :-1]], axis=1)
    changes = (own != before) & ~(np.isnan(own) & np.isnan(before))
    places = np.diff(np.flatnonzero(changes), prepend=0).astype("<u4")
    return {"places": planes_of(places), "values": planes_of(own[changes])}


def unpacked_field(stored: Mapping[str, np.ndarray], stocks: int, days: int) -> np.ndarray:
    """[stocks, days] of ``packed_field``."""
    places = np.cumsum(whole(stored["places"], "<u4"), dtype=np.int64)
    lengths = np.diff(places, append=stocks * days)
    return np.repeat(whole(stored["values"], "<f4"), lengths).reshape(stocks, days)


def planes_of(values: np.ndarray) -> np.ndarray:
    """[4, values]: the first bytes of all, then the second ones."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1, 4).T


def whole(planes: np.ndarray, kind: str) -> np.ndarray:
    return np.ascontiguousarray(planes.T).view(kind)[:, 0]


def returns_of(risk: Path) -> dict[str, np.ndarray]:
    """The returns of the market and of styles of a risk model's folder, in per cent."""
    from qlib_ext.models.market_state import MarketState

    returns = MarketState.returns_of(risk)
    days = returns.index.to_numpy("datetime64[D]").astype("U10")
    return {"days": days, "names": returns.columns.to_numpy("U"), "returns": returns.to_numpy("<f4")}


def write_risk(stored: Mapping[str, np.ndarray], folder: Path) -> None:
    """A folder from which ``MarketState`` reads these returns, and nothing else can be read."""
    import polars as pl

    from qlib_ext.models.market_state import PER_CENT
    from qlib_ext.risk.files import RiskFiles
    from qlib_ext.risk.model import SOURCE

    names = [f"f.{name}" for name in stored["names"]]
    days = pd.DataFrame(stored["returns"].astype(float) / PER_CENT, columns=names)
    table = pl.from_pandas(days).insert_column(0, pl.Series("datetime", list(stored["days"])).str.to_date())
    files = RiskFiles(folder)
    files.write_about(dict.fromkeys(SOURCE, ""))
    files.write({}, pl.DataFrame(), table)

"""Edges from each stock's nearest neighbours by what is known of them on a day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import torch
from qlib.data import D

from qlib_ext.cross_section.matrix import plotting_positions
from qlib_ext.errors import ConfigError, DataError

SIMILARITIES = ("correlation", "cosine")
PERIODS = {"week": "W", "month": "M"}


def nearest_neighbours(
    values: pd.DataFrame,
    neighbours: int,
    days: int = 1,
    every: str = "month",
    similarity: str = "correlation",
    percentiles: float | None = None,
) -> pl.DataFrame:
    """Edges from the k nearest neighbours of each stock, made anew on the first day of each week or month.

    A stock is the vector of its columns on the last ``days`` days; ``similarity`` is the cosine of two vectors, or that
    of their deviations from their means, and becomes the edge's weight. A stock without all of its values, or whose
    vector has no length, has no neighbours on that day and is none. The edges of a day hold from that day, whose values
    they know, to the one before the next such day.

    values       rows (datetime, instrument), a column for each value
    neighbours   k, at least 1; a day of fewer stocks gives each all others
    percentiles  the share of its values that a stock is to have on a day: each value is then its percentile among the
                 day's stocks, from -1/2 to 1/2, and one that is missing 0, the middle. None: values as they are

    Raises ConfigError for other options, DataError where no day has two stocks with all their values.
    """
    if neighbours < 1 or days < 1:
        raise ConfigError(f"neighbours and days are at least 1, not {neighbours} and {days}.")
    if every not in PERIODS or similarity not in SIMILARITIES:
        raise ConfigError(
            f"every is one of {', '.join(PERIODS)}, not {every!r}; similarity one of {', '.join(SIMILARITIES)}, "
            f"not {similarity!r}."
        )
    calendar = pd.DatetimeIndex(values.index.unique("datetime").sort_values())
    names = values.index.unique("instrument").sort_values()
    made = _first_of_each(calendar, PERIODS[every])
    read = calendar[np.unique((made[:, None] - np.arange(days)).clip(0))]  # the days that these look at, alone
    values = values[values.index.get_level_values("datetime").isin(read)]
    if percentiles is not None:
        values = percentiles_of(values, percentiles)
    wide = values.unstack("instrument").reindex(read)
    cube = np.stack([wide[column].reindex(columns=names).to_numpy(np.float32) for column in values.columns], -1)
    parts = []
    for place, position in enumerate(made):
        last = read.get_loc(calendar[position])
        window = cube[max(last - days + 1, 0) : last + 1].transpose(1, 0, 2).reshape(len(names), -1)
        complete = np.isfinite(window).all(1) if position + 1 >= days else np.zeros(len(names), dtype=bool)
        until = calendar[made[place + 1]] - pd.Timedelta(days=1) if place + 1 < len(made) else None
        source, target, weight = _nearest(window[complete], neighbours, similarity)
        known = names[complete].to_numpy()
        parts.append(
            pl.DataFrame(
                {
                    "source": known[source].astype(str),
                    "target": known[target].astype(str),
                    "weight": weight.astype(np.float64),
                    "from": [calendar[position].date()] * len(source),
                    "to": pl.Series([None if until is None else until.date()] * len(source), dtype=pl.Date),
                },
                schema_overrides={"source": pl.String, "target": pl.String, "from": pl.Date},
            )
        )
    edges = pl.concat(parts)
    if edges.is_empty():
        raise DataError(
            f"On none of {len(made)} days have two stocks all values of the last {days} days; check the expressions, "
            "or take fewer days."
        )
    return edges


def percentiles_of(values: pd.DataFrame, least: float) -> pd.DataFrame:
    """``(r - 1/2) / n - 1/2`` of each column among the day's stocks, 0 where a value is missing.

    A stock that has less than this share of its values on a day has none. Raises ConfigError for no share.
    """
    if not 0 < least <= 1:
        raise ConfigError(f"percentiles is the share of its values that a stock is to have, above 0, not {least}.")
    shares = plotting_positions(values) - 0.5
    return shares.fillna(0.0).where(shares.notna().mean(axis=1) >= least)


def read_values(
    expressions: Sequence[str], instruments: Any = "all", start: Any = None, end: Any = None
) -> pd.DataFrame:
    """Expressions of the provider that Qlib was initialised with, by (datetime, instrument)."""
    universe = D.instruments(instruments) if isinstance(instruments, str) else instruments
    return D.features(universe, list(expressions), start, end).swaplevel().sort_index()


def _first_of_each(calendar: pd.DatetimeIndex, period: str) -> np.ndarray:
    """The positions of the first days of the calendar's weeks or months; which are last is known only later."""
    periods = calendar.to_period(period)
    return np.flatnonzero(np.append(True, periods[1:] != periods[:-1]))


def _nearest(vectors: np.ndarray, neighbours: int, similarity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source, target and similarity of each stock's nearest neighbours; vectors [stocks, values]."""
    x = torch.from_numpy(np.ascontiguousarray(vectors))
    if similarity == "correlation":
        x = x - x.mean(1, keepdim=True)
    length = x.norm(dim=1)
    usable = (length > 0).nonzero()[:, 0]
    if len(usable) < 2:
        return np.empty(0, dtype=int), np.empty(0, dtype=int), np.empty(0, dtype=np.float32)
    x = x[usable] / length[usable, None]
    product = (x @ x.T).fill_diagonal_(-torch.inf)  # [stocks, stocks]
    weight, source = product.topk(min(neighbours, len(usable) - 1), dim=1)
    target = usable.repeat_interleave(source.shape[1])
    return usable[source.flatten()].numpy(), target.numpy(), weight.flatten().numpy()

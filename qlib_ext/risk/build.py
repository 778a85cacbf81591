"""Builds the risk model day after day into a folder, from where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import polars.selectors as cs

from qlib_ext.errors import DataError
from qlib_ext.risk.days import Exposures, Returns, exposures_of, names_in_order, origins, returns_of
from qlib_ext.risk.files import RiskFiles
from qlib_ext.risk.market import Source, read_market, source_of

DAYS_AT_ONCE = 500  # in memory, beside their history
SAME = 1e-3  # how far an exposure that is computed again may be from the one that is kept
ORIGIN_COLUMNS = {"datetime": pl.Date, "industry": pl.Int64, "origin": pl.Int64, "share": pl.Float64}


@dataclass
class Built:
    """What a run of ``build`` did: days added, all days, styles that are left out with their reasons."""

    added: int
    total: int
    left_out: dict[str, str] = field(default_factory=dict)


def build(
    provider: str | Path,
    folder: str | Path,
    market: str = "all",
    industry: str = "$industry",
    size: str | None = "$total_mv",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Built:
    """Add to a folder the days that the provider has and the folder lacks; see RiskFiles for what it holds.

    market, industry, size as in ``Source``. A run that was stopped goes on where it was, and what is there already is
    not computed again: a day's numbers are the same whether it was added or built with the others.
    progress: called with the days done and wanted.

    Raises ProviderError for a provider that lacks a field, DataError where the folder holds a model of something else,
    the provider's past has changed, or a day cannot be regressed; OutputError where the disk refuses.
    """
    files = RiskFiles(folder)
    source = source_of(provider, market, industry, size)
    if overwrite:
        _remove(files)
    _check_about(files, source)
    done = files.days()
    begin = _begin(source, done)
    end = len(source.days)
    tables = Tables(files, source.stocks, done)
    for low in range(begin, end, DAYS_AT_ONCE):
        high = min(low + DAYS_AT_ONCE, end)
        for day, before, now, returns in _days(source, low, high):
            if day >= low:
                tables.add(source.days[day], before, now, returns)
            elif low == begin:
                _check_past(files, now, source, source.days[day])
        tables.write()
        if progress is not None:
            progress(high - begin, end - begin)
    return Built(end - begin, end, source.left_out)


def _days(source: Source, low: int, high: int) -> Iterator[tuple[int, Exposures | None, Exposures, Returns]]:
    """Each day's place, the exposures before and at its close, its regression; the day before ``low`` is first."""
    first = max(low - 1, 0)
    market = read_market(source, first, high)
    returns = market.panels["returns"][market.first :]
    before = None
    for place, now in enumerate(exposures_of(source, market)):
        day = source.days[first + place]
        yield first + place, before, now, Returns() if before is None else returns_of(before, returns[place], day)
        before = now


class Tables:
    """Gathers days, and writes them behind those that are there."""

    def __init__(self, files: RiskFiles, stocks: list[str], done: pl.DataFrame | None) -> None:
        self.files, self.stocks = files, stocks
        self.days = [] if done is None else [done]
        last = None if done is None else done["datetime"][-1]
        kept = files.origins()
        kept = pl.DataFrame(schema=ORIGIN_COLUMNS) if kept is None or last is None else kept
        self.origins = [kept if last is None else kept.filter(pl.col("datetime") <= last)]
        self.last = last
        self.rows: dict[str, list[pl.DataFrame]] = {}

    def add(self, day: pd.Timestamp, before: Exposures | None, now: Exposures, returns: Returns) -> None:
        """Take a day."""
        month = f"{day:%Y-%m}"
        if month not in self.rows:
            self.rows[month] = []
            if self.last is not None and f"{self.last:%Y-%m}" == month:
                self.rows[month].append(self.files.stocks(month).filter(pl.col("datetime") <= self.last))
        self.rows[month].append(self._stocks(day, now, returns))
        self.days.append(day_row(day, now, returns))
        if before is not None and before.codes:
            new = origins(before, now)
            rows = [(day.date(), *row) for row in new]
            self.origins.append(pl.DataFrame(rows, schema=ORIGIN_COLUMNS, orient="row"))

    def write(self) -> None:
        """Write what has been taken, and forget the months that are complete."""
        if not self.rows:
            return
        months = {
            month: pl.concat(rows, how="diagonal").with_columns(cs.float().fill_nan(None))
            for month, rows in self.rows.items()
        }
        days = pl.concat(self.days, how="diagonal")
        factors = [name[2:] for name in days.columns if name.startswith("f.")]
        order = [f"{kind}.{name}" for kind in "ft" for name in names_in_order(factors, [])]
        others = [name for name in days.columns if name[:2] not in ("f.", "t.")]
        days = days.select([*others, *(name for name in order if name in days.columns)])
        self.files.write(months, pl.concat(self.origins), days)
        self.days, self.last = [days], days["datetime"][-1]
        self.rows = {}

    def _stocks(self, day: pd.Timestamp, now: Exposures, returns: Returns) -> pl.DataFrame:
        """The rows of a day: the stocks covered, and those in the regression."""
        stocks = np.union1d(now.stocks, returns.stocks)
        covered, regressed = np.searchsorted(stocks, now.stocks), np.searchsorted(stocks, returns.stocks)

        def placed(values: np.ndarray, at: np.ndarray, empty: float, dtype: type) -> np.ndarray:
            column: np.ndarray = np.full(len(stocks), empty, dtype=dtype)
            column[at] = values
            return column

        columns = {
            "industry": placed(now.industry, covered, 0, np.int32),
            "seasoned": placed(now.seasoned, covered, False, np.bool_),
            "cap": placed(now.cap, covered, np.nan, np.float64),
        }
        columns |= {
            name: placed(now.styles[:, place], covered, np.nan, np.float32) for place, name in enumerate(now.names)
        }
        residuals = np.zeros(0) if returns.fit is None else returns.fit.residuals
        for name, values in (("return", returns.returns), ("residual", residuals)):
            columns[name] = placed(values, regressed, np.nan, np.float64)
        keys = {
            "datetime": pl.Series([day.date()]).new_from_index(0, len(stocks)),
            "instrument": pl.Series([self.stocks[place] for place in stocks], dtype=pl.String),
        }
        return pl.DataFrame(keys | columns)


def day_row(day: pd.Timestamp, now: Exposures, returns: Returns) -> pl.DataFrame:
    """A day of days.parquet."""
    row: dict = {"datetime": day.date(), "stocks": len(returns.stocks), "without": returns.without or None}
    row["r_squared"] = None if returns.fit is None else returns.fit.r_squared
    row |= {f"missing.{name}": count for name, count in now.missing.items()}
    row |= {f"excluded.{reason}": count for reason, count in now.excluded.items()}
    if returns.fit is not None:
        row |= {f"f.{name}": float(value) for name, value in zip(returns.factors, returns.fit.returns, strict=True)}
        row |= {
            f"t.{name}": float(value) for name, value in zip(returns.factors, returns.fit.t_statistics, strict=True)
        }
    schema = {"datetime": pl.Date, "without": pl.String, "r_squared": pl.Float64}
    return pl.DataFrame([row], schema_overrides=schema)


def _remove(files: RiskFiles) -> None:
    """Take a model away; a folder of something else is left alone."""
    if files.about() is None and files.folder.is_dir() and any(files.folder.iterdir()):
        raise DataError(f"{files.folder} holds something that is no risk model; it is not overwritten.")
    files.remove()


def _check_about(files: RiskFiles, source: Source) -> None:
    about = {
        "market": source.market,
        "industry": source.industry,
        "size": source.size,
        "styles": [style.name for style in source.styles],
        "left_out": source.left_out,
        "version": version("qlib_ext"),
    }
    there = files.about()
    if there is None:
        files.write_about(about)
        return
    if different := [name for name in about if there.get(name) != about[name]]:
        name = different[0]
        raise DataError(
            f"{files.folder} holds a model with {name} {there.get(name)!r}, not {about[name]!r}; name another folder "
            "or pass overwrite (--overwrite)."
        )


def _begin(source: Source, done: pl.DataFrame | None) -> int:
    """The place of the first day that the folder lacks."""
    if done is None:
        return 0
    days = pd.DatetimeIndex(done["datetime"].to_numpy())
    if len(days) > len(source.days) or not (days == source.days[: len(days)]).all():
        raise DataError(
            f"The folder has {len(days)} days to {days[-1]:%Y-%m-%d} that are not the first ones of the provider's "
            f"{len(source.days)}; build the model anew with overwrite (--overwrite)."
        )
    return len(days)


def _check_past(files: RiskFiles, now: Exposures, source: Source, day: pd.Timestamp) -> None:
    """Refuse to go on where the last day that is kept would come out otherwise today."""
    kept = files.stocks(f"{day:%Y-%m}").filter((pl.col("datetime") == day.date()) & (pl.col("industry") > 0))
    same = kept["instrument"].to_list() == [source.stocks[place] for place in now.stocks]
    if same and len(now.stocks):
        there = kept.select(now.names).to_numpy()
        same = bool(np.allclose(there, now.styles, rtol=0, atol=SAME, equal_nan=True))
    if not same:
        raise DataError(
            f"The provider's past has changed: the exposures of {day:%Y-%m-%d}, the last day built, are others now. "
            "Build the model anew with overwrite (--overwrite)."
        )

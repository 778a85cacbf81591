"""Builds the risk model day after day into a folder, from where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import polars.selectors as cs

from qlib_ext.errors import DataError
from qlib_ext.risk.days import Exposures, Returns, exposures_of, industry_name, names_in_order, origins, returns_of
from qlib_ext.risk.files import ANEW, RiskFiles, styles_in
from qlib_ext.risk.market import Source, read_market, source_of

DAYS_AT_ONCE = 500  # in memory, beside their history
SAME = 1e-3  # how far an exposure that is computed again may be from the one that is kept
SAME_CAP = 1e-6  # of a market value, relatively: what rounding to float32 leaves
RETURN_OF_INDUSTRY = f"f.{industry_name(0)[:-1]}"
ORIGIN_COLUMNS = {"datetime": pl.Date, "industry": pl.Int64, "origin": pl.Int64, "share": pl.Float64}


@dataclass
class Built:
    """What a run of ``build`` did.

    added, total         days added, and all days
    left_out             style -> the fields that it lacks, or LEFT_OUT
    unknown_industries   codes of the days added that are a factor on no day of the model -> the first day and stock
    """

    added: int
    total: int
    left_out: dict[str, str] = field(default_factory=dict)
    unknown_industries: dict[int, tuple[pd.Timestamp, str]] = field(default_factory=dict)


def build(
    provider: str | Path,
    folder: str | Path,
    market: str = "all",
    industry: str = "$industry",
    size: str | None = "$total_mv",
    without: Sequence[str] = (),
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Built:
    """Add to a folder the days that the provider has and the folder lacks; see RiskFiles for what it holds.

    market, industry, size, without as in ``Source``. A run that was stopped goes on where it was, and what is there
    already is not computed again: a day's numbers are the same whether it was added or built with the others.
    progress: called with the days done and wanted.

    Raises ProviderError for a provider that lacks a field, ConfigError for a style that is none, DataError where the
    folder holds a model of something else or a damaged one, the provider's past has changed, or a day cannot be
    regressed; OutputError where the disk refuses.
    """
    files = RiskFiles(folder)
    source = source_of(provider, market, industry, size, without)
    if overwrite:
        _remove(files)
    _check_about(files, source)
    done = files.days()
    begin = _begin(source, done)
    end = len(source.days)
    tables = Tables(files, source.stocks, done)
    small: dict[int, tuple[pd.Timestamp, str]] = {}
    for low in range(begin, end, DAYS_AT_ONCE):
        high = min(low + DAYS_AT_ONCE, end)
        for day, before, now, returns in _days(source, low, high):
            if day >= low:
                tables.add(source.days[day], before, now, returns)
                for code, stock in now.small.items():
                    small.setdefault(code, (source.days[day], source.stocks[stock]))
            elif low == begin:
                _check_past(files, now, source, source.days[day])
        tables.write()
        if progress is not None:
            progress(high - begin, end - begin)
    unknown = {code: first for code, first in sorted(small.items()) if code not in tables.industries}
    return Built(end - begin, end, source.left_out, unknown)


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
        self.last = None if done is None else done["datetime"][-1]
        kept = pl.DataFrame(schema=ORIGIN_COLUMNS) if done is None else files.origins()
        self.origins = [kept if self.last is None else kept.filter(pl.col("datetime") <= self.last)]
        self.rows: dict[str, list[pl.DataFrame]] = {}
        names = [] if done is None else done.columns
        self.industries = {
            int(name[len(RETURN_OF_INDUSTRY) :]) for name in names if name.startswith(RETURN_OF_INDUSTRY)
        }

    def add(self, day: pd.Timestamp, before: Exposures | None, now: Exposures, returns: Returns) -> None:
        """Take a day."""
        month = f"{day:%Y-%m}"
        if month not in self.rows:
            self.rows[month] = []
            if self.last is not None and f"{self.last:%Y-%m}" == month:
                self.rows[month].append(self.files.stocks(month).filter(pl.col("datetime") <= self.last))
        self.industries |= {*now.codes}
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
    if files.holds_something_else():
        raise DataError(f"{files.folder} is, or has in it, something that is no risk model; it is not overwritten.")
    files.remove()


def _check_about(files: RiskFiles, source: Source) -> None:
    about = {
        "market": source.market,
        "industry": source.industry,
        "size": source.size,
        "without": [*source.without],
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
    if changed := _first_change(kept, now, [source.stocks[place] for place in now.stocks]):
        raise DataError(
            f"The provider's past has changed: of {day:%Y-%m-%d}, the last day built, {changed}. "
            f"{ANEW.capitalize()}, or mend the provider."
        )


def _first_change(kept: pl.DataFrame, now: Exposures, stocks: list[str]) -> str:
    """What is not as it is kept of a day; empty where all is."""
    if other := {*kept["instrument"]} ^ {*stocks}:
        return f"{len(other)} stocks are covered as it was built or now, not both, first {min(other)}"
    if other := {*styles_in(kept)} ^ {*now.names}:
        return f"{', '.join(sorted(other))} is a factor as it was built or now, not both"
    numbers: dict[str, tuple[np.ndarray, float, float]] = {
        "industry": (now.industry, 0.0, 0.0),
        "cap": (now.cap, SAME_CAP, 0.0),
    }
    numbers |= {name: (now.styles[:, place], 0.0, SAME) for place, name in enumerate(now.names)}
    for name, (values, relative, absolute) in numbers.items():
        before = kept[name].to_numpy()
        wrong = np.flatnonzero(~np.isclose(values, before, rtol=relative, atol=absolute))
        if len(wrong):
            first = wrong[0]
            return (
                f"{name} was another in {len(wrong)} of {len(stocks)} stocks, first of {stocks[first]}: "
                f"{before[first]:g}, now {values[first]:g}"
            )
    return ""

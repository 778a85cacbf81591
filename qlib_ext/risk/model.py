"""The risk model as a portfolio asks it: exposures, covariance and own risk at the close of a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from qlib_ext.data.segments import whole_day
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.keywords import check_types, refuse_unknown
from qlib_ext.risk.build import build
from qlib_ext.risk.covariance import (
    LEAST_DAYS,
    CovarianceOptions,
    correlations,
    eigenfactor_adjusted,
    regime,
    shrunk,
    variances,
)
from qlib_ext.risk.days import MARKET, industry_name
from qlib_ext.risk.files import NOT_STYLES, RiskFiles, styles_in

Day = Any  # whatever pandas.Timestamp takes
SOURCE = ("market", "industry", "size", "without")  # of what a model is made, as about.json names it


class StyleRiskModel:
    """Returns of stocks as the market's, an industry's and styles' returns times exposures, and a part of their own.

        r = X f + e,    V = X F X' + diag(s^2)

    folder    of ``qlib-ext risk``, read as it is unless a provider is named; None: a temporary one
    provider  its days that the folder lacks are added. None: where the folder has no model yet, that of qlib.init
    market, industry, size, without   as in ``qlib_ext.risk.market.Source``; those of the folder's model where it has
              one, and the defaults of ``build`` where it has none
    options   of ``CovarianceOptions``, such as newey_west=5

    What it says of a day is made of that day and the days before. Raises DataError for a day that it does not have or
    that has no history yet, ConfigError for an option that is none, and for a market, industry, size or without that is
    not the folder's; the errors of ``build`` where it builds.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        provider: str | Path | None = None,
        **options: Any,
    ) -> None:
        known = [*SOURCE, *(option.name for option in fields(CovarianceOptions))]
        refuse_unknown(options, known, type(self).__name__)
        source = {name: options.pop(name) for name in SOURCE if name in options}
        check_types(build, source)
        self.options = CovarianceOptions(**options)
        self._scratch = TemporaryDirectory(prefix="qlib_ext_risk_") if folder is None else None
        self.files = RiskFiles(self._scratch.name if self._scratch else str(folder))
        if about := self.files.about():
            _refuse_another(source, about, self.files.folder)
            source = {name: about[name] for name in SOURCE}
        if provider is None and (folder is None or self.files.days() is None):
            provider = _provider_of_qlib()
        if provider is not None:
            build(provider, self.files.folder, **source)
        self._stocks = lru_cache(maxsize=3)(self.files.stocks)

    @classmethod
    def read(cls, folder: str | Path, **options: Any) -> StyleRiskModel:
        """The model of a folder as it is; raises DataError where there is none."""
        if RiskFiles(folder).days() is None:
            raise DataError(f"{folder} holds no risk model; build one with `qlib-ext risk`.")
        return cls(folder=folder, **options)

    @cached_property
    def days(self) -> pd.DatetimeIndex:
        """The days that it has."""
        return pd.DatetimeIndex(self._table["datetime"].to_numpy())

    @cached_property
    def _table(self) -> pl.DataFrame:
        table = self.files.days()
        if table is None:
            raise DataError(f"{self.files.folder} holds no risk model; build one with `qlib-ext risk`.")
        return table

    def statistics(self) -> pd.DataFrame:
        """By day: stocks in the regression, R^2, how many lacked a style's value, how many were excluded, and why."""
        return self._columns("stocks", "r_squared", "without", "missing.", "excluded.")

    @cached_property
    def factor_returns(self) -> pd.DataFrame:
        """[days, factors], of the day; NaN where a factor was none."""
        return self._columns("f.").rename(columns=lambda name: name[2:]).astype(float)

    def t_statistics(self) -> pd.DataFrame:
        """[days, factors]"""
        return self._columns("t.").rename(columns=lambda name: name[2:]).astype(float)

    def _columns(self, *starts: str) -> pd.DataFrame:
        names = [name for name in self._table.columns if name.startswith(starts)]
        return pd.DataFrame({name: self._table[name].to_numpy() for name in names}, index=self.days)

    def stocks(self, day: Day) -> pd.DataFrame:
        """What is kept of a day's stocks: industry, seasoned, cap, styles, return and residual; see RiskFiles."""
        at = self._day(day)
        rows = self._stocks(f"{at:%Y-%m}").filter(pl.col("datetime") == at)
        kept = [name for name in rows.columns if name in NOT_STYLES or name in styles_in(rows)]
        return rows.select(kept).drop("datetime").to_pandas().set_index("instrument")

    def exposures(self, day: Day) -> pd.DataFrame:
        """X at the close: [stocks, factors] of the stocks covered; market 1, industries 0 or 1, styles standardised."""
        covered = self._covered(day)
        codes = covered["industry"].to_numpy()
        columns: dict[str, np.ndarray] = {MARKET: np.ones(len(covered))}
        columns |= {industry_name(code): (codes == code).astype(float) for code in np.unique(codes)}
        columns |= {name: covered[name].to_numpy(dtype=float) for name in covered if name not in NOT_STYLES}
        return pd.DataFrame(columns, index=covered.index)

    def residuals(self, day: Day) -> pd.Series:
        """e of the day, of the stocks in its regression."""
        return self.stocks(day)["residual"].dropna()

    def covariance(self, day: Day) -> pd.DataFrame:
        """F: the covariance that is forecast for the factors of ``exposures(day)``, of returns of a day."""
        at, options = self._day(day), self.options
        factors = list(self.exposures(day).columns)
        history = self._history(at, factors)
        complete = history.dropna()
        if len(complete) < LEAST_DAYS:
            shortest = history.notna().sum().idxmin()
            raise DataError(
                f"On {at} the factors have {len(complete)} days of history in common and need {LEAST_DAYS}; the "
                f"shortest is that of {shortest}. Begin later, or leave a style out by without (--without STYLE)."
            )
        deviation = np.sqrt(variances(complete, options.volatility, options.newey_west).iloc[-1].to_numpy())
        correlation = correlations(complete.to_numpy(), options.correlation, options.newey_west)
        covariance = correlation * np.outer(deviation, deviation)
        if options.eigenfactors:
            # of weights that fade there is the information of (1 + d) / (1 - d) equal ones
            fade = 0.5 ** (1 / options.correlation)
            days = min(len(complete), int((1 + fade) / (1 - fade)))
            covariance = eigenfactor_adjusted(covariance, days, options.eigenfactors, options.simulations, options.seed)
        if options.regime:
            covariance = covariance * self._factor_regime.loc[pd.Timestamp(at)]
        return pd.DataFrame(covariance, factors, factors)

    def specific(self, day: Day) -> pd.Series:
        """s: the forecast standard deviation of a day's own return, of the stocks of ``exposures(day)``.

        A stock with fewer than 63 residuals has the mean of its tenth by size.
        """
        at, covered = pd.Timestamp(self._day(day)), self._covered(day)
        variance = self._specific_variances.loc[at].reindex(covered.index)
        volatility = np.sqrt(variance * (self._specific_regime.loc[at] if self.options.regime else 1.0))
        volatility = volatility.where(volatility > 0)
        if volatility.isna().all():
            raise DataError(f"On {at:%Y-%m-%d} no stock has {LEAST_DAYS} residuals yet; begin later.")
        return shrunk(volatility, covered["cap"], self.options.shrinkage).rename("specific")

    def styles(self, day: Day) -> list[str]:
        """The styles that are factors on a day."""
        return [name for name in self.stocks(day) if name not in NOT_STYLES]

    def first_forecast(self) -> pd.Timestamp:
        """The first day with a covariance: all factors of the last day have 63 days of history in common.

        Raises DataError where there is none.
        """
        last = self.days[-1]
        complete = self._history(last.date(), list(self.exposures(last).columns)).dropna()
        if len(complete) < LEAST_DAYS:
            raise DataError(f"The factors have {len(complete)} days of history in common and need {LEAST_DAYS}.")
        return complete.index[LEAST_DAYS - 1]

    def _day(self, day: Day) -> date:
        try:
            at = whole_day(day)
        except (ValueError, TypeError):
            at = None
        if at is None:
            raise ConfigError(f"{day!r} is no day; name one as in 2021-06-30.")
        if at not in self.days:
            raise DataError(
                f"The risk model has no {at:%Y-%m-%d}; it has {self.days[0]:%Y-%m-%d} to {self.days[-1]:%Y-%m-%d}."
            )
        return at.date()

    def _covered(self, day: Day) -> pd.DataFrame:
        rows = self.stocks(day)
        covered = rows[rows["industry"] > 0]
        if not len(covered):
            raise DataError(f"On {self._day(day)} the risk model covers no stock; its excluded counts say why.")
        return covered

    def _history(self, at: date, factors: list[str]) -> pd.DataFrame:
        """Returns of a day's factors to that day, new industries with the history of where their stocks came from."""
        origins = self.files.origins().filter(pl.col("datetime") <= at).rows()
        known = self.factor_returns.loc[: pd.Timestamp(at)]
        new = [
            name for name in factors if name not in known
        ]  # a factor that is new today has no return before tomorrow
        return inherited(known.reindex(columns=[*known.columns, *new]), origins)[factors]

    @cached_property
    def _factor_regime(self) -> pd.Series:
        forecasts = variances(self.factor_returns, self.options.volatility, self.options.newey_west)
        return regime(self.factor_returns, forecasts, float(self.options.regime or 0))

    @cached_property
    def _residuals(self) -> pd.DataFrame:
        table = self.files.residuals().drop_nulls()
        rows = pd.Series(
            table["residual"].to_numpy(),
            pd.MultiIndex.from_arrays([table["datetime"].to_numpy(), table["instrument"].to_list()]),
        )
        return rows.unstack().reindex(self.days)

    @cached_property
    def _specific_variances(self) -> pd.DataFrame:
        return variances(self._residuals, self.options.volatility, self.options.newey_west)

    @cached_property
    def _specific_regime(self) -> pd.Series:
        return regime(self._residuals, self._specific_variances, float(self.options.regime or 0))


def inherited(returns: pd.DataFrame, origins: list[tuple]) -> pd.DataFrame:
    """Factor returns where an industry, on the days before it began, has those of the industries its stocks came from.

    ``f_k = sum_j share_kj f_j``; an industry without origins, or of a day without five stocks, has the market's return,
    so 0 of its own. returns [days, factors] to the day that asks; origins (day, industry, origin, share) not after it.
    Without it a new scheme of industries would have no history; nothing of it is known before its day.
    """
    filled = returns.copy()
    known = returns["market"].notna() if MARKET in returns else returns.notna().any(axis=1)
    frame = pd.DataFrame(origins, columns=["datetime", "industry", "origin", "share"])
    for (day, industry), rows in frame.groupby(["datetime", "industry"], sort=True):
        name = industry_name(industry)
        if name not in filled:
            continue
        before = filled.index < pd.Timestamp(day)
        sources = filled.loc[before].reindex(columns=[industry_name(origin) for origin in rows["origin"]])
        inherited_returns = sources.fillna(0.0) @ rows["share"].to_numpy()
        filled.loc[before, name] = filled.loc[before, name].fillna(inherited_returns)
    industries = [name for name in filled if name.startswith("industry_")]
    filled.loc[known, industries] = filled.loc[known, industries].fillna(0.0)
    return filled


def _refuse_another(wanted: Mapping[str, Any], about: Mapping[str, Any], folder: Path) -> None:
    """Raise ConfigError for a part of the source that is not that of the model in the folder."""
    for name, value in wanted.items():
        if _plain(value) != _plain(about[name]):
            raise ConfigError(
                f"The model in {folder} is made with {name} {about[name]!r}, not {value!r}; leave {name} out to read "
                "it, or name another folder."
            )


def _plain(value: str | Sequence[str] | None) -> str | list[str] | None:
    """A field or market as about.json has it, or styles in order."""
    if isinstance(value, str):
        return value.removeprefix("$").lower()
    return value if value is None else sorted(value)


def _provider_of_qlib() -> str:
    from qlib.config import C

    if not C.registered:
        raise ConfigError(
            "StyleRiskModel builds a model of the provider of qlib.init: call it before, or name provider."
        )
    return str(C.dpm.get_data_uri("day"))

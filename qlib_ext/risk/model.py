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
    Matrix,
    correlations,
    eigenfactor_adjusted,
    regime,
    shrunk,
    variances,
)
from qlib_ext.risk.covered import Covered
from qlib_ext.risk.files import NOT_STYLES, RiskFiles, styles_in
from qlib_ext.risk.inherited import inherited

Day = Any  # whatever pandas.Timestamp takes
# of which covered stocks, covariance and specific risk stay in memory, .3 MB of 3,000 stocks each: five years, so that
# a grid reads them once for all its settings
KEPT_DAYS = 1300
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
        self._stocks = lru_cache(maxsize=3)(self._days_of)
        self._covered = lru_cache(maxsize=KEPT_DAYS)(self._covered_of)
        self._covariance = lru_cache(maxsize=KEPT_DAYS)(self._covariance_of)
        self._specific = lru_cache(maxsize=KEPT_DAYS)(self._specific_of)
        self._complete = lru_cache(maxsize=3)(self._complete_of)
        self._filled = lru_cache(maxsize=3)(self._filled_of)

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
        rows = self._rows(self._day(day))
        styles = styles_in(rows)
        kept = [name for name in rows.columns if name in NOT_STYLES or name in styles]
        return rows.select(kept).drop("datetime").to_pandas().set_index("instrument")

    def _rows(self, at: date) -> pl.DataFrame:
        days, none = self._stocks(f"{at:%Y-%m}")
        return days.get(at, none)

    def _days_of(self, month: str) -> tuple[dict[date, pl.DataFrame], pl.DataFrame]:
        """The rows of each day of a month, and those of a day that has none."""
        table = self.files.stocks(month)
        days = table.partition_by("datetime", as_dict=True)
        return {key[0]: rows for key, rows in days.items()}, table.clear()

    def exposures(self, day: Day) -> pd.DataFrame:
        """X at the close: [stocks, factors] of the stocks covered; market 1, industries 0 or 1, styles standardised."""
        covered = self.covered(day)
        return pd.DataFrame(covered.matrix(), covered.index, list(covered.factors))

    def covered(self, day: Day) -> Covered:
        """The stocks of ``exposures(day)`` and what these are made of."""
        return self._covered(self._day(day))

    def residuals(self, day: Day) -> pd.Series:
        """e of the day, of the stocks in its regression."""
        return self.stocks(day)["residual"].dropna()

    def covariance(self, day: Day) -> pd.DataFrame:
        """F: the covariance that is forecast for the factors of ``exposures(day)``, of returns of a day."""
        at = self._day(day)
        factors = self._covered(at).factors
        return pd.DataFrame(self._covariance(at), list(factors), list(factors))

    def _covariance_of(self, at: date) -> Matrix:
        options = self.options
        factors, origins = self._covered(at).factors, self._origins_until(at)
        whole, daily = self._complete(factors, origins)
        complete = whole.loc[: pd.Timestamp(at)]
        if len(complete) < LEAST_DAYS:
            shortest = self._history(at, factors).notna().sum().idxmin()
            raise DataError(
                f"On {at} the factors have {len(complete)} days of history in common and need {LEAST_DAYS}; the "
                f"shortest is that of {shortest}. Begin later, or leave a style out by without (--without STYLE)."
            )
        deviation = np.sqrt(daily.iloc[len(complete) - 1].to_numpy())
        correlation = correlations(complete.to_numpy(), options.correlation, options.newey_west)
        covariance = correlation * np.outer(deviation, deviation)
        if options.eigenfactors:
            # of weights that fade there is the information of (1 + d) / (1 - d) equal ones
            fade = 0.5 ** (1 / options.correlation)
            days = min(len(complete), int((1 + fade) / (1 - fade)))
            covariance = eigenfactor_adjusted(covariance, days, options.eigenfactors, options.simulations, options.seed)
        if options.regime:
            covariance = covariance * self._factor_regime.loc[pd.Timestamp(at)]
        return covariance

    def specific(self, day: Day) -> pd.Series:
        """s: the forecast standard deviation of a day's own return, of the stocks of ``exposures(day)``.

        A stock with fewer than 63 residuals has the mean of its tenth by size.
        """
        at = self._day(day)
        return pd.Series(self._specific(at), self._covered(at).index, name="specific")

    def _specific_of(self, of: date) -> Matrix:
        at, covered = pd.Timestamp(of), self._covered(of)
        index = covered.index
        variance = self._specific_variances.loc[at].reindex(index)
        volatility = np.sqrt(variance * (self._specific_regime.loc[at] if self.options.regime else 1.0))
        volatility = volatility.where(volatility > 0)
        if volatility.isna().all():
            raise DataError(f"On {at:%Y-%m-%d} no stock has {LEAST_DAYS} residuals yet; begin later.")
        return shrunk(volatility, pd.Series(covered.cap, index), self.options.shrinkage).to_numpy()

    def styles(self, day: Day) -> list[str]:
        """The styles that are factors on a day."""
        return styles_in(self._rows(self._day(day)))

    def first_forecast(self) -> pd.Timestamp:
        """The first day with a covariance: all factors of the last day have 63 days of history in common.

        Raises DataError where there is none.
        """
        last = self.days[-1]
        complete = self._history(last.date(), self.covered(last).factors).dropna()
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
                f"The risk model has no {at:%Y-%m-%d}; it has {self.days[0]:%Y-%m-%d} to {self.days[-1]:%Y-%m-%d}. "
                "`qlib-ext risk` adds the days that its provider has got since."
            )
        return at.date()

    def _covered_of(self, at: date) -> Covered:
        covered = Covered.of(self._rows(at))
        if not len(covered):
            raise DataError(f"On {at} the risk model covers no stock; its excluded counts say why.")
        return covered

    def _history(self, at: date, factors: Sequence[str]) -> pd.DataFrame:
        """Returns of a day's factors to that day, new industries with the history of where their stocks came from."""
        return self._filled(tuple(factors), self._origins_until(at)).loc[: pd.Timestamp(at)]

    def _origins_until(self, at: date) -> int:
        return int((self._origins["datetime"] <= at).sum())

    def _filled_of(self, factors: tuple[str, ...], origins: int) -> pd.DataFrame:
        """Returns of factors on all days, by the first origins; a day's row is made of that day's returns."""
        # a factor that is new today has no return before tomorrow
        new = [name for name in factors if name not in self.factor_returns]
        known = self.factor_returns.reindex(columns=[*self.factor_returns, *new])
        return inherited(known, self._origins[:origins].rows())[list(factors)]

    def _complete_of(self, factors: tuple[str, ...], origins: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Days on which all factors have a return, and the factors' variances, of each made of the days to it."""
        complete = self._filled(factors, origins).dropna()
        return complete, variances(complete, self.options.volatility, self.options.newey_west)

    @cached_property
    def _origins(self) -> pl.DataFrame:
        return self.files.origins().sort("datetime")

    @cached_property
    def _factor_regime(self) -> pd.Series:
        forecasts = variances(self.factor_returns, self.options.volatility, self.options.newey_west)
        return regime(self.factor_returns, forecasts, float(self.options.regime or 0))

    @cached_property
    def _residuals(self) -> pd.DataFrame:
        return self.files.residuals(self.days)

    @cached_property
    def _specific_variances(self) -> pd.DataFrame:
        return variances(self._residuals, self.options.volatility, self.options.newey_west)

    @cached_property
    def _specific_regime(self) -> pd.Series:
        return regime(self._residuals, self._specific_variances, float(self.options.regime or 0))


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

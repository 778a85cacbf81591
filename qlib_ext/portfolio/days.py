"""The days of a provider as decisions read them: its bars, its index, a risk model and a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.portfolio.day import Day, Mask, Vector
from qlib_ext.provider.calendar import DAYS_PER_YEAR, read_calendar
from qlib_ext.provider.names import instruments_with_features
from qlib_ext.provider.panels import above_zero, checked_folder, fields_known, membership, read_panels, read_spans
from qlib_ext.risk.benchmark import index_weights
from qlib_ext.risk.bias import FactorRisk
from qlib_ext.risk.days import MARKET
from qlib_ext.risk.model import StyleRiskModel

KEPT_DAYS = 8  # of which what does not depend on the account is kept


@dataclass(frozen=True)
class _Base:
    """What is the same for every account and score: stocks of the risk model, then members that it does not cover."""

    stocks: tuple[str, ...]
    covered: int  # how many of the stocks the model covers
    risk: FactorRisk
    factors: tuple[str, ...]
    styles: tuple[str, ...]
    industry: np.ndarray


class Days:
    """Makes a ``Day`` of each close; nothing in it is of a later day.

    provider       the folder of the bars; model: of risk, of the same provider
    index          the instrument of the index, such as SH000905; members: its instruments file, such as csi500
    weights        of the index: a field, "implied", or None, see ``index_weights``
    seasoned_days  days that a stock must have traded before it is bought

    A stock that the model does not cover, as it has no industry or left the market, counts with the market's exposure
    and the median specific risk, and is not bought. Raises what ``index_weights`` raises, ConfigError for seasoned_days
    below 0.
    """

    def __init__(
        self,
        provider: str | Path,
        model: StyleRiskModel,
        index: str,
        members: str,
        weights: str | None = None,
        seasoned_days: int = 60,
    ) -> None:
        if seasoned_days < 0:
            raise ConfigError(f"seasoned_days is at least 0, not {seasoned_days}.")
        folder = checked_folder(provider)
        self.model, self.index, self.members = model, index, members
        self.calendar = read_calendar(folder)
        self.stocks = sorted(instruments_with_features(folder))
        self._column = {stock: place for place, stock in enumerate(self.stocks)}
        panels = read_panels(folder, fields_known(folder, ["close", "factor", "volume"], self.stocks), self.stocks)
        self._close = above_zero(panels["close"]).astype(np.float32)
        self._factor = panels["factor"].astype(np.float32) if "factor" in panels else None
        self._traded = np.isfinite(self._close)
        if "volume" in panels:
            self._traded &= panels["volume"] > 0
        del panels
        self._seasoned = self._traded.cumsum(0, dtype=np.int32) >= max(seasoned_days, 1)
        self._member = membership(read_spans(folder, members), self.calendar, self.stocks)
        found = index_weights(folder, index, members, weights)
        self.findings = found.findings
        self._weights = found.weights.reindex(columns=self.stocks, fill_value=np.nan).to_numpy()
        self._base = lru_cache(maxsize=KEPT_DAYS)(self._base_of)

    @property
    def weights(self) -> pd.DataFrame:
        """The index's weights at the close of each day, [days, stocks], NaN for non-members."""
        return pd.DataFrame(self._weights, self.calendar, self.stocks)

    def at(self, day: Any, score: pd.Series, held: pd.Series | None = None) -> Day:
        """The close of a day.

        score   by stock; what is no number is none, and a stock without a score is not bought
        held    weights of the account by stock, None: all cash

        Raises DataError for a day that provider, index or risk model lacks, and for a score of none of its stocks.
        """
        at = pd.Timestamp(day).normalize()
        row = self._row(at)
        base = self._base(at)
        holdings = pd.Series(dtype=float) if held is None else held[held != 0]
        known = {*base.stocks}
        others = [stock for stock in holdings.index if stock not in known]
        stocks = (*base.stocks, *others)
        covered = np.arange(len(stocks)) < base.covered
        columns = [self._column.get(stock, -1) for stock in stocks]
        tradable, seasoned, member = (
            _flags(panel[row], columns) for panel in (self._traded, self._seasoned, self._member)
        )
        values = _standardised(score, stocks, covered, at)
        return Day(
            day=at,
            stocks=stocks,
            held=holdings.reindex(list(stocks), fill_value=0.0).to_numpy(dtype=float),
            benchmark=self._benchmark(row, columns),
            score=np.nan_to_num(values),
            risk=_with_others(base.risk, len(others)),
            factors=base.factors,
            styles=base.styles,
            industry=np.append(base.industry, np.zeros(len(others), dtype=int)),
            member=member,
            tradable=tradable,
            may_buy=tradable & seasoned & covered & np.isfinite(values),
        )

    def closes(self, day: Any, stocks: Sequence[str]) -> Vector:
        """The adjusted close of each stock, NaN for one that has none on the day."""
        return self._of(self._close, day, stocks)

    def last_closes(self, day: Any, stocks: Sequence[str]) -> Vector:
        """The adjusted close of each stock on the day or the last day of the year before; NaN for one without."""
        row = self._row(pd.Timestamp(day).normalize())
        found = self.closes(day, stocks)
        for place in np.flatnonzero(np.isnan(found)):
            column = self._column.get(stocks[int(place)], -1)
            past = self._close[max(row - DAYS_PER_YEAR, 0) : row, column] if column >= 0 else np.zeros(0)
            known = past[np.isfinite(past)]
            found[place] = known[-1] if len(known) else np.nan
        return found

    def days_between(self, first: Any, last: Any) -> int:
        """How many trading days the second is after the first."""
        return self._row(pd.Timestamp(last).normalize()) - self._row(pd.Timestamp(first).normalize())

    def factors(self, day: Any, stocks: Sequence[str]) -> Vector:
        """What adjusts the price of each stock, 1 where the provider has no $factor."""
        if self._factor is None:
            return np.ones(len(stocks))
        return self._of(self._factor, day, stocks)

    def _of(self, panel: np.ndarray, day: Any, stocks: Sequence[str]) -> Vector:
        row = self._row(pd.Timestamp(day).normalize())
        columns = np.array([self._column.get(stock, -1) for stock in stocks], dtype=int)
        return np.where(columns >= 0, panel[row, columns], np.nan).astype(float)

    def _row(self, day: pd.Timestamp) -> int:
        row = int(self.calendar.get_indexer([day])[0])
        if row < 0:
            first, last = self.calendar[0], self.calendar[-1]
            raise DataError(f"{day:%Y-%m-%d} is no day of the provider, which has {first:%Y-%m-%d} to {last:%Y-%m-%d}.")
        return row

    def _benchmark(self, row: int, columns: Sequence[int]) -> Vector:
        weights = np.nan_to_num(self._weights[row])
        if not weights.sum() > 0:
            raise DataError(
                f"The index {self.index} has no weights on {self.calendar[row]:%Y-%m-%d}; begin later, or write them "
                "with `qlib-ext weights`."
            )
        return np.where(np.array(columns) >= 0, weights[columns], 0.0)

    def _base_of(self, day: pd.Timestamp) -> _Base:
        covered = self.model.covered(day)
        weights = self._weights[self._row(day)]
        known = {*covered.stocks}
        others = [self.stocks[place] for place in np.flatnonzero(weights > 0) if self.stocks[place] not in known]
        risk = FactorRisk(
            covered.matrix(),
            self.model.covariance(day).to_numpy() * DAYS_PER_YEAR,
            self.model.specific(day).to_numpy() * np.sqrt(DAYS_PER_YEAR),
        )
        return _Base(
            (*covered.stocks, *others),
            len(covered),
            _with_others(risk, len(others), covered.factors.index(MARKET)),
            covered.factors,
            covered.names,
            np.append(covered.industry, np.zeros(len(others), dtype=int)),
        )


def _flags(values: Mask, columns: Sequence[int]) -> Mask:
    places = np.array(columns, dtype=int)
    return np.where(places >= 0, values[places], False)


def _with_others(risk: FactorRisk, count: int, market: int = 0) -> FactorRisk:
    """The risk of ``count`` more stocks, with the market's exposure alone and the median specific risk."""
    if not count:
        return risk
    x = np.zeros((count, risk.exposures.shape[1]))
    x[:, market] = 1.0
    specific = np.append(risk.specific, np.full(count, np.median(risk.specific)))
    return FactorRisk(np.vstack([risk.exposures, x]), risk.covariance, specific)


def _standardised(score: pd.Series, stocks: Sequence[str], covered: Mask, day: pd.Timestamp) -> Vector:
    """``(s - mean s) / std s`` over the covered stocks that have a score, NaN for the others."""
    values = score.astype(float).reindex(list(stocks)).to_numpy()
    values = np.where(covered & np.isfinite(values), values, np.nan)
    known = values[np.isfinite(values)]
    if not len(known):
        raise DataError(
            f"The score of {day:%Y-%m-%d} has {len(score)} stocks, and none of them is one of the {covered.sum()} that "
            "the risk model covers."
        )
    deviation = known.std(ddof=1) if len(known) > 1 else 0.0
    # rounding leaves a constant a deviation above 0
    return (values - known.mean()) / deviation if deviation > 1e-9 * np.abs(known).max() else 0.0 * values

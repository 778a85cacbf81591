"""What an account did, day by day, and the returns, effects and tables that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.analysis.performance import compounded
from qlib_ext.errors import DataError
from qlib_ext.portfolio.attribution import BASKET, Trading, brinson, linked, return_effects
from qlib_ext.portfolio.quotes import Quotes
from qlib_ext.provider.calendar import DAYS_PER_YEAR
from qlib_ext.risk.model import StyleRiskModel

Array = NDArray[np.float64]
WHOLE = 0.99  # of an index's weights that are in the quotes


@dataclass(frozen=True)
class History:
    """An account's days from the one after its first purchase on; before that it is cash, and no portfolio.

    report    days with the columns of Qlib's report_normal: return (before cost), cost, bench, turnover (purchases and
              sales), account and so on
    weights   [days, stocks] at the close before the day, fractions of the account; the rest of 1 is cash
    benchmark [days, stocks] the index's weights at the close before, sum 1
    returns   [days, stocks] of the day, 0 where a stock does not trade
    before    the trading day before each day
    """

    report: pd.DataFrame
    before: pd.DatetimeIndex
    stocks: tuple[str, ...]
    weights: Array
    benchmark: Array
    returns: Array

    @classmethod
    def of(cls, report: pd.DataFrame, holdings: Array, quotes: Quotes, benchmark: pd.DataFrame) -> History:
        """The history of a report and the adjusted shares at each close [days, stocks], of the days of the quotes.

        benchmark   the index's weights at the close of its days, as ``index_weights`` gives them

        Raises DataError for an account that never bought anything, and for a day before which the index has no weights.
        """
        bought = np.flatnonzero((holdings != 0).any(axis=1))
        if not len(bought) or bought[0] + 1 >= len(report):
            raise DataError(
                f"The account held nothing from {report.index[0]:%Y-%m-%d} to {report.index[-2]:%Y-%m-%d}; see whether "
                "scores, index weights and the risk model reach these days."
            )
        first = bought[0] + 1
        days, before = report.index[first:], report.index[first - 1 : -1]
        close = np.nan_to_num(quotes.close[first - 1 : -1])
        weights = holdings[first - 1 : -1] * close / report["account"].to_numpy(dtype=float)[first - 1 : -1, None]
        index = benchmark.reindex(index=before, columns=list(quotes.stocks)).fillna(0.0).to_numpy(dtype=float)
        sums = index.sum(axis=1)
        if (sums < WHOLE).any():
            day = before[int(np.argmax(sums < WHOLE))]
            raise DataError(
                f"The index's weights are missing on {(sums < WHOLE).sum()} days, first {day:%Y-%m-%d}, of stocks in "
                "the quotes; give the quotes the whole market, and begin where the weights do."
            )
        return cls(report.loc[days], pd.DatetimeIndex(before), quotes.stocks, weights, index, quotes.returns[first:])

    @property
    def days(self) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(self.report.index)

    def daily(self) -> pd.DataFrame:
        """[days, (return, benchmark, basket, excess, excess_basket)]: after cost, of the index and of its members.

        excess = return - benchmark, excess_basket = return - basket, ``basket = b'r`` with dividends, which a price
        index leaves out.
        """
        net = self.report["return"] - self.report["cost"]
        basket = pd.Series((self.benchmark * self.returns).sum(axis=1), self.days)
        bench = self.report["bench"]
        return pd.DataFrame(
            {
                "return": net,
                "benchmark": bench,
                "basket": basket,
                "excess": net - bench,
                "excess_basket": net - basket,
            }
        ).astype(float)

    def attribution(self, model: StyleRiskModel) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Where the excess came from: by day and effect, and by industry of all days.

        effects      [days, effects] of ``return_effects``, and ``basket``, what the members' basket earned beyond the
                     index; a day's sum is its excess over the index. timing is what the day's trades earned from their
                     prices to the close
        industries   Brinson and Fachler's effects, linked: [industries, cash; allocation, selection, interaction];
                     their sum is the compounded return of the holdings at each close before less the basket's, without
                     timing and cost
        """
        gross, cost = (self.report[name].to_numpy(dtype=float) for name in ("return", "cost"))
        factor_returns, rows, tables = model.factor_returns.loc[self.days], [], {}
        stocks = np.array(self.stocks, dtype=object)
        for place, (day, last) in enumerate(zip(self.days, self.before, strict=True)):
            concerned = np.flatnonzero((self.weights[place] != 0) | (self.benchmark[place] != 0))
            covered = model.covered(last)
            places = covered.places_of(stocks[concerned])
            known = places >= 0
            x = np.where(known[:, None], covered.matrix(places), np.nan)
            exposures = pd.DataFrame(x, columns=list(covered.factors))
            weights, benchmark, returns = (
                panel[place, concerned] for panel in (self.weights, self.benchmark, self.returns)
            )
            trading = Trading(weights, gross[place] - weights @ returns, cost[place])
            rows.append(return_effects(trading, benchmark, returns, exposures, factor_returns.iloc[place]))
            tables[day] = brinson(weights, benchmark, returns, np.where(known, covered.industry[places], 0))
        daily = self.daily()
        effects = pd.DataFrame(rows, self.days).fillna(0.0)
        effects[BASKET] = daily["basket"] - daily["benchmark"]
        by_day = pd.concat(tables).unstack().fillna(0.0)
        held = pd.Series((self.weights * self.returns).sum(axis=1), self.days)
        industries = linked(by_day, held, daily["basket"]).unstack(0)
        return effects, industries[["allocation", "selection", "interaction"]]

    def turnover(self) -> pd.Series:
        """Purchases and sales of a year together, and half of it, of the account's value; names held; cash."""
        two_sided = float(self.report["turnover"].mean() * DAYS_PER_YEAR)
        return pd.Series(
            {
                "turnover_one_sided": two_sided / 2,
                "turnover_two_sided": two_sided,
                "names": float((self.weights > 0).sum(axis=1).mean()),
                "cash": float(1 - self.weights.sum(axis=1).mean()),
                "member_share": float((self.weights * (self.benchmark > 0)).sum(axis=1).mean()),
            }
        )


def linked_by_year(effects: pd.DataFrame, returns: pd.Series, benchmark: pd.Series) -> pd.DataFrame:
    """["all" and years, effects]: each row's sum is the row's compounded return less the benchmark's."""
    rows = {"all": linked(effects, returns, benchmark)}
    for year, part in effects.groupby(effects.index.year):
        rows[str(year)] = linked(part, returns.loc[part.index], benchmark.loc[part.index])
    return pd.DataFrame(rows).T


def performance(daily: pd.DataFrame) -> pd.DataFrame:
    """Figures of the account, and of its excess over the index and over its members' basket; see ``compounded``.

    [(return, excess, excess_basket), (annual_return, volatility, ratio, max_drawdown, calmar, weekly_win_rate,
    monthly_win_rate)]: of an excess, volatility is the tracking error, ratio the information ratio and max_drawdown
    that of the excess. calmar is ``annual_return / -max_drawdown``; weekly_win_rate counts ISO weeks.
    """
    shown = daily[["return", "excess", "excess_basket"]]
    table = compounded(shown)
    weeks = (1 + shown).groupby(shown.index.to_period("W-SUN")).prod() - 1
    table["calmar"] = table["annual_return"] / -table["max_drawdown"].where(table["max_drawdown"] < 0)
    table["weekly_win_rate"] = (weeks > 0).mean()
    columns = ["annual_return", "volatility", "ratio", "max_drawdown", "calmar", "weekly_win_rate", "monthly_win_rate"]
    return table[columns]


def performance_by_year(daily: pd.DataFrame, report: pd.DataFrame) -> pd.DataFrame:
    """["all" and years, figures]: returns of the calendar year's days compounded, the rest as in ``performance``.

    Columns: return, benchmark, excess, excess_basket, tracking_error, information_ratio, max_drawdown (of the excess),
    turnover_one_sided (of a year).
    """
    periods = {"all": daily} | {str(year): part for year, part in daily.groupby(daily.index.year)}
    rows = {}
    for name, part in periods.items():
        of_excess = compounded(part[["excess"]]).loc["excess"]
        whole = (1 + part).prod() - 1
        rows[name] = {
            **{column: whole[column] for column in ("return", "benchmark", "excess", "excess_basket")},
            "tracking_error": of_excess["volatility"],
            "information_ratio": of_excess["ratio"],
            "max_drawdown": of_excess["max_drawdown"],
            "turnover_one_sided": report["turnover"].loc[part.index].mean() * DAYS_PER_YEAR / 2,
        }
    return pd.DataFrame(rows).T


def foreseen_and_realised(traded: Sequence[pd.Timestamp], foreseen: Sequence[float], excess: pd.Series) -> pd.DataFrame:
    """Each holding period's excess beside the tracking error that was foreseen for it: [periods, columns].

    traded     the day on which each decision was dealt; foreseen: its tracking error, of a year
    excess     [days] over the members' basket

    Columns: tracking_error, days, excess (compounded from the day after traded to the next one), and outcome, ``excess
    / (tracking_error sqrt(days / 252))``. The standard deviation of outcomes is B: 1 where the risk was foreseen well.
    """
    rows = []
    ends = [*traded[1:], excess.index[-1]]
    for start, end, risk in zip(traded, ends, foreseen, strict=True):
        part = excess.loc[(excess.index > start) & (excess.index <= end)]
        if len(part) and risk > 0:
            whole = float((1 + part).prod() - 1)
            rows.append((start, risk, len(part), whole, whole / (risk * np.sqrt(len(part) / DAYS_PER_YEAR))))
    frame = pd.DataFrame(rows, columns=["datetime", "tracking_error", "days", "excess", "outcome"])
    return frame.set_index("datetime")

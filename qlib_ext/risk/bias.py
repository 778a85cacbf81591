"""Is the risk that a model foresees the risk that comes? Bias statistics of random, tilted and optimised portfolios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.cross_section.robust import REACH, SCALED_MAD
from qlib_ext.errors import DataError
from qlib_ext.risk.model import StyleRiskModel

Matrix = NDArray[np.float64]
HOLDING_DAYS = 10
PORTFOLIOS = 20
RANDOM_NAMES = 100
PAST_DAYS = {"past_month": 20, "past_quarter": 60}  # of the returns that are signals


class Risk(Protocol):
    """A covariance of stocks, however it is stored."""

    def times(self, weights: Matrix) -> Matrix:
        """``V w``: [stocks, k] -> [stocks, k]"""

    def solve(self, values: Matrix) -> Matrix:
        """``V^-1 a``: [stocks, k] -> [stocks, k]"""


@dataclass(frozen=True)
class FactorRisk:
    """``V = X F X' + diag(s^2)``; exposures [stocks, factors], covariance [factors, factors], specific [stocks]."""

    exposures: Matrix
    covariance: Matrix
    specific: Matrix

    @classmethod
    def of(cls, model: StyleRiskModel, day: pd.Timestamp, stocks: Sequence[str]) -> FactorRisk:
        """The risk of some stocks at the close of a day."""
        x = model.exposures(day).loc[list(stocks)]
        return cls(x.to_numpy(), model.covariance(day).to_numpy(), model.specific(day).loc[list(stocks)].to_numpy())

    def times(self, weights: Matrix) -> Matrix:
        common: Matrix = self.exposures @ (self.covariance @ (self.exposures.T @ weights))
        return common + self.specific[:, None] ** 2 * weights

    def solve(self, values: Matrix) -> Matrix:
        """By Woodbury, in factors: ``V^-1 a = D^-1 a - D^-1 X B (I + B'X'D^-1 X B)^-1 B'X'D^-1 a``, F = B B'."""
        root, vectors = np.linalg.eigh(self.covariance)
        b = self.exposures @ (vectors * np.sqrt(np.maximum(root, 0.0)))
        scaled, own = b / self.specific[:, None] ** 2, values / self.specific[:, None] ** 2
        common = np.linalg.solve(np.eye(b.shape[1]) + b.T @ scaled, b.T @ own)
        return np.asarray(own - scaled @ common, dtype=np.float64)


@dataclass(frozen=True)
class DenseRisk:
    """A covariance matrix [stocks, stocks]."""

    matrix: Matrix

    def times(self, weights: Matrix) -> Matrix:
        return self.matrix @ weights

    def solve(self, values: Matrix) -> Matrix:
        return np.asarray(np.linalg.solve(self.matrix, values), dtype=np.float64)


def portfolios(
    risk: Risk, styles: Matrix, signals: Mapping[str, Matrix], random: np.random.Generator
) -> dict[str, Matrix]:
    """The portfolios of a day, kind -> weights [stocks, 20]: what is held less what it is held against.

    random        100 stocks drawn anew, equally weighted, less all stocks
    style_tilted  in proportion to a mix of the styles; the mixes are the same every day
    optimised     ``V^-1 (a - mean a)`` of a random alpha: where a model's errors are looked for
    each signal   the same with the signal as alpha, on a half of the stocks drawn anew

    risk of these stocks; styles [stocks, styles]; signals [stocks] each; random: seeded by day.
    """
    count = len(styles)
    held = np.zeros((count, PORTFOLIOS))
    for column in held.T:
        column[random.choice(count, min(RANDOM_NAMES, count // 2), replace=False)] = 1.0
    mixes = np.random.default_rng(0).standard_normal((styles.shape[1], PORTFOLIOS))
    found = {"random": held / held.sum(0) - 1 / count, "style_tilted": _scaled(_centred(styles @ mixes))}
    found["optimised"] = _scaled(risk.solve(_centred(random.standard_normal((count, PORTFOLIOS)))))
    for name, signal in signals.items():
        alpha = np.zeros((count, PORTFOLIOS))
        for column in alpha.T:
            half = random.choice(count, count // 2, replace=False)
            column[half] = _centred(signal[half])
        found[name] = _scaled(risk.solve(alpha))
    return found


def reversal_signals(exposures: pd.DataFrame, past: Mapping[str, pd.Series]) -> dict[str, Matrix]:
    """Signals that a portfolio may be optimised on: a style, what is nearly one, and one that the model does not know.

    reversal                  minus the style's exposure, where there is one
    past_month, past_quarter  minus the return of the last 20 or 60 days, clipped at 3 scaled MADs

    exposures [stocks, factors]; past: each of these returns [stocks].
    """
    signals = {"reversal": -exposures["reversal"].to_numpy()} if "reversal" in exposures else {}
    for name, returns in past.items():
        middle = returns.median()
        reach = REACH * SCALED_MAD * (returns - middle).abs().median()
        signals[name] = -returns.clip(middle - reach, middle + reach).to_numpy()
    return signals


def _scaled(weights: Matrix) -> Matrix:
    scaled: Matrix = weights / np.abs(weights).sum(0)
    return scaled


def _centred(values: Matrix) -> Matrix:
    return values - values.mean(0)


def outcomes(risk: Risk, held: Mapping[str, Matrix], realised: Matrix) -> dict[str, Matrix]:
    """Each portfolio's return over its forecast deviation: kind -> [20]; of deviation 1 where the model is right.

    realised [stocks]: the returns of the 10 days to come. The forecast is ``sqrt(10 w'V w)``.
    """
    return {kind: (w.T @ realised) / np.sqrt(HOLDING_DAYS * (w * risk.times(w)).sum(0)) for kind, w in held.items()}


def bias_table(scaled: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """B by year and of all, and MRAD: ``outcomes`` by kind, [days, portfolios] -> [kinds, (years, all, mrad, days)].

    ``B = std(return / forecast)``, of a year over all its days and portfolios; 1 is right, 2 half of the risk unseen.
    MRAD is the mean of the years' |B - 1|. Of T independent days B is within ``1 +- sqrt(2 / T)`` of 1 where the model
    is right.
    """
    rows = {}
    for kind, values in scaled.items():
        by_year = {str(year): part.to_numpy().std() for year, part in values.groupby(values.index.year)}
        mrad = float(np.mean([abs(b - 1) for b in by_year.values()]))
        rows[kind] = by_year | {"all": values.to_numpy().std(), "mrad": mrad, "days": len(values)}
    return pd.DataFrame.from_dict(rows, orient="index")


def bias_test(
    risk_of: Callable[[pd.Timestamp, list[str]], Risk],
    model: StyleRiskModel,
    close: pd.DataFrame,
    members: pd.DataFrame,
    first: pd.Timestamp,
    last: pd.Timestamp,
) -> dict[str, pd.DataFrame]:
    """Outcomes every 10 trading days from first to last: kind -> [days, portfolios].

    risk_of   (day, stocks) -> the risk to be tested; model: that gives the styles, and says which stocks are covered
    close     [days, stocks], carried through suspensions; members [days, stocks] bool: the universe, of which those
              count that trade on the day: nobody buys a suspended stock

    Raises DataError where there is no day with history before and 10 days after it.
    """
    days = close.index
    every = [day for day in days if first <= day <= last and day in model.days][::HOLDING_DAYS]
    found: dict[str, dict[pd.Timestamp, Matrix]] = {}
    for day in every:
        at = days.get_loc(day)
        if at < max(PAST_DAYS.values()) or at + HOLDING_DAYS >= len(days):
            continue
        ahead = close.iloc[at + HOLDING_DAYS] / close.iloc[at] - 1
        past = {name: close.iloc[at] / close.iloc[at - length] - 1 for name, length in PAST_DAYS.items()}
        covered = model.stocks(day)
        covered = covered[(covered["industry"] > 0) & covered["seasoned"] & covered["return"].notna()]
        usable = members.loc[day] & pd.DataFrame(past).notna().all(axis=1) & ahead.notna()
        stocks = [stock for stock in covered.index if usable.get(stock, False)]
        if len(stocks) < 2 * PORTFOLIOS:
            continue
        risk = risk_of(day, stocks)
        random = np.random.default_rng(day.toordinal())
        exposures = model.exposures(day).loc[stocks]
        signals = reversal_signals(exposures, {name: returns[stocks] for name, returns in past.items()})
        held = portfolios(risk, exposures[model.styles(day)].to_numpy(), signals, random)
        for kind, values in outcomes(risk, held, ahead[stocks].to_numpy()).items():
            found.setdefault(kind, {})[day] = values
    if not found:
        raise DataError(
            f"From {first:%Y-%m-%d} to {last:%Y-%m-%d} no day has {2 * PORTFOLIOS} members that the model covers, and "
            f"{HOLDING_DAYS} days after it; name other days or another universe."
        )
    return {kind: pd.DataFrame.from_dict(values, orient="index") for kind, values in found.items()}

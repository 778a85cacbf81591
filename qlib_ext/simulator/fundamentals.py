"""The companies of the simulated market: what they own, owe, sell and earn; accruals may tell of returns."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_LEAST_FLOAT = 0.3  # share of the total that floats, at least
_BOOK_TO_PRICE = 0.5  # at the beginning, the market's usual one
_RETURN, _RETURN_SPREAD = 0.08, 0.06  # on equity, a year: mean and deviation between companies
_PERSISTENCE, _SHOCK = 0.8, 0.02  # of a company's return on equity from quarter to quarter
_RETAINED = 0.7  # of the earnings

_ACCRUALS, _ACCRUALS_KEPT = 0.03, 0.8  # of the assets, standard deviation; from quarter to quarter
_DEBT = (0.2, 0.8)  # over the assets
_SALES, _SALES_SPREAD = 0.7, 0.5  # over the assets a year: median, and deviation of the logarithm
_PAID_OUT = 1 - _RETAINED

REPORTED = ("sales_ttm", "cash_flow_ttm", "debt_to_assets", "dividend_yield")

Array = NDArray[np.float64]


def draw_accruals(calendar: pd.DatetimeIndex, stocks: int, rng: np.random.Generator) -> Array:
    """``a_q = 0.8 a_(q-1) + 0.6 n_q``, n normal, of the quarter that a day knows: ``[days, stocks]``, variance 1."""
    quarter = pd.factorize(calendar.to_period("Q"))[0]
    drawn = rng.standard_normal((int(quarter[-1]) + 1, stocks))
    for q in range(1, len(drawn)):
        drawn[q] = _ACCRUALS_KEPT * drawn[q - 1] + np.sqrt(1 - _ACCRUALS_KEPT**2) * drawn[q]
    return drawn[quarter]


def company_fields(
    calendar: pd.DatetimeIndex,
    float_mv: Array,
    close: Array,
    issue_mv: Array,
    accruals: Array,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """What the companies are worth and report, each [days, stocks], in yuan, shares, or per cent.

    total_mv      float_mv over the company's floating share, which is drawn between 0.3 and 1
    shares        total_mv over the adjusted close, carried through a suspension: shares times $close is the market
                  value
    book          B_q = B_{q-1} (1 + 0.7 roe_q / 4) of quarter q, known on the first trading day of the next one
    earnings_ttm  roe_q B_q, where roe_q is 0.8 of the distance of roe_{q-1} to the company's own mean away from it,
                  and a shock of 2 %
    debt_to_assets   D, a company's own, drawn between 20 and 80 %
    sales_ttm        a company's own share of its assets B / (1 - D)
    cash_flow_ttm    earnings less 3 % of the assets times the accruals
    dividend_yield   0.3 of the earnings over total_mv, 0 where they are losses

    float_mv, close, accruals [days, stocks]; issue_mv [stocks]. But for the accruals, none of it tells of returns.
    """
    stocks = float_mv.shape[1]
    total_mv = float_mv / rng.uniform(_LEAST_FLOAT, 1, stocks)
    carried = pd.DataFrame(close).ffill().to_numpy()
    quarter = pd.factorize(calendar.to_period("Q"))[0]
    quarters = int(quarter[-1]) + 1
    usual = _RETURN + _RETURN_SPREAD * rng.standard_normal(stocks)
    book = issue_mv * _BOOK_TO_PRICE * np.exp(0.5 * rng.standard_normal(stocks))
    roe = usual + _SHOCK * rng.standard_normal(stocks)
    books, earnings = np.empty((quarters, stocks)), np.empty((quarters, stocks))
    for q in range(quarters):
        books[q], earnings[q] = book, roe * book
        roe = usual + _PERSISTENCE * (roe - usual) + _SHOCK * rng.standard_normal(stocks)
        book = book * (1 + _RETAINED * roe / 4)
    debt = rng.uniform(*_DEBT, stocks)
    assets = books[quarter] / (1 - debt)  # [days, stocks]
    return {
        "total_mv": total_mv,
        "shares": total_mv / carried,
        "book": books[quarter],
        "earnings_ttm": earnings[quarter],
        "sales_ttm": assets * _SALES * np.exp(_SALES_SPREAD * rng.standard_normal(stocks)),
        "cash_flow_ttm": earnings[quarter] - _ACCRUALS * accruals * assets,
        "debt_to_assets": np.broadcast_to(100 * debt, assets.shape),
        "dividend_yield": 100 * _PAID_OUT * np.maximum(earnings[quarter], 0) / total_mv,
    }

"""The companies of the simulated market: total shares, book value and earnings, none of which tells of returns."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_LEAST_FLOAT = 0.3  # share of the total that floats, at least
_BOOK_TO_PRICE = 0.5  # at the beginning, the market's usual one
_RETURN, _RETURN_SPREAD = 0.08, 0.06  # on equity, a year: mean and deviation between companies
_PERSISTENCE, _SHOCK = 0.8, 0.02  # of a company's return on equity from quarter to quarter
_RETAINED = 0.7  # of the earnings

Array = NDArray[np.float64]


def company_fields(
    calendar: pd.DatetimeIndex, float_mv: Array, close: Array, issue_mv: Array, rng: np.random.Generator
) -> dict[str, Array]:
    """total_mv, shares, book and earnings_ttm, each [days, stocks], in yuan and shares.

    total_mv      float_mv over the company's floating share, which is drawn between 0.3 and 1
    shares        total_mv over the adjusted close, carried through a suspension: shares times $close is the market
                  value
    book          B_q = B_{q-1} (1 + 0.7 roe_q / 4) of quarter q, known on the first trading day of the next one
    earnings_ttm  roe_q B_q, where roe_q is 0.8 of the distance of roe_{q-1} to the company's own mean away from it,
                  and a shock of 2 %

    float_mv, close [days, stocks]; issue_mv [stocks]. Returns have no part in any of it.
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
    return {
        "total_mv": total_mv,
        "shares": total_mv / carried,
        "book": books[quarter],
        "earnings_ttm": earnings[quarter],
    }

"""What makes up the styles of the risk model: each a function of panels [days, stocks] that are known at the close.

Arguments are named as the provider's fields, but for three that ``read_market`` makes of them: ``cap``, the market
value carried through suspensions; ``returns``, of a day and the one before it; ``market``, their mean over seasoned
stocks, [days]. The result is [days - first, stocks] float64, NaN where there is nothing; ``first`` is the first day
that is wanted.

A window needs half of its days, else the value is NaN. Windows end after 4 half-lives (where 1/16 of the weight is
left), h63 and h42 after a year. Sources: Orient Securities, DFQ-2020, as far as it is public, for the choice of styles;
Barra's CNE5 for windows, half-lives and weights; "ours" is in neither.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature

import numpy as np
from numpy.typing import NDArray

from qlib_ext.risk.windows import half_life_weights, market_lines, ranges, weighted_means, window_sums

Panel = NDArray[np.float64]
YEAR = 243  # trading days
LONGEST_REACH = 525  # days that a style reads, its own among them


def _enough(values: Panel, count: Panel, window: int) -> Panel:
    return np.where(count >= window // 2, values, np.nan)


def _log(values: Panel) -> Panel:
    """The logarithm of what is positive, NaN of the rest."""
    return np.log(np.where(values > 0, values, np.nan))


def _ratio(part: Panel, whole: Panel) -> Panel:
    return np.divide(part, whole, out=np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan), where=whole > 0)


def log_cap(cap: Panel, first: int = 0) -> Panel:
    """Size: ``ln cap``."""
    return _log(cap[first:])


def log_amount(amount: Panel, first: int = 0) -> Panel:
    """What stands for size where no market value is known, and is called amount: ``ln mean amount`` of 250 days.

    Its rank correlation with the float value is 0.57.
    """
    total, count = window_sums(amount, 250, first)
    return _enough(_log(_ratio(total, count)), count, 250)


def beta(returns: Panel, market: Panel, first: int = 0) -> Panel:
    """``cov(r, m) / var(m)``, exponentially weighted, half-life 63, window 252."""
    value, _, count = market_lines(returns, market, half_life_weights(63, 252), first)
    return _enough(value, count, 252)


def momentum(returns: Panel, first: int = 0) -> Panel:
    """The mean of ln(1 + r), exponentially weighted, half-life 126, of 504 days that end 21 days before.

    126 of these days are enough, so that a stock of seven months has a momentum.
    """
    mean, count = weighted_means(np.log1p(returns), half_life_weights(126, 504), 21, first)
    return np.where(count >= 126, mean, np.nan)


def reversal(returns: Panel, first: int = 0) -> Panel:
    """The mean of ln(1 + r), exponentially weighted, half-life 5, window 20."""
    mean, count = weighted_means(np.log1p(returns), half_life_weights(5, 20), 0, first)
    return _enough(mean, count, 20)


def month_reversal(returns: Panel, first: int = 0) -> Panel:
    """The mean of ln(1 + r) of 21 days.

    Ours beside ``reversal``, chosen on 2014-2016: without it portfolios on the past month's return, and those on the
    past week's, quarter's and half year's, have more risk than is foreseen. Source: Jegadeesh, 1990, of the effect.
    """
    mean, count = weighted_means(np.log1p(returns), half_life_weights(np.inf, 21), 0, first)
    return _enough(mean, count, 21)


def deviation(returns: Panel, first: int = 0) -> Panel:
    """``sqrt(mean r^2)``, exponentially weighted, half-life 42, window 252."""
    mean, count = weighted_means(returns**2, half_life_weights(42, 252), 0, first)
    return _enough(np.sqrt(mean), count, 252)


def cumulative_range(close: Panel, first: int = 0) -> Panel:
    """The highest less the lowest ln close of 250 days, which is the range of the cumulative log return."""
    span, count = ranges(np.log(close), 250, first)
    return _enough(span, count, 250)


def residual_deviation(returns: Panel, market: Panel, first: int = 0) -> Panel:
    """The standard deviation of what ``beta`` leaves of the returns, half-life 63, window 252."""
    _, variance, count = market_lines(returns, market, half_life_weights(63, 252), first)
    return _enough(np.sqrt(variance), count, 252)


def _log_turnover(turnover: Panel, window: int, first: int) -> Panel:
    total, count = window_sums(turnover, window, first)
    return _enough(_log(_ratio(total, count)), count, window)


def turnover_month(turnover: Panel, first: int = 0) -> Panel:
    """``ln mean turnover`` of 21 days: the logarithm of its sum but for a constant, whatever days are missing."""
    return _log_turnover(turnover, 21, first)


def turnover_quarter(turnover: Panel, first: int = 0) -> Panel:
    """``ln mean turnover`` of 63 days."""
    return _log_turnover(turnover, 63, first)


def turnover_year(turnover: Panel, first: int = 0) -> Panel:
    """``ln mean turnover`` of 252 days."""
    return _log_turnover(turnover, 252, first)


def amount_growth(amount: Panel, first: int = 0) -> Panel:
    """``ln(mean amount of 20 days / mean amount of 250 days)``."""
    (recent, n), (usual, m) = (window_sums(amount, window, first) for window in (20, 250))
    return _enough(_enough(_log(_ratio(recent, n)) - _log(_ratio(usual, m)), m, 250), n, 20)


def book_to_price(book: Panel, cap: Panel, first: int = 0) -> Panel:
    """``book / cap``; NaN where the book value is negative."""
    return _ratio(np.where(book[first:] >= 0, book[first:], np.nan), cap[first:])


def earnings_to_price(earnings_ttm: Panel, cap: Panel, first: int = 0) -> Panel:
    """``earnings_ttm / cap``: the net earnings of four quarters."""
    return _ratio(earnings_ttm[first:], cap[first:])


def sales_to_price(sales_ttm: Panel, cap: Panel, first: int = 0) -> Panel:
    """``sales_ttm / cap``: the sales of four quarters."""
    return _ratio(sales_ttm[first:], cap[first:])


def dividend_to_price(dividend_yield: Panel, first: int = 0) -> Panel:
    """The field itself, as known on its day."""
    return dividend_yield[first:]


def _growth(values: Panel, first: int) -> Panel:
    """``(x_t - x_{t-243}) / |x_{t-243}|``, NaN where that is 0."""
    before = np.full(values[first:].shape, np.nan)
    past = values[max(first - YEAR, 0) : max(len(values) - YEAR, 0)]
    before[len(before) - len(past) :] = past
    change = values[first:] - before
    return np.divide(change, np.abs(before), out=np.full(change.shape, np.nan), where=before != 0)


def earnings_growth(earnings_ttm: Panel, first: int = 0) -> Panel:
    """The growth of earnings_ttm over 243 trading days, over its absolute value then."""
    return _growth(earnings_ttm, first)


def book_growth(book: Panel, first: int = 0) -> Panel:
    """The growth of the book value over 243 trading days, over its absolute value then."""
    return _growth(book, first)


def return_on_equity(roe: Panel, first: int = 0) -> Panel:
    """The field itself."""
    return roe[first:]


def return_on_capital(roic: Panel, first: int = 0) -> Panel:
    """The field itself."""
    return roic[first:]


def debt(debt_to_assets: Panel, first: int = 0) -> Panel:
    """The field itself."""
    return debt_to_assets[first:]


def fields_of(function: Callable) -> list[str]:
    """The names of the panels that a function reads."""
    return [name for name in signature(function).parameters if name != "first"]

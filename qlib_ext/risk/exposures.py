"""From panels to exposures: which parts make a style, how they are standardised, and what a stock's industry is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlib_ext.cross_section.robust import REACH, SCALED_MAD, median
from qlib_ext.cross_section.zscore import zscore_of_all
from qlib_ext.risk import styles
from qlib_ext.risk.styles import Panel

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Style:
    """A style: the weighted sum of its standardised parts, standardised anew.

    parts           functions of ``qlib_ext.risk.styles`` with their weights; none: it is the cube of size or amount
    orthogonal_to   styles, named before this one, that are taken out by a regression with weights sqrt(cap), where the
                    model has them; size stands for amount too
    """

    name: str
    parts: tuple[tuple[float, Callable[..., Panel]], ...] = ()
    orthogonal_to: tuple[str, ...] = ()

    @property
    def fields(self) -> list[str]:
        """The panels that it reads, without those twice."""
        return list(dict.fromkeys(field for _, part in self.parts for field in styles.fields_of(part)))


def _one(name: str, part: Callable[..., Panel]) -> Style:
    return Style(name, ((1.0, part),))


SIZE, AMOUNT = "size", "amount"
NON_LINEAR_SIZE = "non_linear_size"

STYLES: tuple[Style, ...] = (
    _one(SIZE, styles.log_cap),
    Style(NON_LINEAR_SIZE, orthogonal_to=(SIZE,)),
    _one("beta", styles.beta),
    _one("momentum", styles.momentum),
    _one("reversal", styles.reversal),
    _one("month_reversal", styles.month_reversal),
    Style(
        "residual_volatility",
        ((0.74, styles.deviation), (0.16, styles.cumulative_range), (0.10, styles.residual_deviation)),
        orthogonal_to=("beta", SIZE),
    ),
    Style(
        "liquidity",  # ours: equal parts
        (
            (0.25, styles.turnover_month),
            (0.25, styles.turnover_quarter),
            (0.25, styles.turnover_year),
            (0.25, styles.amount_growth),
        ),
    ),
    _one("value", styles.book_to_price),
    _one("earnings_yield", styles.earnings_to_price),
    _one("sales_yield", styles.sales_to_price),
    _one("dividend_yield", styles.dividend_to_price),
    Style("growth", ((0.5, styles.earnings_growth), (0.5, styles.book_growth))),
    Style("profitability", ((0.5, styles.return_on_equity), (0.5, styles.return_on_capital))),
    _one("leverage", styles.debt),
)


def standardised(values: Panel, cap: Panel, universe: Mask) -> Panel:
    """``z = (c - m) / s``: c the values clipped at median +- 3 x 1.4826 MAD, m their mean by cap, s their deviation.

    values, cap, universe [days, stocks]; median, MAD, m and s (equal-weighted, n) are of the universe's known values of
    the day, and every known value is transformed. All of a day is NaN where s is 0: no value, one, or all alike.
    """
    known = universe & np.isfinite(values)
    x = np.where(known, values, np.nan)
    middle = median(x)
    reach = REACH * SCALED_MAD * median(np.abs(x - middle))
    # half of the stocks alike have no MAD: such a day is left unclipped, as an exposure of few stocks is still one
    reach = np.where(reach > 0, reach, np.inf)
    return zscore_of_all(np.clip(values, middle - reach, middle + reach), known, cap)


def orthogonal(values: Panel, others: Sequence[Panel], cap: Panel, universe: Mask) -> Panel:
    """What a weighted least-squares regression on the others and a constant leaves: weights sqrt(cap), day by day.

    values, cap, universe and each of others [days, stocks]. Stocks of the universe that know all of them take part;
    every stock that does is transformed, the others are NaN.
    """
    left = np.full(values.shape, np.nan)
    for day in range(len(values)):
        design = np.column_stack([np.ones(values.shape[1]), *(other[day] for other in others)])
        known = np.isfinite(values[day]) & np.isfinite(design).all(1)
        used = known & universe[day]
        if used.sum() <= design.shape[1]:
            continue
        root = cap[day, used] ** 0.25
        slope = np.linalg.lstsq(design[used] * root[:, None], values[day, used] * root, rcond=None)[0]
        left[day, known] = values[day, known] - design[known] @ slope
    return left


def exposures(
    panels: Mapping[str, Panel], wanted: Sequence[Style], cap: Panel, universe: Mask, first: int
) -> dict[str, Panel]:
    """The standardised exposures to styles, each [days - first, stocks], NaN where a stock has none.

    panels     [days, stocks], the fields of the styles; ``market`` is [days]
    cap        [days - first, stocks]: what weights the mean
    universe   [days - first, stocks]: the stocks whose values set mean and deviation
    """
    found: dict[str, Panel] = {}
    for style in wanted:
        parts = [_part(part, panels, first) for _, part in style.parts]
        if not parts:
            value = found[SIZE if SIZE in found else AMOUNT] ** 3
        elif len(parts) > 1:
            weights = [weight for weight, _ in style.parts]
            value = _weighted_mean([standardised(part, cap, universe) for part in parts], weights)
        else:
            value = parts[0]
        if style.orthogonal_to:
            names = [AMOUNT if name == SIZE and AMOUNT in found else name for name in style.orthogonal_to]
            others = [np.nan_to_num(found[name]) for name in names if name in found]
            value = orthogonal(value, others, cap, universe)
        found[style.name] = standardised(value, cap, universe)
    return found


def _part(part: Callable[..., Panel], panels: Mapping[str, Panel], first: int) -> Panel:
    return part(*(panels[name] for name in styles.fields_of(part)), first=first)


def _weighted_mean(parts: Sequence[Panel], weights: Sequence[float]) -> Panel:
    """``sum_k a_k z_k / sum_k a_k`` over the parts that are known, NaN where none is."""
    total, known = np.zeros(parts[0].shape), np.zeros(parts[0].shape)
    for weight, part in zip(weights, parts, strict=True):
        there = np.isfinite(part)
        total += np.where(there, weight * part, 0.0)
        known += weight * there
    return np.divide(total, known, out=np.full(total.shape, np.nan), where=known > 0)

"""The statistics of the factors, as polars expressions for ``group_by(...).agg``; null where undefined.

A series counts as constant when its values differ by no more than 1e-12 of the larger of 1 and its largest absolute
value: the smallest real step of a price, a volume or a return is far larger, the noise of float64 smaller.
"""

from __future__ import annotations

import polars as pl

NOISE = 1e-12


def _varies(x: pl.Expr) -> pl.Expr:
    return (x.max() - x.min()) > NOISE * pl.max_horizontal(1.0, x.abs().max())


def skew(x: pl.Expr) -> pl.Expr:
    """The adjusted skewness, scipy.stats.skew(bias=False); null for fewer than 3 points or constant ones."""
    return pl.when(_varies(x)).then(x.skew(bias=False))


def kurt(x: pl.Expr) -> pl.Expr:
    """The adjusted excess kurtosis, scipy.stats.kurtosis(bias=False); null for fewer than 4 points or constants."""
    return pl.when(_varies(x)).then(x.kurtosis(fisher=True, bias=False))


def corr(x: pl.Expr, y: pl.Expr) -> pl.Expr:
    """Pearson's correlation of two series of one length; null where either is constant."""
    return pl.when(_varies(x) & _varies(y)).then(pl.corr(x, y))


def ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """part / whole; null where the whole is 0."""
    return pl.when(whole != 0).then(part / whole)

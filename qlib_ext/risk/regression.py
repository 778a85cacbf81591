"""The cross-sectional regression of a day: what the market, each industry and each style returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlib_ext.errors import DataError
from qlib_ext.risk.styles import Panel

SINGULAR = 1e-10  # of the normal matrix with unit diagonal: smallest over largest eigenvalue


@dataclass(frozen=True)
class Fit:
    """A day's regression: factor returns [K], their t-statistics [K], R^2, and what is left of each stock [stocks]."""

    returns: Panel
    t_statistics: Panel
    r_squared: float
    residuals: Panel


def design(industry: NDArray[np.int_], codes: Sequence[int], styles: Panel) -> Panel:
    """The factors' exposures: [stocks, 1 + industries + styles], of the market 1, of an industry 1 for its stocks.

    industry [stocks]; codes: the industries that are factors, ascending; styles [stocks, styles].
    """
    return np.hstack([np.ones((len(industry), 1)), industry[:, None] == np.asarray(codes)[None, :], styles])


def fit(returns: Panel, exposures: Panel, cap: Panel, industries: int, names: Sequence[str]) -> Fit:
    """Weighted least squares of a day's returns on the exposures of the day before, ``r = X f + e``.

    ``f = argmin sum_i sqrt(cap_i) e_i^2`` where the industries' returns, weighted by their cap, sum to 0; so the
    market's return is that of all stocks by cap, but for styles. The condition is kept by writing the largest
    industry's return as the others' (``f = C g``, C [K, K - 1]). t-statistics: ``f_k / se_k`` with the variance
    ``C (C'X'WXC)^-1 C' sum_i w_i e_i^2 / (n - K + 1)``. ``R^2 = 1 - sum w e^2 / sum w (r - mean_w r)^2``.

    returns, cap [stocks]; exposures [stocks, K] of ``design``, with this number of industries; names [K], for messages.
    Raises DataError where the factors cannot be told apart, naming those that depend on each other.
    """
    w = np.sqrt(cap)
    constraint = _constraint(exposures, cap, industries)
    x = exposures @ constraint  # [stocks, K - 1]
    inverse = _inverse((x * w[:, None]).T @ x, constraint, names)
    f = constraint @ (inverse @ (x.T @ (w * returns)))
    residuals = returns - exposures @ f
    squares = w @ residuals**2
    freedom = len(returns) - x.shape[1]
    spread = np.einsum("ij,jk,ik->i", constraint, inverse, constraint)  # of C inverse C' the diagonal
    error = np.sqrt(np.maximum(spread, 0.0) * squares / freedom)
    centred = returns - (w @ returns) / w.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return Fit(f, f / error, float(1 - squares / (w @ centred**2)), residuals)


def _constraint(exposures: Panel, cap: Panel, industries: int) -> Panel:
    """C [K, K - 1]: the largest industry's return is minus the others', weighted by cap."""
    share = cap @ exposures[:, 1 : 1 + industries]  # [industries]
    largest = 1 + int(share.argmax())
    constraint = np.delete(np.eye(exposures.shape[1]), largest, axis=1)
    others = np.delete(share, largest - 1)
    constraint[largest, 1:industries] = -others / share[largest - 1]
    return constraint


def _inverse(normal: Panel, constraint: Panel, names: Sequence[str]) -> Panel:
    scale = np.sqrt(np.diag(normal))
    if (scale == 0).any():
        raise DataError(
            f"The factor {names[int(np.abs(constraint[:, scale == 0]).sum(1).argmax())]} is 0 for all stocks."
        )
    values, vectors = np.linalg.eigh(normal / np.outer(scale, scale))
    if values[0] < SINGULAR * values[-1]:
        alike = np.abs(constraint @ (vectors[:, 0] / scale))
        guilty = [names[place] for place in np.argsort(-alike)[:3] if alike[place] > 0.1 * alike.max()]
        raise DataError(f"The factors {', '.join(guilty)} cannot be told apart: one is a sum of the others.")
    return (vectors / values) @ vectors.T / np.outer(scale, scale)

"""The index of the simulated market: its members, their weights and its own bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_SHARE = 0.7  # of the eligible stocks
_PAST = 120  # days of float market value that a review looks at
_SEASONED = 60  # days listed before a stock is eligible
_LEVEL = 3000.0

Array = NDArray[np.float64]


def review_members(
    calendar: pd.DatetimeIndex, float_mv: Array, issue_mv: Array, listed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return who is a member on which day, [days, stocks].

    On the first day of each June and December the largest 70 % of the stocks listed for 60 days are chosen by
    mean float market value of the last 120 days, the day itself excluded; on the very first day by issue value.
    A stock that leaves the market leaves the index.
    """
    months = calendar.month.to_numpy()
    members = np.zeros_like(listed)
    for t in range(len(calendar)):
        if t == 0:
            members[t] = _largest(issue_mv, listed[t])
        elif months[t] in (6, 12) and months[t] != months[t - 1]:
            past = float_mv[max(0, t - _PAST) : t]
            eligible = listed[t - 1] & (listed[:t].sum(axis=0) >= min(_SEASONED, t))
            members[t] = _largest(np.nanmean(np.where(eligible, past, 0.0), axis=0), eligible)
        else:
            members[t] = members[t - 1]
        members[t] &= listed[t]
    return members


def opening_weights(float_mv: Array, issue_mv: Array, members: NDArray[np.bool_]) -> Array:
    """Return each member's share of the members' float market value at the last close, NaN for the others.

    w[t, i] = mv[t-1, i] / sum over members j of mv[t-1, j]; a fraction, known before day t opens. It weights the
    returns of day t.
    """
    return _shares(np.vstack([issue_mv, float_mv[:-1]]), members)


def closing_weights(float_mv: Array, members: NDArray[np.bool_]) -> Array:
    """Return each member's share of the members' float market value at the close of the day, NaN for the others."""
    return _shares(float_mv, members)


def _shares(values: Array, members: NDArray[np.bool_]) -> Array:
    values = np.where(members, values, 0.0)
    return np.where(members, values / values.sum(axis=1, keepdims=True), np.nan)


def index_bars(bars: dict[str, Array], weights: Array) -> dict[str, Array]:
    """Return the index's bars, field -> [days]; total return, since adjusted prices carry the dividends.

    close[t] = close[t-1] * sum over i of w[t, i] * close[t, i] / last close of i, likewise for open, high, low
    and vwap; a suspended member counts with its last close. The index stands at 3000 after the first day.
    volume (shares as traded) and amount (yuan) are the members' sums.
    """
    before = bars["close"] / (1 + np.nan_to_num(bars["change"]))
    weights = np.nan_to_num(weights)
    ratio = {
        name: (weights * np.nan_to_num(bars[name] / before, nan=1.0)).sum(axis=1)
        for name in ("open", "high", "low", "close", "vwap")
    }
    close = _LEVEL * np.cumprod(ratio["close"])
    last = np.concatenate([[_LEVEL], close[:-1]])
    member = weights > 0
    return {name: last * values for name, values in ratio.items()} | {
        "volume": np.where(member, np.nan_to_num(bars["volume"] * bars["factor"]), 0.0).sum(axis=1),
        "amount": np.where(member, np.nan_to_num(bars["amount"]), 0.0).sum(axis=1),
        "factor": np.ones_like(close),
        "change": np.concatenate([[np.nan], ratio["close"][1:] - 1]),
    }


def spans(calendar: pd.DatetimeIndex, symbols: list[str], inside: NDArray[np.bool_]) -> list[tuple]:
    """Return (symbol, first day, last day) for every unbroken run of days inside, [days, stocks]."""
    edge = np.diff(np.pad(inside.astype(np.int8), ((1, 1), (0, 0))), axis=0)
    return [
        (symbol, calendar[int(first)], calendar[int(last)])
        for i, symbol in enumerate(symbols)
        for first, last in zip(np.flatnonzero(edge[:, i] == 1), np.flatnonzero(edge[:, i] == -1) - 1, strict=True)
    ]


def _largest(size: Array, eligible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    keep = np.zeros_like(eligible)
    order = np.argsort(-np.where(eligible, size, -np.inf), kind="stable")
    keep[order[: round(_SHARE * eligible.sum())]] = True
    return keep

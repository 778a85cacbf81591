"""What an account trades at, day by day: prices, lots and who can be bought and sold, read without Qlib."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import DataError, ProviderError
from qlib_ext.keywords import refuse_unknown
from qlib_ext.portfolio.boards import NO_BOARD, RULES, Boards, age_of, closed_directions, listing_days
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.names import instruments_with_features
from qlib_ext.provider.panels import checked_folder, fields_known, read_panels, read_spans
from qlib_ext.risk.windows import carried

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SMALLEST = 1e-8  # a price at which Qlib deals; one below is none


@dataclass(frozen=True)
class Quotes:
    """Bars of days as BoardExchange has them; matrices [days, stocks], prices and shares as adjusted by ``factor``.

    close     of the day, of a suspended stock its last one; NaN before its first
    before    [stocks] the close of the day before the first, NaN where the calendar begins with it
    price     at which orders are dealt, the close where it is missing
    no_buy, no_sell   closed directions: suspended, or at the limit
    lot       [stocks] shares as traded of which orders are multiples, NaN for no multiple
    """

    days: pd.DatetimeIndex
    stocks: tuple[str, ...]
    close: Array
    before: Array
    price: Array
    factor: Array
    no_buy: Mask
    no_sell: Mask
    lot: Array

    @property
    def returns(self) -> Array:
        """Close to close, 0 where a stock does not trade and on its first day."""
        return np.nan_to_num(self.close / np.vstack([self.before, self.close[:-1]]) - 1)


def read_quotes(
    provider: str | Path,
    first: Any,
    last: Any,
    market: str = "all",
    price: str = "$vwap",
    limit: str = "one_price",
    st: str | None = None,
    lots: bool = True,
    boards: str | None = None,
) -> Quotes:
    """The quotes of a provider's days from first to last; options as those of ``BoardExchange``.

    Raises ConfigError for a rule that is none, ProviderError for a provider without a field that is read, DataError
    where no day lies between first and last.
    """
    refuse_unknown([limit], RULES, "limit")
    rules, folder = Boards(boards), checked_folder(provider)
    calendar, spans = read_calendar(folder), read_spans(folder, market)
    stocks = sorted({*spans["instrument"]} & instruments_with_features(folder))
    begin, end = calendar.searchsorted(pd.Timestamp(first)), calendar.searchsorted(pd.Timestamp(last), side="right")
    if begin >= end:
        raise DataError(f"{folder} has no day from {first} to {last}; its days are {calendar[0]} to {calendar[-1]}.")
    names = ["close", "high", "low", "change", "factor", price.removeprefix("$")]
    names += [st.removeprefix("$")] if st else []
    if missing := sorted({*names} - {*fields_known(folder, names, stocks)}):
        raise ProviderError(f"{folder} has no ${', $'.join(missing)}, which quotes are made of.")
    bars = read_panels(folder, sorted({*names}), stocks, 0, int(end))
    flagged = bars[st.removeprefix("$")] > 0 if st else np.zeros((1, 1), dtype=bool)
    close = carried(bars["close"], end)
    before = close[begin - 1] if begin else np.full(len(stocks), np.nan)
    close = close[begin:]
    bars = {name: values[begin:] for name, values in bars.items()}
    days = calendar[begin:end]
    raw = {name: bars[name] / bars["factor"] for name in ("close", "high", "low")}
    board = rules.board_of(stocks)
    every = read_spans(folder, "all").groupby("instrument")["first"].min().reindex(stocks).fillna(calendar[0])
    listed, day = listing_days(pd.DatetimeIndex(every), calendar), days.to_numpy()[:, None]
    widths = rules.widths(board, day, listed, age_of(day, listed, calendar), flagged[begin:] if st else flagged)
    limits = rules.limits(raw["close"] / (1 + bars["change"]), widths)
    no_buy, no_sell = closed_directions(limits, raw["close"], raw["high"], raw["low"], limit)
    dealt = bars[price.removeprefix("$")]
    return Quotes(
        days,
        tuple(stocks),
        close,
        before,
        np.where(dealt > SMALLEST, dealt, close),
        bars["factor"],
        no_buy | (board == NO_BOARD),
        no_sell | (board == NO_BOARD),
        rules.lots(stocks) if lots else np.full(len(stocks), np.nan),
    )

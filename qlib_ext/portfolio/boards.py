"""The rules of the exchanges' boards as dated lines of boards.csv, and the prices that they allow a stock on a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import ConfigError

BOARDS = Path(__file__).with_name("boards.csv")
COLUMNS = ("board", "codes", "since", "limit", "st_limit", "free_days", "first_up", "first_down", "lot")
CENTS = 100  # a yuan; the tick of stocks is 0.01 yuan
NO_BOARD = -1
RULES = ("one_price", "close")

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """The highest and the lowest price of a day, in whole cents as traded; NaN where there is no limit."""

    up: Array
    down: Array


class Boards:
    """A table of rules, one a line, each in force from its day until the board's next line.

    codes       how the board's instruments begin, alternatives apart by |
    limit, st_limit   how far a price may go from its reference, a fraction; of a stock flagged ST
    free_days   the first days of a listing that have no limit; first_up, first_down: limits of its first day
    lot         shares of which orders are multiples (on STAR 200 is the least, and a multiple of it is always allowed)

    limit and st_limit are those of the day, what concerns new listings is that of the day of listing.
    Raises ConfigError for a table without these columns, or whose values make no sense.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = BOARDS if path is None else Path(path)
        try:
            table = pd.read_csv(self.path, parse_dates=["since"])
        except (OSError, ValueError) as error:
            raise ConfigError(f"The boards' rules {self.path} cannot be read: {error}.") from error
        missing = [name for name in COLUMNS if name not in table]
        if missing:
            raise ConfigError(f"The boards' rules {self.path} have no column {', '.join(missing)}.")
        wrong = ~(table["limit"].between(0, 1) & table["st_limit"].between(0, 1) & (table["free_days"] >= 0))
        wrong |= table["since"].isna() | ~(table["lot"] >= 1)
        if wrong.any():
            raise ConfigError(
                f"{self.path} has {wrong.sum()} lines that make no rule, first line {int(wrong.argmax()) + 2}: since "
                "is a day, limits are fractions of 1, free_days and lot are whole numbers."
            )
        self.names = list(dict.fromkeys(table["board"]))
        self._rules = [table[table["board"] == name].sort_values("since") for name in self.names]
        for name, rules in zip(self.names, self._rules, strict=True):
            if rules["lot"].nunique() > 1 or rules["codes"].nunique() > 1:
                raise ConfigError(f"{self.path} gives the board {name} several lots or codes; a board has one of each.")

    def board_of(self, instruments: Sequence[str]) -> NDArray[np.int_]:
        """The place of each instrument's board in ``names``, NO_BOARD for what is no stock of any: [instruments]."""
        codes = pd.Series(list(instruments), dtype=object).astype(str).str.upper()
        board = np.full(len(codes), NO_BOARD)
        for place, rules in enumerate(self._rules):
            board[codes.str.match(rules["codes"].iloc[0]).to_numpy(dtype=bool)] = place
        return board

    def lots(self, instruments: Sequence[str]) -> Array:
        """Shares of a lot, NaN for what is no stock of any board: [instruments]."""
        lots = np.array([rules["lot"].iloc[0] for rules in self._rules] + [np.nan])
        return lots[self.board_of(instruments)]

    def widths(self, board: NDArray, day: NDArray, listed: NDArray, age: Array, st: Mask) -> tuple[Array, Array]:
        """How far up and down from its reference a price may go, fractions; NaN where no limit is in force.

        board   of ``board_of``; day and listed: datetime64 of the bar and of the first day of trading, NaT where the
                listing is older than is known; age: trading days from it, 1 on the first day; st: flagged ST

        All are arrays that broadcast with each other, [days, stocks] or rows.
        """
        board, day, listed, age, st = np.broadcast_arrays(board, day, listed, age, st)
        up, down = np.full(board.shape, np.nan), np.full(board.shape, np.nan)
        for place, rules in enumerate(self._rules):
            at = board == place
            now = _in_force(rules, day[at])
            width = np.where(st[at], _values(rules, "st_limit", now), _values(rules, "limit", now))
            then = np.where(np.isnat(listed[at]), NO_BOARD, _in_force(rules, listed[at]))
            free = age[at] <= np.nan_to_num(_values(rules, "free_days", then))
            up[at], down[at] = (
                np.where(free, np.nan, _first_day(width, _values(rules, name, then), age[at]))
                for name in ("first_up", "first_down")
            )
        return up, down

    @staticmethod
    def limits(reference: Array, widths: tuple[Array, Array]) -> Limits:
        """``round(reference (1 +- w))`` to the cent, half a cent up; reference in yuan as traded, NaN where unknown."""
        cents = to_cents(reference)
        up, down = (np.round(width * CENTS) for width in widths)
        return Limits(np.floor((cents * (100 + up) + 50) / 100), np.floor((cents * (100 - down) + 50) / 100))


def to_cents(price: Array) -> Array:
    """Prices in yuan as traded as whole cents; prices of float32 come near enough."""
    return np.floor(price * CENTS + 0.5)


def listing_days(first: pd.DatetimeIndex, calendar: pd.DatetimeIndex) -> NDArray[np.datetime64]:
    """Each stock's day of listing: its first day, NaT where the calendar begins no earlier, so that it may be older."""
    return np.where(first > calendar[0], first.to_numpy(), np.datetime64("NaT", "ns"))


def age_of(day: NDArray, listed: NDArray, calendar: pd.DatetimeIndex) -> Array:
    """Trading days from the listing, 1 on its first day, NaN where it is not known; day and listed broadcast."""
    age = calendar.searchsorted(day) - calendar.searchsorted(listed) + 1.0
    return np.where(np.isnat(listed), np.nan, age)


def closed_directions(limits: Limits, close: Array, high: Array, low: Array, rule: str) -> tuple[Mask, Mask]:
    """Where a stock cannot be bought, and where it cannot be sold; prices in yuan as traded, arrays of one shape.

    rule   "one_price": the whole day stood at the limit; "close": the close stood there, as in the reports, which an
           order at the day's average price cannot know
    A day without a close is a suspension: both directions are closed.
    """
    suspended = np.isnan(close)
    lowest, highest = (close, close) if rule == "close" else (low, high)
    return suspended | (to_cents(lowest) >= limits.up), suspended | (to_cents(highest) <= limits.down)


def _in_force(rules: pd.DataFrame, days: NDArray) -> NDArray[np.int_]:
    """The place of the line that is in force on each day, NO_BOARD before the first."""
    return np.searchsorted(rules["since"].to_numpy(), days, side="right") - 1


def _values(rules: pd.DataFrame, column: str, places: NDArray[np.int_]) -> Array:
    """A column's values at places, NaN for NO_BOARD."""
    return np.append(rules[column].to_numpy(dtype=float), np.nan)[places]


def _first_day(width: Array, first: Array, age: Array) -> Array:
    return np.where((age == 1) & ~np.isnan(first), first, width)

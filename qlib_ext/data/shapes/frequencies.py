"""Day bars joined into week and month bars, and windows of several frequencies packed into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from qlib_ext.data.layout import Series
from qlib_ext.errors import ConfigError

LENGTHS = {"day": 40, "week": 20, "month": 12}
WEEK, WEEKS_A_MONTH = 5, 4  # a week in trading days, a month in weeks
MONTH = WEEK * WEEKS_A_MONTH
TRADING_DAYS = {"day": 1, "week": WEEK, "month": MONTH}
MOST_TRADING_DAYS = {"day": 1, "week": 5, "month": 23}  # of a week and a month of the calendar
CALENDAR_DAYS = {"week": 7, "month": 31}  # the most that a week and a month of the calendar have
N_FIELDS = 6  # open, high, low, close, vwap, volume


@dataclass(frozen=True)
class Frequencies:
    """The past days, weeks and months of a stock, one series after the other: what ``lengths`` says, by frequency.

    x [samples, days, 6], fields open, high, low, close, vwap, volume -> [samples, sum of lengths, 6]. Weeks and
    months are blocks of 5 and of 20 trading days, the last of which ends with the window. A bar is the first open,
    the highest high, the lowest low, the last close, ``sum vwap volume / sum volume`` and the sum of the volumes.
    Every series is then divided by its own last value, field by field; by the last bar known where the last one is
    missing. A day without all six above 0 did not trade and has no part in a bar; a bar without a day is NaN.

    calendar: weeks and months of the calendar instead; the last of each is the current one as far as it has come.
    x then has two more columns, where each day stands: ``7 week + day of the week`` and ``31 month + day of the
    month``, counted from 0 (``calendar_loader``). A week of the calendar without a trading day is no week.

    Raises ConfigError for a length that is no positive number, and for other names than day, week and month.
    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibit 51.
    """

    lengths: Mapping[str, int]
    calendar: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.lengths if name not in TRADING_DAYS]
        if unknown or not self.lengths:
            raise ConfigError(f"lengths names day, week or month, as {LENGTHS}; not {unknown or dict(self.lengths)}.")
        for name, length in self.lengths.items():
            if not isinstance(length, int) or length < 1:
                raise ConfigError(f"lengths asks for at least one {name}, a whole number; not {length!r}.")

    @property
    def days(self) -> int:
        """The trading days that all series need."""
        days = MOST_TRADING_DAYS if self.calendar else TRADING_DAYS
        return max(days[name] * length for name, length in self.lengths.items())

    @property
    def series(self) -> dict[str, Series]:
        """The series of a window, each of the six fields."""
        return {name: Series(length, (N_FIELDS,)) for name, length in self.lengths.items()}

    def __call__(self, x: Tensor) -> Tensor:
        columns = x[:, -self.days :].permute(2, 1, 0)  # [fields, days, samples]
        bars, stands = daily_bars(columns[:N_FIELDS]), columns[N_FIELDS:]  # [6, days, samples], [0 or 2, days, samples]
        of_lengths = self._by_calendar if self.calendar else self._by_block
        packed = [relative_to_last(series) for series in of_lengths(bars, stands)]
        return torch.cat(packed, dim=1).permute(2, 1, 0)  # [samples, sum of lengths, 6]

    def _by_block(self, bars: Tensor, stands: Tensor) -> Iterator[Tensor]:
        weeks = join_blocks(by_block(bars, bars.shape[1] // WEEK, WEEK))
        for name, length in self.lengths.items():
            if name == "month":
                yield join_blocks(by_block(weeks, length, WEEKS_A_MONTH))
            else:
                yield (bars if name == "day" else weeks)[:, -length:]

    def _by_calendar(self, bars: Tensor, stands: Tensor) -> Iterator[Tensor]:
        week, month = stands  # [days, samples] each
        for name, length in self.lengths.items():
            if name == "day":
                yield bars[:, -length:]
            else:
                yield join_blocks(by_calendar(bars, week if name == "week" else month, length, CALENDAR_DAYS[name]))


@dataclass(frozen=True)
class WithFactors:
    """The series of ``bars``, and behind them the last ``length`` days of the other fields: all values in one row.

    x [samples, days, 6 + F], the fields of a bar first -> [samples, values, 1], ``values = 6 (sum of lengths) +
    F length``. A series lies there bar after bar, day after day, its fields side by side. In a row, because series of 6
    and of F fields have no common width: with zeros in between to the width of 27 there would be twice as many values
    to standardise.

    Raises ConfigError for a length that is no positive number.
    """

    bars: Frequencies
    length: int

    def __post_init__(self) -> None:
        if not isinstance(self.length, int) or self.length < 1:
            raise ConfigError(f"The factors are asked for of at least one day, a whole number; not {self.length!r}.")

    @property
    def days(self) -> int:
        """The trading days that all series need."""
        return max(self.bars.days, self.length)

    def __call__(self, x: Tensor) -> Tensor:
        series = self.bars(x[..., :N_FIELDS]), x[:, -self.length :, N_FIELDS:]  # [samples, length, fields] each
        return torch.cat([part.flatten(1) for part in series], dim=1)[:, :, None]  # [samples, values, 1]


def daily_bars(columns: Tensor) -> Tensor:
    """The days as bars that ``joined`` joins: amount in place of vwap; prices NaN, sums 0 where a stock did not trade.

    columns [6, days, samples] -> bars [6, days, samples]: open, high, low, close, amount, volume.
    """
    bars = columns.clone(memory_format=torch.contiguous_format)  # [6, days, samples]
    idle = ~(bars.amin(0) > 0)  # [days, samples]; the smallest is NaN where any is
    bars[:4].masked_fill_(idle, torch.nan)
    bars[4] *= bars[5]
    bars[4:].masked_fill_(idle, 0.0)
    return bars


def by_block(bars: Tensor, length: int, size: int) -> Tensor:
    """The last ``length`` blocks of ``size`` bars: ``[6, bars, samples] -> [6, length, size, samples]``."""
    return bars[:, bars.shape[1] - length * size :].unflatten(1, (length, size))


def by_calendar(bars: Tensor, stands: Tensor, length: int, places: int) -> Tensor:
    """The days laid out where they stand in the last ``length`` weeks or months; empty places did not trade.

    bars [6, days, samples], stands [days, samples], the last of them known -> [6, length, places, samples].
    """
    first = stands[-1].div(places, rounding_mode="floor") - (length - 1)  # [samples] week or month of the first bar
    place = (stands - places * first).nan_to_num(-1).clamp_(min=-1).long() + 1  # [days, samples]; 0: before the first
    laid = torch.full((N_FIELDS, length * places + 1, bars.shape[2]), torch.nan, device=bars.device, dtype=bars.dtype)
    laid[4:] = 0.0
    laid.scatter_(1, place.expand(N_FIELDS, -1, -1), bars)
    return laid[:, 1:].unflatten(1, (length, places))


def join_blocks(blocks: Tensor) -> Tensor:
    """Each block of bars as one bar: ``[6, blocks, size, samples] -> [6, blocks, samples]``."""
    return reduce(join_bars, blocks.unbind(2))


def join_bars(earlier: Tensor, later: Tensor) -> Tensor:
    """Two bars as one, the earlier and the later: ``[6, ...]`` each."""
    bar = torch.empty_like(earlier)
    torch.where(earlier[0].isnan(), later[0], earlier[0], out=bar[0])
    torch.fmax(earlier[1], later[1], out=bar[1])
    torch.fmin(earlier[2], later[2], out=bar[2])
    torch.where(later[3].isnan(), earlier[3], later[3], out=bar[3])
    torch.add(earlier[4:], later[4:], out=bar[4:])
    return bar


def relative_to_last(bars: Tensor) -> Tensor:
    """``b[k] / b[last]``, last the last bar that traded, with vwap in place of the amount; NaN where nothing did.

    bars [6, length, samples] -> [6, length, samples].
    """
    volume = bars[5].masked_fill(bars[5] == 0, torch.nan)  # [length, samples]
    values = torch.cat([bars[:4], (bars[4] / volume)[None], volume[None]])  # [6, length, samples]
    places = torch.arange(1, bars.shape[1] + 1, device=bars.device)[:, None]  # [length, 1]
    last = (places * ~volume.isnan()).argmax(0)  # [samples]; the first bar where none traded: NaN
    return values / values.gather(1, last.expand(N_FIELDS, 1, -1))

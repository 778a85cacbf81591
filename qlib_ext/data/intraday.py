"""Loading the half-hour bars of a day as the compact columns of a daily row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from qlib.config import C
from qlib.data import D

from qlib_ext.cross_section.cells import cells_of
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.data.needs import Needs
from qlib_ext.data.shapes.half_hours import HALF_HOUR_FIELDS, fold, half_hours
from qlib_ext.errors import DataError, ProviderError
from qlib_ext.provider.calendar import longest_bars
from qlib_ext.provider.check import check_features
from qlib_ext.provider.names import fields_in
from qlib_ext.provider.sessions import HALF_HOURS

BAR_MINUTES = (30, 15, 5, 1)
CHUNK_CELLS = 4_000_000  # (time, stock) pairs read at a time
CLOSE, AMOUNT = HALF_HOUR_FIELDS.index("close"), HALF_HOUR_FIELDS.index("amount")
HALF_HOUR_COLUMNS = [
    ("feature", f"{name.upper()}{half}") for name in HALF_HOUR_FIELDS for half in range(1, HALF_HOURS + 1)
]


class HalfHourLoader(HistoryLoader):
    """Members and their history as ``HistoryLoader`` loads them, with the features of a day's eight half-hours.

    ``p[h] / b * c[t] / c[t-]`` for the open, high, low and close p of half-hour h, c being $close of the day and of the
    last day before it that has one, b the last close that the bars of the day know; ``amount[h] / float_mv``. The unit
    of the bars cancels out, so they may be adjusted or as traded, and no split or dividend shows as a jump. NaN where
    a stock has no bar, no close before or no float market value.

    bars: the expressions of open, high, low, close and amount on the intraday provider; the one feature of the config
    is the float market value. Bars are read at the longest of 30, 15, 5 and 1 minutes that the provider has, and are
    joined as ``half_hours`` says.

    Raises ProviderError where there are no such bars or no such field, DataError for a calendar that ``half_hours``
    refuses or that lacks a day of the members, and for a float market value that is zero or negative.
    """

    of_provider_alone: ClassVar[bool] = True

    def __init__(self, config: dict, bars: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.bars = [bars[name] for name in HALF_HOUR_FIELDS]

    def needs(self, instruments: Any) -> Needs:
        """As ``HistoryLoader.needs``, with the fields of the intraday provider."""
        needs = super().needs(instruments)
        fields = tuple(sorted({*needs.fields, "close"}))
        return replace(needs, fields=fields, minute_fields=tuple(fields_in(self.bars)))

    def load(self, instruments: Any = None, start_time: Any = None, end_time: Any = None) -> pd.DataFrame:
        """As ``HistoryLoader.load``, with 40 features: the opens of half-hours 1 to 8, the highs, and so on."""
        minutes = require_bars()
        members = super().load(instruments, start_time, end_time)
        frames = [members, self.history_]
        for frame in frames:
            require_positive(frame["feature"].iloc[:, 0])
        own = [frame.index.unique("datetime") for frame in frames]
        days = pd.DatetimeIndex(D.calendar(own[0].union(own[1])[0], own[0].max()))
        names = pd.Index(sorted({name for frame in frames for name in frame.index.unique("instrument")}))
        fields = self.needs(instruments).minute_fields
        check_features(C.dpm.get_data_uri(f"{minutes}min"), fields, names, f"{minutes}min")
        times = pd.DatetimeIndex(D.calendar(days[0], days[-1] + pd.Timedelta("23:59:59"), freq=f"{minutes}min"))
        require_days(own[0], days, times)
        places = days.get_indexer(times.normalize()) * HALF_HOURS + half_hours(times, minutes)  # [times]
        cells = [np.divmod(cells_of(frame.index, days, names), len(names)) for frame in frames]
        images_of = [
            np.full((len(frame), len(HALF_HOUR_FIELDS), HALF_HOURS), np.nan, dtype=np.float32) for frame in frames
        ]
        step = max(1, CHUNK_CELLS // len(times))
        for low in range(0, len(names), step):
            images = self._images(names[low : low + step], days, times, places, minutes)
            for (day, stock), target in zip(cells, images_of, strict=True):
                rows = np.flatnonzero((stock >= low) & (stock < low + step))
                target[rows] = images[stock[rows] - low, day[rows]]
        members, self.history_ = (with_features(*pair) for pair in zip(frames, images_of, strict=True))
        return members

    def _images(
        self, names: pd.Index, days: pd.DatetimeIndex, times: pd.DatetimeIndex, places: np.ndarray, minutes: int
    ) -> np.ndarray:
        """The half-hours of all days, prices over the close before, amounts as they are: ``[stocks, days, 5, 8]``."""
        bars = values_of(names, self.bars, times, f"{minutes}min")  # [stocks, times, 5]
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        folded = np.full((len(names), len(days) * HALF_HOURS, len(HALF_HOUR_FIELDS)), np.nan, dtype=np.float32)
        folded[:, places[starts]] = fold(bars, starts)
        images = folded.reshape(len(names), len(days), HALF_HOURS, len(HALF_HOUR_FIELDS)).swapaxes(2, 3)
        known = ~np.isnan(images[:, :, CLOSE])  # [stocks, days, 8]
        last = np.where(known, np.arange(HALF_HOURS), 0).max(2, keepdims=True)
        last_close = np.take_along_axis(images[:, :, CLOSE], last, axis=2)  # [stocks, days, 1]
        calendar = pd.DatetimeIndex(D.calendar(end_time=days[-1]))
        close = pd.DataFrame(values_of(names, ["$close"], calendar, "day")[:, :, 0].T, calendar)  # [all days, stocks]
        change = (close / close.ffill().shift(1)).loc[days].to_numpy().T  # [stocks, days]
        images[:, :, :AMOUNT] *= (change[:, :, None] / last_close)[:, :, None]
        return images


def require_bars() -> int:
    """The minutes of the longest bars that Qlib's provider has; raises ProviderError where it has none."""
    minutes = longest_bars(BAR_MINUTES)
    if minutes is not None:
        return minutes
    raise ProviderError(
        f"The provider {C.dpm.get_data_uri('day')} has no intraday bars: none of calendars/30min.txt, 15min.txt, "
        "5min.txt, 1min.txt. Add them with qlib_ext.provider.writer.add_frequency, or name their folder: "
        "qlib.init(provider_uri={'day': ..., '30min': ...})."
    )


def values_of(names: pd.Index, expressions: Sequence[str], times: pd.DatetimeIndex, freq: str) -> np.ndarray:
    """Expressions of some stocks: ``[stocks, times, expressions]`` float32, NaN where there is no bar."""
    frame = D.features(list(names), list(expressions), times[0], times[-1], freq=freq)
    values = np.full((len(times), len(names), len(expressions)), np.nan, dtype=np.float32)
    values.reshape(-1, len(expressions))[cells_of(frame.index, times, names)] = frame.to_numpy(dtype=np.float32)
    return np.ascontiguousarray(values.swapaxes(0, 1))


def with_features(frame: pd.DataFrame, images: np.ndarray) -> pd.DataFrame:
    """The frame with other features: ``images [rows, 5, 8]``, the amounts over the float market value it held."""
    images[:, AMOUNT] /= frame["feature"].to_numpy(dtype=np.float32)
    columns = pd.MultiIndex.from_tuples(HALF_HOUR_COLUMNS)
    features = pd.DataFrame(images.reshape(len(frame), len(HALF_HOUR_COLUMNS)), index=frame.index, columns=columns)
    return pd.concat([features, frame.drop(columns="feature", level=0)], axis=1)


def require_positive(float_mv: pd.Series) -> None:
    """Raise DataError for a float market value that is zero or negative."""
    wrong = float_mv[float_mv <= 0]
    if len(wrong):
        day, name = wrong.index[0]
        raise DataError(
            f"The float market value is zero or negative in {len(wrong)} rows, the first on {day:%Y-%m-%d} for "
            f"{name}: correct it in the provider, or give another divisor of the amounts, such as "
            "fields: {float_mv: Mean($amount, 60)}."
        )


def require_days(members: pd.DatetimeIndex, days: pd.DatetimeIndex, times: pd.DatetimeIndex) -> None:
    """Raise DataError where the intraday calendar lacks a day of the members, or has one that is no trading day."""
    own = times.normalize().unique()
    lacking, strange = members.difference(own), own.difference(days)
    if len(lacking):
        raise DataError(
            f"The intraday calendar has no bars on {len(lacking)} of {len(members)} days of the members, the first "
            f"{lacking[0]:%Y-%m-%d}; complete the intraday provider, or let start_time and end_time keep to its days."
        )
    if len(strange):
        raise DataError(
            f"The intraday calendar has {len(strange)} days that the calendar of days lacks, the first "
            f"{strange[0]:%Y-%m-%d}; the two must agree."
        )

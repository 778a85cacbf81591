"""From expressions and styles to factors of the test days: the mean of some days, clipped, neutral, standardised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from qlib.config import C

from qlib_ext.analysis import reading
from qlib_ext.analysis.single_factor.market import Market, read_bars
from qlib_ext.analysis.single_factor.setting import Setting
from qlib_ext.cross_section.cells import cells_of
from qlib_ext.cross_section.ic import Matrix
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.factors.styles import DAY_STYLES
from qlib_ext.processors.neutralise import MADClip, Neutralise
from qlib_ext.processors.normalise import CSZScoreNorm
from qlib_ext.provider.names import instruments_with_field

COLUMNS_AT_ONCE = 32  # whose rows of all days are in memory


class _Loader(HistoryLoader):
    """Members on days with a close; a test reads each column once, so that nothing is kept on disk."""

    of_provider_alone: ClassVar[bool] = False


def prepared_factors(setting: Setting, market: Market, expressions: Mapping[str, str]) -> Iterator[tuple[str, Matrix]]:
    """The factors of expressions, one after the other, each [test days, stocks], NaN where a stock has none.

    On test day t the stocks are the members that have a close and can be bought the next day. Each factor is
    ``Mean(x, mean_days)``, then ``MADClip``, ``Neutralise`` on industry and log size and ``CSZScoreNorm`` over them, as
    far as the setting asks for it. Raises as ``HistoryLoader`` and ``Neutralise`` do.
    """
    names = list(expressions)
    for low in range(0, len(names), COLUMNS_AT_ONCE):
        part = names[low : low + COLUMNS_AT_ONCE]
        means = [_mean(expressions[name], setting.mean_days) for name in part]
        rows = _rows(setting, market, {"feature": (means, part)})
        yield from _matrices(_prepare(rows, setting), market)


def prepared_styles(
    setting: Setting, market: Market, names: Sequence[str]
) -> tuple[Iterator[tuple[str, Matrix]], dict[str, str]]:
    """The styles, one after the other, prepared as ``prepared_factors`` says; and why some are missing."""
    days = reading.trading_days(market.first, market.last, before=reading.LOOKBACK + setting.mean_days)
    daily = [name for name in names if name in DAY_STYLES]
    known = _known_fields(reading.style_fields(daily), market)
    bars = read_bars(known, market.stocks, days) if known else {}
    found, missing = reading.styles_of(list(market.stocks), days, bars, setting.universe, names)

    def each() -> Iterator[tuple[str, Matrix]]:
        if not found:
            return
        rows = _rows(setting, market, {"price": (["$close"], ["CLOSE"])})
        cells = cells_of(rows.index, market.tested, market.stocks)
        for name in names:
            if name in found:
                mean = found.pop(name).rolling(setting.mean_days, min_periods=1).mean().reindex(market.tested)
                own = rows.drop(columns="price", level=0)
                own[("feature", name)] = mean.to_numpy().ravel()[cells]
                yield from _matrices(_prepare(own, setting), market)

    return each(), missing


def _mean(expression: str, days: int) -> str:
    return expression if days == 1 else f"Mean({expression}, {days})"


def _known_fields(fields: Sequence[str], market: Market) -> set[str]:
    provider = Path(C.dpm.get_data_uri("day"))
    return {field for field in fields if instruments_with_field(provider, field.removeprefix("$")) & {*market.stocks}}


def _rows(setting: Setting, market: Market, columns: dict[str, tuple[list[str], list[str]]]) -> pd.DataFrame:
    """The rows of the stocks that can be bought, as float64 by (datetime, instrument), and what neutralising reads."""
    config = dict(columns)
    if setting.neutral:
        neutral = {"SIZE": f"Log({setting.size})"}
        if setting.industry is not None:
            neutral["INDUSTRY"] = setting.industry
        config["neutral"] = list(neutral.values()), list(neutral)
    loader = _Loader(config, traded_only=True)
    frame = loader.load(setting.universe, market.first, market.last)
    frame = frame[frame.index.get_level_values("datetime").isin(market.tested)].astype(np.float64)
    frame = frame[market.buyable.ravel()[cells_of(frame.index, market.tested, market.stocks)]]
    if setting.neutral and setting.industry is None:
        frame[("neutral", "INDUSTRY")] = 0.0
    return frame


def _prepare(rows: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    if setting.clip:
        rows = MADClip()(rows)
    if setting.neutral:
        neutralise = Neutralise()
        neutralise.fit(rows)
        rows = neutralise(rows)
    return CSZScoreNorm("feature")(rows) if setting.zscore else rows


def _matrices(rows: pd.DataFrame, market: Market) -> Iterator[tuple[str, Matrix]]:
    cells = cells_of(rows.index, market.tested, market.stocks)
    for name, values in rows["feature"].items():
        matrix = np.full(market.buyable.size, np.nan)
        matrix[cells] = np.where(np.isfinite(values), values, np.nan)
        yield str(name), matrix.reshape(market.buyable.shape)

"""The tables of a report: frames by experiment in, printed cells out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from qlib_ext.analysis.report.texts import Texts
from qlib_ext.recorder.windows import FIT, PREDICT, PROCESSING, RANK_IC, ROWS, RUN, SEED

PERCENT, RATIO, IC, COUNT = "{:.2%}", "{:.2f}", "{:.4f}", "{:.0f}"
FORMATS = {
    "mean": IC,
    "std": IC,
    "icir": IC,
    "positive": PERCENT,
    "rank_ic": IC,
    "rank_ic_neutral": IC,
    "explained": PERCENT,
    "stocks": COUNT,
    "days": COUNT,
    "steps": COUNT,
    "block": "{}",
    "names": COUNT,
    "decisions": COUNT,
    "relaxed_decisions": COUNT,
    "weeks": COUNT,
    "ratio": RATIO,
    "calmar": RATIO,
    "bias": RATIO,
    "transfer_coefficient": RATIO,
    "sharpe": RATIO,
    "information_ratio": RATIO,
    "best_stocks": COUNT,
    "rank_ic_recent": IC,
    "rank_ic_before": IC,
    RANK_IC: IC,
    ROWS: "{:,.0f}",
    SEED: COUNT,
    PROCESSING: "{:.1f}",
    FIT: "{:.1f}",
    PREDICT: "{:.1f}",
}


@dataclass(frozen=True)
class Line:
    """The cells of one experiment."""

    name: str
    cells: list[str]


@dataclass(frozen=True)
class Block:
    """The lines of one key, such as a year or a group."""

    key: str
    lines: list[Line]


@dataclass(frozen=True)
class Grid:
    """A table whose lines name their experiment where there are several."""

    caption: str
    header: list[str]
    blocks: list[Block]
    named: bool


def stacked(caption: str, key: str, frames: Mapping[str, pd.DataFrame], texts: Texts, default: str = PERCENT) -> Grid:
    """One block for each key of the frames' rows, in it one line for each experiment that has it.

    Cells are printed by FORMATS, else by ``default``; NaN, and a column that an experiment lacks, is "-".
    """
    columns = list(dict.fromkeys(column for frame in frames.values() for column in frame))
    keys = list(dict.fromkeys(row for frame in frames.values() for row in frame.index))
    blocks = []
    for row in sorted(keys, key=_order):
        having = {name: frame.loc[row].reindex(columns) for name, frame in frames.items() if row in frame.index}
        lines = [
            Line(name, [printed(value, FORMATS.get(column, default)) for column, value in values.items()])
            for name, values in having.items()
        ]
        blocks.append(Block(_name_of(row, texts), lines))
    named = len(frames) > 1
    header = [texts[key] if key else ""] + ([texts["experiment"]] if named else [])
    header += [_name_of(column, texts) for column in columns]
    return Grid(caption, header, blocks, named)


def windows_table(name: str, windows: pd.DataFrame, texts: Texts) -> Grid:
    """A rolling model's windows, one line each; the ids of their runs are left out."""
    shown = windows.drop(columns=RUN)
    blocks = [
        Block(str(place), [Line(name, [printed(value, FORMATS.get(column, "{}")) for column, value in row.items()])])
        for place, (_, row) in enumerate(shown.iterrows(), 1)
    ]
    return Grid(name, ["", *(_name_of(column, texts) for column in shown)], blocks, named=False)


@dataclass(frozen=True)
class Shaded:
    """A table of correlations: lines of a name and, for each column, the figure and the colour below it."""

    caption: str
    header: list[str]
    lines: list[tuple[str, list[tuple[str, str]]]]


def shaded(caption: str, table: pd.DataFrame, pattern: str = "{:.3f}") -> Shaded:
    """Correlations, -1 on the palette's orange, 0 on white, 1 on its blue."""
    lines = [(str(name), [(printed(value, pattern), _shade(value)) for value in row]) for name, row in table.iterrows()]
    return Shaded(caption, [str(name) for name in table], lines)


def yearly_means(frame: pd.DataFrame, statistic: str = "mean") -> pd.DataFrame:
    """The means, or the counts, of all days and of each year: [days, columns] -> ["all" and years, columns]."""
    years = frame.groupby(frame.index.year).agg(statistic).rename(index=str)
    return pd.concat([frame.agg(statistic).rename("all").to_frame().T, years])


def _shade(value: float) -> str:
    if pd.isna(value):
        return "transparent"
    return f"rgb({'90 169 219' if value > 0 else '238 154 92'} / {min(1.0, abs(value)):.0%})"


def printed(value: Any, pattern: str) -> str:
    """A cell; "-" for what is missing."""
    if isinstance(value, bool | np.bool_):
        return "✓" if value else "-"
    return "-" if pd.isna(value) else pattern.format(value)


def _order(key: object) -> tuple[int, float]:
    """The whole test first, what is since a year, then years and other numbers, then long-short and other names."""
    text = str(key)
    if text.replace(".", "", 1).isdecimal():
        return 1, float(text)
    return (0, float(text.startswith("since_"))) if text == "all" or text.startswith("since_") else (2, 0)


def _name_of(key: object, texts: Texts) -> str:
    return texts.get(str(key), str(key))

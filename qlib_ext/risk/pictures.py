"""Two pictures of a risk model: what its styles returned, and whether the risk it foresees is the risk that comes."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from qlib_ext.risk.bias import HOLDING_DAYS
from qlib_ext.system.files import write_whole

# Okabe and Ito's palette, safe for the colour-blind, without its yellow
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
RENAME = "Name another folder."
DAYS_PER_POINT = 10  # of a line, so that the file of ten years is small


def write_factor_returns(path: str | Path, returns: pd.DataFrame, mark: str = "") -> None:
    """An SVG of the styles' cumulative returns, the sum of daily ones, [days, styles]; ``mark`` begins its headline.

    Raises OutputError.
    """
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    for place, (name, series) in enumerate(returns.items()):
        style = ("-", "--", ":")[place // len(COLOURS)]
        shown = 100 * series.fillna(0.0).cumsum()[::DAYS_PER_POINT]
        axes.plot(shown.index, shown, style, color=COLOURS[place % len(COLOURS)], label=name, lw=1.2)
    axes.axhline(0, color="#999999", lw=0.8)
    axes.set_ylabel("sum of daily returns, %")
    axes.set_title(f"{mark}What a standard deviation more of each style returned", fontsize=10)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    _write(path, figure)


def write_bias(path: str | Path, table: pd.DataFrame, mark: str = "") -> None:
    """An SVG of ``bias_table``: B by year for each kind of portfolio, beside the band of 1 +- sqrt(2 / T) of a year.

    ``mark`` begins its headline. Raises OutputError.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    years = [name for name in table if name not in ("all", "mrad", "days")]
    width = 0.8 / len(table)
    for place, (kind, row) in enumerate(table.iterrows()):
        at = [year + (place - (len(table) - 1) / 2) * width for year in range(len(years))]
        axes.bar(at, row[years], width, color=COLOURS[place % len(COLOURS)], label=f"{kind}: {row['all']:.2f}")
    reach = (2 * len(years) / float(table["days"].iloc[0])) ** 0.5
    axes.axhspan(1 - reach, 1 + reach, color="#999999", alpha=0.25, lw=0, zorder=0)
    axes.axhline(1, color="#555555", lw=0.8)
    axes.set_xticks(range(len(years)), years)
    axes.set_ylabel("realised over forecast risk")
    axes.set_title(
        f"{mark}Bias statistics, {HOLDING_DAYS} days ahead; the band is that of chance in a year", fontsize=10
    )
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    _write(path, figure)


def _write(path: str | Path, figure: Figure) -> None:
    content = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "qlib_ext", "svg.fonttype": "none", "font.size": 9}):
        figure.savefig(content, format="svg", metadata={"Date": None})  # the same picture has the same bytes
    write_whole(path, content.getvalue(), RENAME)

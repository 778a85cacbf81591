"""How all pictures of a report look: colours, panels, lines, legends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape, unescape
from typing import Any
from unicodedata import east_asian_width

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

# Okabe and Ito's palette, safe for the colour-blind; yellow last, it is weak on white
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
GREY = "#777777"
DIVERGING = ((0, "#EE9A5C"), (0.5, "#FFFFFF"), (1, "#5AA9DB"))  # the palette's orange and blue, light under figures
FONT = 'system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif'
LEVEL = {"color": "#999", "width": 1}  # where the line of no gain lies
DOTTED = {"color": GREY, "width": 1.2, "dash": "dot"}
DAY = 86_400_000  # milliseconds, plotly's unit of time
DATES = {
    "tickformatstops": [
        {"dtickrange": [None, 15 * DAY], "value": "%m-%d"},
        {"dtickrange": ["M1", None], "value": "%Y-%m"},
    ],
    "hoverformat": "%Y-%m-%d",
}
LEGEND = 60  # pixels below the axes

Frames = Mapping[str, pd.DataFrame]
Colours = Mapping[str, str]


def short(text: str, width: int = 40) -> str:
    """A name for a picture, escaped, its middle left out where it takes more columns; Chinese takes two a character."""
    columns = _columns(text)
    if len(text) and columns[-1] > width:
        head = int((columns <= width * 0.6).sum())
        tail = int((columns[-1] - columns < width * 0.3).sum())
        text = f"{text[:head]}…{text[len(text) - tail :]}"
    return escape(text, quote=False)


def _columns(text: str) -> np.ndarray:
    return np.cumsum([2 if east_asian_width(letter) in "WF" else 1 for letter in text])


def label_of(name: str) -> str:
    """A name for a legend."""
    return short(name, 44)


def add_line(
    figure: go.Figure,
    values: pd.Series,
    name: str,
    style: dict,
    row: int,
    col: int,
    legend: bool = True,
    secondary_y: bool | None = None,
) -> None:
    """Draw values by day; lines of one name hide and show together."""
    trace = go.Scatter(
        x=values.index.strftime("%Y-%m-%d").tolist(),
        y=values.to_numpy(),
        name=label_of(name),
        mode="lines",
        line=style,
        legendgroup=name,
        showlegend=legend,
        hovertemplate="%{y:.4f}",
    )
    figure.add_trace(trace, row, col, secondary_y=secondary_y)


def add_dots(figure: go.Figure, values: pd.Series, name: str, colour: str, row: int, col: int) -> None:
    """Draw single days of values as rings."""
    trace = go.Scatter(
        x=values.index.strftime("%Y-%m-%d").tolist(),
        y=values.to_numpy(),
        name=label_of(name),
        mode="markers",
        marker={"color": "white", "size": 8, "line": {"color": colour, "width": 2}},
        hovertemplate="%{y:.4f}",
    )
    figure.add_trace(trace, row, col)


def panels(
    rows: int, columns: int, titles: Sequence[str], height: int, gap: int = 62, spec: dict | None = None, **kwargs: Any
) -> go.Figure:
    """A panel for each title, of one height in pixels, ``gap`` of them between the rows for titles."""
    specs = [[(spec or {}) if row * columns + c < len(titles) else None for c in range(columns)] for row in range(rows)]
    spacing = {"horizontal_spacing": 0.07, "vertical_spacing": gap / (height * rows)} | kwargs
    return make_subplots(rows, columns, subplot_titles=titles, specs=specs, **spacing)


def label_days(figure: go.Figure, first: int = 1) -> None:
    """Label the x axes from the ``first`` on with days; they have one range, so that a zoom moves all of them."""
    one, *others = list(figure.select_xaxes())[first - 1 :]
    one.update(DATES)
    for axis in others:
        axis.update(DATES | {"matches": one.plotly_name.replace("axis", "")})


def finish(figure: go.Figure, height: int) -> go.Figure:
    """The look of all pictures; a legend of several lines makes a picture higher."""
    more = 19 * (_legend_lines(figure) - 1)
    figure.update_layout(
        template="plotly_white",
        height=height + more,
        margin={"l": 50, "r": 20, "t": 40, "b": LEGEND + more},
        font={"family": FONT, "size": 12, "color": "#1a1a1a"},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        hovermode="x unified",
        hoverlabel={"namelength": -1, "bgcolor": "rgba(255,255,255,0.93)"},
        bargap=0.2,
    )
    figure.update_annotations(font_size=13, yshift=4)
    figure.update_xaxes(showline=True, linecolor="#999", ticks="outside", tickcolor="#999")
    return figure


def _legend_lines(figure: go.Figure) -> int:
    """How many lines the legend takes on a page of 1,200 pixels; plotly makes all entries as wide as the widest."""
    widths = [
        7 * _columns(unescape(trace.name))[-1] + 50
        for trace in figure.data
        if trace.showlegend is not False and trace.name
    ]
    return -(-len(widths) // max(1, int(1080 // max(widths)))) if widths else 1


def tabular(figure: go.Figure, height: int) -> go.Figure:
    """The look of a picture that is a table."""
    finish(figure, height)
    figure.update_layout(margin={"l": 60, "r": 20, "t": 60, "b": 10}, hovermode="closest")
    figure.update_xaxes(type="category", side="top", showline=False, ticks="", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, ticks="", automargin=True)
    figure.update_annotations(yshift=22)
    return figure

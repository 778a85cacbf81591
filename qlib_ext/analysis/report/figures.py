"""The pictures of a report: frames by experiment in, one plotly figure out.

Everywhere ``colours`` gives each experiment its colour and ``texts`` those of the page. Returns are fractions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from qlib_ext.analysis.groups import UNIVERSE
from qlib_ext.analysis.report.drawing import (
    DAY,
    DIVERGING,
    DOTTED,
    LEGEND,
    LEVEL,
    PALETTE,
    Colours,
    Frames,
    add_line,
    finish,
    label_days,
    label_of,
    panels,
    short,
    tabular,
)
from qlib_ext.analysis.report.texts import Texts


def strategy_values(returns: Frames, colours: Colours, texts: Texts) -> go.Figure:
    """Net value, beside the benchmark, and excess net value: ``1 + sum of daily returns``, nothing compounded."""
    figure = make_subplots(
        1, 2, subplot_titles=[texts["net_value"], texts["excess_net_value"]], horizontal_spacing=0.07
    )
    for name, frame in returns.items():
        style = {"color": colours[name], "width": 1.6}
        for column, what in ((1, "return"), (2, "excess_return")):
            add_line(figure, 1 + frame[what].cumsum(), name, style, 1, column, legend=column == 1)
    benchmarks = _benchmarks(returns)
    for name, benchmark in benchmarks.items():
        label = texts["benchmark"] if len(benchmarks) == 1 else f"{texts['benchmark']}, {name}"
        add_line(figure, benchmark, label, DOTTED, 1, 1)
    figure.add_hline(1.0, line=LEVEL, layer="below")
    label_days(figure)
    return finish(figure, 380)


def _benchmarks(returns: Frames) -> dict[str, pd.Series]:
    """Net values of the benchmarks that differ, each by the first experiment that has it."""
    found: dict[str, pd.Series] = {}
    for name, frame in returns.items():
        value = 1 + (frame["return"] - frame["excess_return"]).cumsum()
        if not any(value.round(9).equals(other.round(9)) for other in found.values()):
            found[name] = value
    return found


def group_values(returns: Frames, texts: Texts) -> go.Figure:
    """Compounded net value of each group and of the universe, and of each group's excess over it; a row each."""
    rows = len(returns)
    titles = [f"{short(name)}: {texts[what]}" for name in returns for what in ("net_value", "excess_net_value")]
    figure = panels(rows, 2, titles, 300, shared_yaxes="columns")
    for row, frame in enumerate(returns.values(), 1):
        groups = [column for column in frame if column != UNIVERSE]
        shades = sample_colorscale("Viridis", [0.88 * i / max(1, len(groups) - 1) for i in range(len(groups))])
        excess = frame[groups].sub(frame[UNIVERSE], axis=0)
        for group, shade in zip(groups, shades, strict=True):
            label, style = f"{texts['group']} {group}", {"color": shade, "width": 1.3}
            add_line(figure, _compounded(frame[group]), label, style, row, 1, legend=row == 1)
            add_line(figure, _compounded(excess[group]), label, style, row, 2, legend=False)
        add_line(figure, _compounded(frame[UNIVERSE]), texts["equal_weighted"], DOTTED, row, 1, legend=row == 1)
    figure.add_hline(1.0, line=LEVEL, layer="below")
    label_days(figure)
    return finish(figure, 300 * rows + LEGEND)


def group_comparison(summary: Frames, returns: Frames, colours: Colours, texts: Texts) -> go.Figure:
    """Annual excess return of each group, and the net values of group 1's excess and of long-short."""
    titles = [texts["excess_by_group"], texts["top_excess"], texts["long_short_value"]]
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.06)
    for name, table in summary.items():
        excess = table["annual_excess_return"].drop("long_short")
        bar = go.Bar(
            x=[str(group) for group in excess.index],
            y=excess.to_numpy(),
            name=label_of(name),
            marker_color=colours[name],
            legendgroup=name,
            hovertemplate="%{y:.2%}",
        )
        figure.add_trace(bar, 1, 1)
        groups = returns[name].drop(columns=UNIVERSE)
        style = {"color": colours[name], "width": 1.6}
        add_line(figure, _compounded(groups.iloc[:, 0] - returns[name][UNIVERSE]), name, style, 1, 2, legend=False)
        add_line(figure, _compounded(groups.iloc[:, 0] - groups.iloc[:, -1]), name, style, 1, 3, legend=False)
    for column, level in ((1, 0.0), (2, 1.0), (3, 1.0)):
        figure.add_hline(level, line=LEVEL, layer="below", row=1, col=column)
    finish(figure, 380)
    label_days(figure, first=2)
    figure.update_xaxes(type="category", title_text=texts["group"], title_standoff=4, col=1)
    figure.update_yaxes(tickformat=".1~%", col=1)
    return figure


def rank_ic_bars(daily: Frames, monthly: Frames, colours: Colours, texts: Texts) -> go.Figure:
    """Monthly means of the daily Rank IC as bars, its sum as a line on the right axis; a panel each."""
    columns = min(2, len(daily))
    rows = -(-len(daily) // columns)
    figure = panels(
        rows, columns, [short(name) for name in daily], 300, spec={"secondary_y": True}, horizontal_spacing=0.1
    )
    for place, name in enumerate(daily):
        row, column = place // columns + 1, place % columns + 1
        bars = monthly[name].stack().dropna()
        middle = [f"{year}-{month:02d}-15" for year, month in bars.index]
        bar = go.Bar(
            x=middle,
            y=bars.to_numpy(),
            name=texts["monthly_mean"],
            marker={"color": colours[name], "opacity": 0.55},
            width=22 * DAY,
            showlegend=False,
            xhoverformat="%Y-%m",
            hovertemplate="%{y:.4f}",
        )
        figure.add_trace(bar, row, column, secondary_y=False)
        style = {"color": "#1a1a1a", "width": 1.5}
        cumulative = daily[name]["rank_ic_cumulative"]
        add_line(figure, cumulative, texts["cumulative"], style, row, column, legend=False, secondary_y=True)
    low, high = _span(monthly.values())
    times = max(_times(frame["rank_ic_cumulative"], low, high) for frame in daily.values())
    figure.update_yaxes(range=[low, high], tickformat=".2f", secondary_y=False)
    # the same place of zero on both axes; one scale for all panels
    figure.update_yaxes(range=[low * times, high * times], showgrid=False, tickmode="auto", secondary_y=True)
    figure.add_hline(0.0, line=LEVEL, layer="below")
    label_days(figure)
    return finish(figure, 300 * rows + 30)


def _span(tables: Iterable[pd.DataFrame]) -> tuple[float, float]:
    """A range around zero with room for all values."""
    values = np.concatenate([table.to_numpy(float).ravel() for table in tables])
    known = values[np.isfinite(values)]
    low, high = float(known.min(initial=0.0)), float(known.max(initial=0.0))
    room = 0.08 * max(high - low, 1e-3)
    return low - room, high + room


def _times(line: pd.Series, low: float, high: float) -> float:
    """How many times the range from low to high holds the line."""
    return max(1.0, 1.03 * float(line.max()) / high, 1.03 * float(line.min()) / low)


def month_heat_map(monthly: Frames, title: str, texts: Texts, pattern: str = ".3f") -> go.Figure:
    """A figure of each month, [years, months], such as the mean Rank IC; one colour scale for all experiments."""
    columns = min(2, len(monthly))
    rows = -(-len(monthly) // columns)
    height = 90 + 30 * max(len(table) for table in monthly.values())
    figure = panels(rows, columns, [f"{title}: {short(name)}" for name in monthly], height)
    low, high = _span(monthly.values())
    months = texts["months"].split()
    for place, table in enumerate(monthly.values()):
        heat = _heat(
            table.to_numpy(float), [months[m - 1] for m in table], [str(y) for y in table.index], max(-low, high)
        )
        heat.update(texttemplate=f"%{{z:{pattern}}}" if columns == 1 or "%" in pattern else "%{z:.2f}")
        figure.add_trace(heat, place // columns + 1, place % columns + 1)
    return tabular(figure, height * rows)


def decay_curves(decay: Frames, colours: Colours, texts: Texts) -> go.Figure:
    """Rank IC and ICIR by the days of the return, and the correlation of a score with its own past."""
    columns = ("rank_ic", "icir", "autocorrelation")
    figure = panels(1, 3, [texts[f"decay_{column}"] for column in columns], 280)
    for name, frame in decay.items():
        for place, column in enumerate(columns, 1):
            trace = go.Scatter(
                x=frame.index.to_numpy(),
                y=frame[column].to_numpy(),
                name=label_of(name),
                mode="lines+markers",
                marker_size=4,
                line={"color": colours[name], "width": 1.5},
                legendgroup=name,
                showlegend=place == 1,
                hovertemplate="%{y:.4f}",
            )
            figure.add_trace(trace, 1, place)
    figure.update_xaxes(title_text=texts["days"], title_standoff=4)
    figure.update_yaxes(rangemode="tozero")
    return finish(figure, 280 + LEGEND)


def state_weights(weights: Frames) -> go.Figure:
    """What each network or family counts by day; a panel for each experiment, a colour for each of them."""
    names = list(dict.fromkeys(network for frame in weights.values() for network in frame))
    columns = min(2, len(weights))
    rows = -(-len(weights) // columns)
    figure = panels(rows, columns, [short(name) for name in weights], 280)
    seen: set[str] = set()
    for place, frame in enumerate(weights.values()):
        for network in frame:
            style = {"color": PALETTE[names.index(network) % len(PALETTE)], "width": 1.3}
            row, column = place // columns + 1, place % columns + 1
            add_line(figure, frame[network], network, style, row, column, legend=network not in seen)
            seen.add(network)
    figure.update_yaxes(rangemode="tozero", tickformat=".1~%")
    label_days(figure)
    return finish(figure, 280 * rows + LEGEND)


def training_curves(curves: Frames, colours: Colours, texts: Texts) -> go.Figure:
    """A panel for each measure that the model logs, training dashed; a thin line for each window of a rolling model."""
    measures = list(dict.fromkeys(measure for table in curves.values() for measure in table["measure"]))
    columns = min(4, len(measures))
    rows = -(-len(measures) // columns)
    figure = panels(rows, columns, [short(measure) for measure in measures], 280, gap=80, horizontal_spacing=0.06)
    seen: set[tuple[str, str]] = set()
    for name, table in curves.items():
        several = len(table["part"].unique()) > 1
        for (part, measure, segment), curve in table.groupby(["part", "measure", "segment"], sort=False):
            place = measures.index(measure)
            label = ", ".join(text for text in (name, texts.get(segment, segment)) if text)
            trace = go.Scatter(
                x=curve["epoch"].to_numpy(),
                y=curve["value"].to_numpy(),
                name=label_of(label),
                mode="lines",
                line={"color": colours[name], "dash": "dash" if segment == "train" else "solid"}
                | {"width": 1 if several else 1.8},
                opacity=0.6 if several else 1,
                legendgroup=label,
                showlegend=(name, segment) not in seen,
                hovertemplate=f"{escape(str(part))} %{{y:.5g}}",
            )
            seen.add((name, segment))
            figure.add_trace(trace, place // columns + 1, place % columns + 1)
    figure.update_xaxes(title_text=texts["epoch"], title_standoff=4)
    return finish(figure, 280 * rows + LEGEND).update_layout(hovermode="closest")


def _compounded(returns: pd.Series) -> pd.Series:
    return (1 + returns.dropna()).cumprod()


def _heat(values: np.ndarray, x: Sequence[str], y: Sequence[str], extreme: float) -> go.Heatmap:
    scale = {"colorscale": DIVERGING, "zmin": -extreme, "zmax": extreme, "showscale": False}
    return go.Heatmap(
        z=values,
        x=x,
        y=y,
        xgap=1,
        ygap=1,
        textfont_color="#000",
        hovertemplate="%{y} %{x}: %{z:.4f}<extra></extra>",
        **scale,
    )

"""The section of a report on index enhancement: what EnhancementRecord saved, as pictures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from qlib_ext.analysis.report.drawing import (
    DOTTED,
    LEGEND,
    LEVEL,
    PALETTE,
    Colours,
    Frames,
    add_dots,
    add_line,
    finish,
    label_days,
    label_of,
    panels,
    short,
)
from qlib_ext.analysis.report.parts import Part, as_html
from qlib_ext.analysis.report.tables import stacked
from qlib_ext.analysis.report.texts import Texts

REALISED_PERIODS = 52  # of which the realised tracking error of a picture is made
GROUPS = ("all_styles", "all_industries", "market", "specific", "unattributed", "timing", "cost", "basket")
LEAST_SPAN = 0.02  # of an axis of shares
COLUMNS = 4  # of small pictures beside each other

Saved = Mapping[str, Mapping[str, Any]]  # experiment -> frame by name


def enhancement_part(saved: Saved, colours: Colours, texts: Texts) -> Part:
    """The section, empty where no run is one of index enhancement."""
    if not saved:
        return Part("enhancement")

    def of(name: str) -> dict[str, pd.DataFrame]:
        return {experiment: frames[name] for experiment, frames in saved.items() if len(frames[name])}

    pictures = {
        "enhancement-values": net_values(of("daily"), colours, texts),
        "enhancement-exposures": exposures(of("exposures"), _bands(saved), colours, texts),
        "enhancement-risk": tracking_errors(of("decisions"), of("foreseen"), colours, texts),
        "enhancement-holding": members_and_turnover(of("decisions"), colours, texts),
        "enhancement-attribution": attribution(of("effects"), texts),
        "enhancement-prices": shadow_prices(of("shadow_prices"), colours, texts),
    }
    grids = [
        stacked(texts[f"enhancement_{name}"], "", of(name), texts)
        for name in ("years", "performance", "holding", "effects_by_year", "industries", "relaxed")
        if of(name)
    ]
    return Part("enhancement", [as_html(key, figure) for key, figure in pictures.items() if figure.data], grids)


def _bands(saved: Saved) -> dict[str, float]:
    """The narrowest band of each style among the experiments."""
    bands: dict[str, float] = {}
    for frames in saved.values():
        for name, limit in frames["about"]["bands"].items():
            bands[name] = min(limit, bands.get(name, np.inf))
    return bands


def net_values(daily: Frames, colours: Colours, texts: Texts) -> go.Figure:
    """Compounded values of the accounts and their indices; of the excess over the index, with its drawdown below."""
    figure = make_subplots(
        1,
        2,
        subplot_titles=[texts["net_value"], texts["excess_and_drawdown"]],
        specs=[[{}, {"secondary_y": True}]],
        horizontal_spacing=0.07,
    )
    for name, frame in daily.items():
        style = {"color": colours[name], "width": 1.6}
        add_line(figure, (1 + frame["return"]).cumprod(), name, style, 1, 1)
        label = texts["benchmark"] if len(daily) == 1 else f"{texts['benchmark']}, {name}"
        add_line(figure, (1 + frame["benchmark"]).cumprod(), label, DOTTED, 1, 1)
        excess = (1 + frame["excess"]).cumprod()
        add_line(figure, excess, name, style, 1, 2, legend=False)
        drawdown = excess / excess.cummax().clip(lower=1) - 1
        figure.add_trace(
            go.Scatter(
                x=drawdown.index.strftime("%Y-%m-%d").tolist(),
                y=drawdown.to_numpy(),
                name=label_of(f"{texts['max_drawdown']}, {name}"),
                mode="lines",
                line={"color": colours[name], "width": 0.6},
                fill="tozeroy",
                opacity=0.5,
                legendgroup=name,
                showlegend=False,
                hovertemplate="%{y:.2%}",
            ),
            1,
            2,
            secondary_y=True,
        )
    worst = min(float(trace.y.min()) for trace in figure.data if trace.fill)
    # the drawdown hangs from the top and takes the upper quarter of the panel
    own = {"range": [4 * min(worst, -1e-3), 0], "tickformat": ".1~%", "tickmode": "auto", "showgrid": False}
    figure.update_yaxes(own, secondary_y=True)
    figure.add_hline(1.0, line=LEVEL, layer="below", col=1)
    label_days(figure)
    return finish(figure, 380)


def exposures(active: Frames, bands: Mapping[str, float], colours: Colours, texts: Texts) -> go.Figure:
    """The active exposure to each style after every decision, and the band that it was to keep; a panel a style."""
    names = list(dict.fromkeys(name for frame in active.values() for name in frame if _is_style(name)))
    if not names:
        return go.Figure()
    rows = -(-len(names) // COLUMNS)
    figure = panels(rows, min(COLUMNS, len(names)), [short(name) for name in names], 200, horizontal_spacing=0.05)
    for place, name in enumerate(names):
        row, column = place // COLUMNS + 1, place % COLUMNS + 1
        for experiment, frame in active.items():
            if name in frame:
                style = {"color": colours[experiment], "width": 1.2}
                add_line(figure, frame[name], experiment, style, row, column, legend=place == 0)
        for limit in (bands[name], -bands[name]) if name in bands else ():
            figure.add_hline(limit, line={**LEVEL, "dash": "dash"}, row=row, col=column)
    label_days(figure)
    figure.update_xaxes(showticklabels=False)
    for place in range(max(0, len(names) - COLUMNS), len(names)):  # the lowest of each column
        figure.update_xaxes(showticklabels=True, row=place // COLUMNS + 1, col=place % COLUMNS + 1)
    return finish(figure, 200 * rows + LEGEND)


def _is_style(factor: str) -> bool:
    return factor not in ("market", "specific") and not factor.startswith("industry_")


def tracking_errors(decisions: Frames, foreseen: Frames, colours: Colours, texts: Texts) -> go.Figure:
    """The tracking error of a year: foreseen at each decision, and realised over the last 52 periods."""
    figure = make_subplots(1, 1, subplot_titles=[texts["tracking_error"]])
    for name, frame in decisions.items():
        style, of = {"color": colours[name], "width": 1.6}, "" if len(decisions) == 1 else f", {name}"
        add_line(figure, frame["tracking_error"], f"{texts['foreseen']}{of}", {**style, "dash": "dot"}, 1, 1)
        if name in foreseen:
            periods = foreseen[name]
            of_a_year = periods["excess"].rolling(REALISED_PERIODS).std() * np.sqrt(252 / periods["days"].mean())
            add_line(figure, of_a_year, f"{texts['realised']}{of}", style, 1, 1)
    figure.update_yaxes(tickformat=".1%", rangemode="tozero")
    label_days(figure)
    return finish(figure, 320)


def members_and_turnover(decisions: Frames, colours: Colours, texts: Texts) -> go.Figure:
    """After each decision the share that lies in members of the index, and what was bought for it.

    Dots are decisions for which a constraint gave way.
    """
    figure = make_subplots(1, 2, subplot_titles=[texts["member_share"], texts["bought"]], horizontal_spacing=0.07)
    for name, frame in decisions.items():
        style = {"color": colours[name], "width": 1.4}
        add_line(figure, frame["member_share"], name, style, 1, 1)
        bought = frame["buys"].iloc[1:]  # the first is the whole account
        add_line(figure, bought, name, style, 1, 2, legend=False)
        gave_way = bought[frame["relaxed"].iloc[1:] > 0]
        if len(gave_way):
            of = "" if len(decisions) == 1 else f", {name}"
            add_dots(figure, gave_way, f"{texts['gave_way']}{of}", colours[name], 1, 2)
    figure.update_yaxes(tickformat=".1~%")
    shares = pd.concat([frame["member_share"] for frame in decisions.values()])
    if np.ptp(shares) < LEAST_SPAN:  # a share that its bound fixes would be drawn as noise of the solver's
        figure.update_yaxes(range=[shares.mean() - LEAST_SPAN, min(shares.mean() + LEAST_SPAN, 1.01)], col=1)
    label_days(figure)
    return finish(figure, 320)


def attribution(effects: Frames, texts: Texts) -> go.Figure:
    """Daily effects added up, factors by group; a panel an experiment."""
    columns = min(2, len(effects))
    rows = -(-len(effects) // columns)
    figure = panels(rows, columns, [f"{texts['attribution']}: {short(name)}" for name in effects], 320)
    for place, frame in enumerate(effects.values()):
        grouped = frame.T.groupby(group_of).sum().T
        for group, colour in zip(GROUPS, PALETTE, strict=True):
            if group in grouped and grouped[group].abs().sum() > 0:
                line = {"color": colour, "width": 1.5}
                legend = place == 0
                add_line(
                    figure,
                    grouped[group].cumsum(),
                    texts[group],
                    line,
                    place // columns + 1,
                    place % columns + 1,
                    legend=legend,
                )
    figure.add_hline(0.0, line=LEVEL, layer="below")
    figure.update_yaxes(tickformat=".1~%")
    label_days(figure)
    return finish(figure, 320 * rows + LEGEND)


def group_of(effect: str) -> str:
    """The group of an effect: styles and industries together, every other by itself."""
    if effect in GROUPS:
        return effect
    return "all_industries" if effect.startswith("industry_") else "all_styles"


def shadow_prices(prices: Frames, colours: Colours, texts: Texts) -> go.Figure:
    """What each constraint costs a period, mean of all of them, in basis points."""
    figure = make_subplots(1, 1, subplot_titles=[texts["shadow_prices"]])
    for name, frame in prices.items():
        mean = 1e4 * frame.fillna(0.0).mean().sort_values(ascending=False)
        bar = go.Bar(
            x=[texts.get(f"block_{block}", block) for block in mean.index],
            y=mean.to_numpy(),
            name=label_of(name),
            marker_color=colours[name],
            hovertemplate="%{y:.2f}",
        )
        figure.add_trace(bar, 1, 1)
    return finish(figure, 300)


def saved_of(runs: Sequence[Any]) -> Saved:
    """What the runs' EnhancementRecords saved, of those that have one."""
    return {each.experiment: each.enhancement for each in runs if each.enhancement}

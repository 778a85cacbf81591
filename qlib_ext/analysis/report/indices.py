"""The section of a report on a score inside indices."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from qlib_ext.analysis.report.drawing import (
    LEGEND,
    LEVEL,
    Colours,
    Frames,
    add_line,
    finish,
    label_days,
    label_of,
    panels,
)
from qlib_ext.analysis.report.parts import Part, as_html
from qlib_ext.analysis.report.recorded_run import RecordedRun
from qlib_ext.analysis.report.tables import stacked
from qlib_ext.analysis.report.texts import Texts


def indices_part(runs: Sequence[RecordedRun], colours: Colours, texts: Texts) -> Part:
    """The section, empty where no run was tested inside an index."""
    having = [each for each in runs if "index_tests" in each.frames]
    if not having:
        return Part("indices")
    tests, groups, excess = (
        {each.experiment: each.frames[file] for each in having}
        for file in ("index_tests", "index_groups", "index_excess")
    )
    universes = list(dict.fromkeys(name for table in groups.values() for name in table))
    grids = []
    for universe in universes:
        own = {
            name: table.loc[universe] for name, table in tests.items() if universe in table.index.get_level_values(0)
        }
        grids.append(stacked(universe, "year", own, texts))
    return Part("indices", [as_html("indices", index_picture(universes, groups, excess, colours, texts))], grids)


def index_picture(
    universes: Sequence[str], groups: Frames, excess: Frames, colours: Colours, texts: Texts
) -> go.Figure:
    """Each group's annual excess return, and the net value of the top group's; a row a universe."""
    titles = [f"{universe}: {texts[key]}" for universe in universes for key in ("index_groups", "index_excess")]
    figure = panels(len(universes), 2, titles, 260)
    for row, universe in enumerate(universes, 1):
        for name in groups:
            if universe not in groups[name]:
                continue
            bars = groups[name][universe]
            bar = go.Bar(
                x=[str(group) for group in bars.index],
                y=bars.to_numpy(),
                name=label_of(name),
                marker_color=colours[name],
                legendgroup=name,
                showlegend=row == 1,
                hovertemplate="%{y:.2%}",
            )
            figure.add_trace(bar, row, 1)
            value = (1 + excess[name][universe].dropna()).cumprod()
            add_line(figure, value, name, {"color": colours[name], "width": 1.5}, row, 2, legend=False)
        figure.add_hline(1.0, line=LEVEL, layer="below", row=row, col=2)
    label_days(figure)
    figure.update_xaxes(type="category", tickformatstops=(), matches=None, col=1)
    figure.update_yaxes(tickformat=".1~%", col=1)
    return finish(figure, 260 * len(universes) + LEGEND)

"""The page about single factors: the report's tables and pictures; it needs no other file and no network."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from qlib_ext.analysis.report.drawing import LEGEND, LEVEL, PALETTE, add_line, finish, label_days, panels, short
from qlib_ext.analysis.report.parts import Part, as_html, render_page
from qlib_ext.analysis.report.tables import IC, PERCENT, Grid, shaded, stacked
from qlib_ext.analysis.report.texts import Texts
from qlib_ext.analysis.single_factor.setting import Setting
from qlib_ext.analysis.single_factor.testing import FactorTests
from qlib_ext.analysis.single_factor.texts import FACTOR_TEXTS

MOST = 30  # factors with a picture of their own; a browser is slow with more
COLUMNS = 3


def factor_page(tests: FactorTests, setting: Setting, lang: str = "en") -> str:
    """The page of a test; Chinese with ``lang`` zh."""
    texts = FACTOR_TEXTS[lang]
    days = {"first": f"{tests.market.first:%Y-%m-%d}", "last": f"{tests.market.last:%Y-%m-%d}"}
    parts = [
        Part("summary", [], [stacked("", "factor", {"": tests.summary}, texts)]),
        Part("pictures", [as_html("factors", _bars(tests, texts))]),
        Part("correlation", shaded=[shaded("", tests.correlation, "{:.2f}")]),
        Part("group_values", [as_html("groups", _group_values(tests, texts))]),
        Part("cumulative_ic", [as_html("rank-ic", _cumulative_ic(tests))]),
        Part(
            "years",
            grids=[
                _by_year(*of, texts)
                for of in ((tests.ic_years, "ic_years", IC), (tests.top_years, "top_years", PERCENT))
            ],
        ),
    ]
    texts = {**texts, "group_values_note": texts["group_values_note"].format(shown=_shown(tests, texts))}
    return render_page(
        "factors.html",
        texts,
        ["tested", *(part.key for part in parts)],
        title=tests.provider.mark + texts["title"].format(count=len(tests.summary), universe=setting.universe, **days),
        facts=_facts(tests, setting, texts),
        parts=parts,
    )


def _by_year(table: pd.DataFrame, key: str, pattern: str, texts: Texts) -> Grid:
    return stacked(texts[key], "factor", {"": table.T}, texts, pattern)


def _bars(tests: FactorTests, texts: Texts) -> go.Figure:
    """Mean Rank IC of each factor, and its top group's excess return a year."""
    figure = make_subplots(1, 2, subplot_titles=[texts["mean"], texts["annual_excess_return"]], horizontal_spacing=0.1)
    names = [short(name, 30) for name in tests.summary.index]
    for column, (what, hover) in enumerate((("mean", "%{x:.4f}"), ("annual_excess_return", "%{x:.2%}")), 1):
        values = tests.summary[what].to_numpy()
        bar = go.Bar(
            x=values, y=names, orientation="h", marker_color=PALETTE[0], showlegend=False, hovertemplate=hover, name=""
        )
        figure.add_trace(bar, 1, column)
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    figure.update_yaxes(showticklabels=False, col=2)
    figure.update_xaxes(tickformat=".1~%", col=2)
    return finish(figure, 110 + 18 * len(names)).update_layout(hovermode="closest")


def _telling(tests: FactorTests) -> list[str]:
    """The factors that have a picture of their own, in the order of the tables."""
    strongest = tests.summary["icir"].abs().sort_values(ascending=False).index[:MOST]
    return [name for name in tests.summary.index if name in strongest]


def _shown(tests: FactorTests, texts: Texts) -> str:
    count = len(tests.summary)
    return texts["most_telling"].format(most=MOST, count=count) if count > MOST else ""


def _group_values(tests: FactorTests, texts: Texts) -> go.Figure:
    """Net value of each group over that of all stocks; a panel a factor."""
    names = _telling(tests)
    rows = -(-len(names) // COLUMNS)
    figure = panels(rows, min(COLUMNS, len(names)), [short(name, 34) for name in names], 210)
    for place, name in enumerate(names):
        frame = tests.values[name]
        shades = sample_colorscale("Viridis", [0.88 * i / max(1, frame.shape[1] - 1) for i in range(frame.shape[1])])
        for (group, values), shade in zip(frame.items(), shades, strict=True):
            label, style = f"{texts['group']} {group}", {"color": shade, "width": 1.2}
            add_line(figure, values, label, style, place // COLUMNS + 1, place % COLUMNS + 1, legend=place == 0)
    figure.add_hline(1.0, line=LEVEL, layer="below")
    label_days(figure)
    return finish(figure, 210 * rows + LEGEND)


def _cumulative_ic(tests: FactorTests) -> go.Figure:
    """The Rank IC of the test days added up; a panel a factor, on one scale."""
    names = _telling(tests)
    rows = -(-len(names) // COLUMNS)
    columns = min(COLUMNS, len(names))
    figure = panels(rows, columns, [short(name, 34) for name in names], 170, shared_yaxes="all")
    for place, name in enumerate(names):
        style = {"color": PALETTE[0], "width": 1.3}
        values = tests.rank_ic[name].fillna(0.0).cumsum()
        add_line(figure, values, name, style, place // COLUMNS + 1, place % COLUMNS + 1, legend=False)
    figure.add_hline(0.0, line=LEVEL, layer="below")
    label_days(figure)
    return finish(figure, 170 * rows + LEGEND)


def _facts(tests: FactorTests, setting: Setting, texts: Texts) -> list[tuple[str, str]]:
    """What was tested and how, one line a fact."""
    market = tests.market
    days = {"first": f"{market.tested[0]:%Y-%m-%d}", "last": f"{market.tested[-1]:%Y-%m-%d}"}
    left = texts["no_close"]
    if setting.limit is not None:
        left = texts["limit_up"].format(no_close=left, limit=setting.limit)
    facts = {
        "provider": str(tests.provider),
        "universe": setting.universe,
        "days_tested": texts["every"].format(count=len(market.tested), rebalance=setting.rebalance, **days),
        "left_stocks": left,
        "prepared": _prepared(setting, texts),
        "grouping": texts["grouped"].format(groups=setting.groups, price=setting.price),
        "label": texts["label_is"].format(price=setting.price, rebalance=setting.rebalance),
        "turned": ", ".join(tests.turned),
        "left_out": "; ".join(f"{name}: {reason}" for name, reason in tests.left_out.items()),
    }
    return [(texts[name], text) for name, text in facts.items() if text]


def _prepared(setting: Setting, texts: Texts) -> str:
    steps = []
    if setting.mean_days > 1:
        steps.append(texts["mean_days"].format(days=setting.mean_days))
    if setting.clip:
        steps.append(texts["clip"])
    if setting.neutral:
        key = "neutral_size" if setting.industry is None else "neutral"
        steps.append(texts[key].format(industry=setting.industry, size=setting.size))
    if setting.zscore:
        steps.append(texts["zscore"])
    return ", ".join(steps) or texts["as_it_is"]

"""The page of a search: what was tried and found, the chosen factors, and what chance gave."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from qlib_ext.analysis.report.drawing import GREY, PALETTE, finish, panels
from qlib_ext.analysis.report.parts import Part, as_html, render_page
from qlib_ext.analysis.report.tables import IC, PERCENT, RATIO, Block, Grid, Line, printed, shaded, stacked
from qlib_ext.provider.facts import ProviderFacts
from qlib_ext.search.search import Found, Settings
from qlib_ext.search.state import CONTROL, SEARCH

TEXTS = {
    "html_lang": "en",
    "title": "Factor search",
    "lead": "Hover for figures, drag to zoom, double-click to zoom out; a click on a legend hides a line.",
    "contents": "contents",
    "tested": "What was searched",
    "factors": "The chosen factors",
    "factors_note": (
        "In the order in which they were chosen, each for what it adds in the validation to those above it. Figures "
        "are means of daily values; t is Newey-West's, residual t that of what is left of the factor beside those "
        "found before it."
    ),
    "years": "Rank IC by year",
    "correlation": "Rank correlations in the validation",
    "decay": "Decay",
    "decay_note": "The Rank IC of the validation with the label so many days later.",
    "history": "The course of the search",
    "history_note": (
        "The control is the same search with labels shuffled within the day: what it finds is chance. The ICIR is that "
        "of the screening, with what the factors found until then leave of the label."
    ),
    "factor": "factor",
}
OUTCOMES = {
    "taken": "taken",
    "coverage": "too few values",
    "signs": "sign changes over the years",
    "t": "t below the bar",
    "validation": "less than half of it in the validation",
    "correlation": "too close to a better one",
    "residual": "adds too little to those found",
    "full": "the pool was full",
}
COLUMNS = {
    "rank_ic": ("Rank IC", IC),
    "icir": ("ICIR", RATIO),
    "t": ("t", RATIO),
    "residual_t": ("residual t", RATIO),
    "valid_rank_ic": ("Rank IC, validation", IC),
    "valid_icir": ("ICIR, validation", RATIO),
    "added_icir": ("ICIR added", RATIO),
    "turnover": ("turnover", RATIO),
    "coverage": ("coverage", PERCENT),
}


def page(found: Found, settings: Settings, provider: ProviderFacts, tables: Mapping[str, pd.DataFrame]) -> str:
    """One page of HTML that needs no other file; ``tables`` are those of ``records.frames_of``."""
    parts = [
        Part("factors", grids=[_factors(tables["factors"])]) if len(tables["factors"]) else Part("factors"),
        Part("years", grids=[stacked("", "factor", {"": tables["years"]}, TEXTS, IC)]),
        Part("correlation", shaded=[shaded("", tables["correlation"])]),
        Part("decay", grids=[stacked("", "factor", {"": tables["decay"]}, TEXTS, IC)]),
    ]
    shown = [part for part in parts if part] if found.chosen else []
    history = Part("history", [as_html("history", _history(tables["history"]))], [_outcomes(found)])
    parts = [*shown, history]
    contents = ["tested", *(part.key for part in parts)]
    facts = [("provider", str(provider)), *_facts(found, settings)]
    title = provider.mark + TEXTS["title"]
    return render_page("factors.html", TEXTS, contents, title=title, facts=facts, parts=parts)


def _facts(found: Found, settings: Settings) -> list[tuple[str, str]]:
    return [
        ("universe", settings.universe),
        ("training", " to ".join(settings.train)),
        ("validation", " to ".join(settings.valid)),
        ("label", settings.label),
        ("seed", str(settings.seed)),
        ("minutes", f"{found.progress.seconds / 60:.1f}"),
        ("distinct expressions tried", f"{found.progress.tried(SEARCH):,}"),
        ("bar of t", f"{found.bar:.2f}"),
        ("factors found", str(len(found.pool))),
        ("factors chosen", str(len(found.chosen))),
        ("control: tried", f"{found.progress.tried(CONTROL):,}"),
        ("control: found", str(len(found.control))),
    ]


def _factors(table: pd.DataFrame) -> Grid:
    blocks = [
        Block(
            str(name), [Line("", [row["expression"], *(printed(row[key], form) for key, (_, form) in COLUMNS.items())])]
        )
        for name, row in table.iterrows()
    ]
    return Grid("", ["", "expression", *(title for title, _ in COLUMNS.values())], blocks, named=False)


def _outcomes(found: Found) -> Grid:
    counts = {name: found.progress.outcomes(name) for name in (SEARCH, CONTROL)}
    blocks = [
        Block(text, [Line("", [f"{counts[name][key]:,}" for name in (SEARCH, CONTROL)])])
        for key, text in OUTCOMES.items()
    ]
    return Grid("What became of the expressions measured on all stocks and days", ["", SEARCH, CONTROL], blocks, False)


def _history(history: pd.DataFrame) -> go.Figure:
    figure = panels(1, 2, ["factors found", "best ICIR of the generation"], 320)
    for name, colour in ((SEARCH, PALETTE[0]), (CONTROL, GREY)):
        own = history[history["evolution"] == name]
        for column, key in ((1, "pool"), (2, "best")):
            figure.add_trace(
                go.Scatter(
                    x=own["tried"],
                    y=own[key],
                    name=name,
                    legendgroup=name,
                    showlegend=column == 1,
                    line={"color": colour},
                ),
                1,
                column,
            )
    figure.update_xaxes(title_text="distinct expressions tried")
    return finish(figure, 380)

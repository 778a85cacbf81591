"""The page of model health: what ``check`` found, and how the models do of late; it needs no other file, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from qlib_ext.analysis.report.drawing import PALETTE, Colours, add_line, finish, label_days, panels
from qlib_ext.analysis.report.parts import Part, as_html, render_page
from qlib_ext.analysis.report.tables import PERCENT, RATIO, stacked
from qlib_ext.analysis.report.texts import Texts
from qlib_ext.errors import DataError
from qlib_ext.live.condition import RECENT_DAYS, Condition, condition_of
from qlib_ext.live.health import Health
from qlib_ext.live.health_texts import HEALTH_TEXTS
from qlib_ext.live.prediction import initialise
from qlib_ext.live.recorded import read
from qlib_ext.provider.facts import ProviderFacts, mark_of
from qlib_ext.recorder.runs import store_of

MOST_FEATURES = 20
SMOOTHED_DAYS = 20  # of turnover


def health_page(runs: str | Path, found: Sequence[Health], lang: str = "en") -> str:
    """The page about what ``check`` found; Chinese with ``lang`` zh. Raises DataError as ``check`` does."""
    texts, store = HEALTH_TEXTS[lang], store_of(runs)
    conditions, missing, facts = {}, [], {}
    for each in found:
        recorded = read(store, each.experiment)
        facts[each.experiment] = ProviderFacts.of(recorded.workflow.provider)
        initialise(store, recorded)
        try:
            conditions[each.experiment] = condition_of(recorded)
        except DataError as error:
            missing.append(texts["not_shown"].format(name=each.experiment, reason=error))
    missing += [
        texts["not_shown"].format(name=name, reason=texts["no_risk_model"])
        for name, condition in conditions.items()
        if condition.exposures.empty
    ]
    colours = {each.experiment: PALETTE[place % len(PALETTE)] for place, each in enumerate(found)}
    parts = [part for part in _parts(found, conditions, colours, texts) if part]
    texts = {**texts, "features_note": texts["features_note"].format(most=MOST_FEATURES)}
    mark = mark_of(any(each.simulated for each in facts.values()))
    return render_page(
        "health.html",
        texts,
        ["findings", *(part.key for part in parts)],
        title=mark + texts["title"].format(names=found[-1].experiment, day=f"{found[-1].day:%Y-%m-%d}"),
        providers=list(dict.fromkeys(map(str, facts.values()))),
        colours=colours,
        findings=list(dict.fromkeys(finding for each in found for finding in each.findings)),
        missing=missing,
        parts=parts,
    )


def _parts(found: Sequence[Health], conditions: Mapping[str, Condition], colours: Colours, texts: Texts) -> list[Part]:
    exposures = {name: each.exposures for name, each in conditions.items() if len(each.exposures)}
    furthest = {
        each.experiment: each.features.sort_values("psi", ascending=False).head(MOST_FEATURES)
        for each in found
        if len(each.features)
    }
    scores = pd.concat([each.scores.rename(index={"score": each.experiment}) for each in found])
    fields = {each.experiment: each.fields for each in found if len(each.fields)}
    summary = pd.DataFrame({name: each.summary() for name, each in conditions.items()}).T

    def grids(key: str, frames: Mapping[str, pd.DataFrame], pattern: str = RATIO) -> list:
        return [stacked("", key, frames, texts, pattern)] if frames else []

    known = {"": summary} if len(summary) else {}
    pictures = [as_html("condition", _condition(conditions, colours, texts))] if conditions else []
    return [
        Part("condition", pictures, grids("experiment", known, PERCENT)),
        Part("exposures", grids=grids("style", exposures)),
        Part("features", grids=grids("feature", furthest)),
        Part("scores", grids=grids("experiment", {"": scores} if len(scores) else {})),
        Part("fields", grids=grids("field", fields, PERCENT)),
    ]


def _condition(conditions: Mapping[str, Condition], colours: Colours, texts: Texts) -> go.Figure:
    """The means of 60 days of the Rank IC, with the level before, and of 20 days of the turnover."""
    figure = panels(1, 2, [texts["rolling_rank_ic"], texts["rolling_turnover"]], 320)
    for name, each in conditions.items():
        style = {"color": colours[name], "width": 1.5}
        means = each.rank_ic.rolling(RECENT_DAYS, min_periods=RECENT_DAYS // 3).mean().dropna()
        add_line(figure, means, name, style, 1, 1)
        level = pd.Series(each.rank_ic[:-RECENT_DAYS].mean(), means.index[[0, -1]] if len(means) else means.index)
        add_line(figure, level.dropna(), name, style | {"dash": "dot", "width": 1.2}, 1, 1, legend=False)
        turnover = each.turnover.rolling(SMOOTHED_DAYS, min_periods=1).mean()
        add_line(figure, turnover, name, style, 1, 2, legend=False)
    figure.update_yaxes(tickformat=".1~%", col=2)
    label_days(figure)
    return finish(figure, 340)

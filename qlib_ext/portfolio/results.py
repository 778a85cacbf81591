"""The tables of an enhanced index: all that a record saves of a run, or a grid of one of its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from qlib_ext.analysis.report.enhancement import group_of
from qlib_ext.portfolio.constraints.styles import Styles
from qlib_ext.portfolio.decision import Decision, decision_tables
from qlib_ext.portfolio.history import (
    History,
    foreseen_and_realised,
    linked_by_year,
    performance,
    performance_by_year,
)
from qlib_ext.portfolio.setting import Setting
from qlib_ext.risk.model import StyleRiskModel


def results_of(
    history: History,
    decisions: Sequence[Decision],
    setting: Setting,
    model: StyleRiskModel,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """The frames of a history, by name.

    about            dict: what was tested and how; bands: limits of exposures by style
    daily            [days, (return, benchmark, basket, excess, excess_basket)], after cost
    performance      see ``performance``; years: see ``performance_by_year``
    holding          one row, "all": turnover of a year, names, cash, member_share, tracking errors, bias (B),
                     transfer_coefficient, decisions, and how many of them relaxed a constraint
    decisions, exposures, risk, shadow_prices, relaxed   see ``decision_tables``
    foreseen         see ``foreseen_and_realised``
    effects          [days, effects], each day's sum is its excess; effects_by_year: linked, styles and industries each
                     as one
    industries       see ``History.attribution``
    """
    daily, (effects, industries) = history.daily(), history.attribution(model)
    tables = decision_tables(decisions)
    foreseen = foreseen_and_realised(
        list(tables["decisions"].index), list(tables["decisions"]["tracking_error"]), daily["excess_basket"]
    )
    table = performance(daily)
    grouped = effects.T.groupby(group_of, sort=False).sum().T
    return {
        "about": {
            **about,
            "index": setting.benchmark.index,
            "members": setting.benchmark.members,
            "rebalance": setting.rebalance,
            "first_day": history.days[0],
            "last_day": history.days[-1],
            "days": len(history.days),
            "bands": bands_of(setting, model.styles(history.before[-1])),
        },
        "daily": daily,
        "performance": table,
        "years": performance_by_year(daily, history.report),
        "holding": _holding(history, tables["decisions"], foreseen, table),
        **tables,
        "foreseen": foreseen,
        "effects": effects,
        "effects_by_year": linked_by_year(grouped, daily["return"], daily["benchmark"]),
        "industries": industries,
    }


def _holding(history: History, decisions: pd.DataFrame, foreseen: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    row = history.turnover()
    row["foreseen_tracking_error"] = decisions["tracking_error"].mean()
    row["realised_tracking_error"] = table.loc["excess_basket", "volatility"]
    row["bias"] = foreseen["outcome"].std()
    row["transfer_coefficient"] = decisions["transfer_coefficient"].mean()
    row["decisions"] = len(decisions)
    row["relaxed_decisions"] = int((decisions["relaxed"] > 0).sum())
    return row.to_frame("all").T


def bands_of(setting: Setting, styles: Sequence[str]) -> dict[str, float]:
    """The limit of each style's active exposure among the constraints, the narrowest where there are several."""
    bands: dict[str, float] = {}
    for constraint in setting.constraints:
        if isinstance(constraint, Styles):
            for style in styles:
                limit = constraint.by_name.get(style, constraint.limit)
                if limit is not None:
                    bands[style] = min(limit, bands.get(style, limit))
    return bands

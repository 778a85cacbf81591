"""How a model does of late: its Rank IC, the turnover of its best stocks, and their exposures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from qlib_ext.analysis.reading import read
from qlib_ext.checks.names import backtests, records_of
from qlib_ext.cross_section.ic import rank_information_coefficient
from qlib_ext.cross_section.matrix import to_matrix, without_infinite
from qlib_ext.errors import DataError
from qlib_ext.live.recorded import Recorded
from qlib_ext.live.scoring import recorded_rows
from qlib_ext.recorder.runs import load
from qlib_ext.recorder.windows import DATASET
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.workflows.reading import Workflow

RECENT_DAYS = 60
TOP_SHARE = 0.1  # of the stocks scored, where the strategy does not say how many it holds
EVERY = 5  # days, of which one is looked at for its exposures


@dataclass(frozen=True)
class Condition:
    """What is known of a model's scores, day by day.

    rank_ic    of the days whose label is known, with the run's own label
    top        how many stocks count as the best of a day
    turnover   the share of the best that were not among the best of the scored day before
    exposures  [styles] x today, recent (60 days), before (the 60 before these): of the best, over the mean of all that
               are scored; empty without a risk model
    """

    rank_ic: pd.Series
    top: int
    turnover: pd.Series
    exposures: pd.DataFrame

    def summary(self) -> dict[str, float]:
        """Means of the last 60 days and of the days before, and the share of 60-day means before that were lower."""
        ic, recent = self.rank_ic, self.rank_ic.tail(RECENT_DAYS).mean()
        means = ic.rolling(RECENT_DAYS).mean()[:-RECENT_DAYS].dropna()
        return {
            "rank_ic_recent": recent,
            "rank_ic_before": ic[:-RECENT_DAYS].mean(),
            "lower": (means < recent).mean() if len(means) else np.nan,
            "best_stocks": self.top,
            "turnover_recent": self.turnover.tail(RECENT_DAYS).mean(),
            "turnover_before": self.turnover[:-RECENT_DAYS].mean(),
        }


def condition_of(recorded: Recorded) -> Condition:
    """The condition of a run on the provider as it is today; Qlib is initialised on it.

    Raises DataError where the label of the run is not known, or its risk model ends before the scores.
    """
    scores = to_matrix(recorded.scores.iloc[:, 0], f"score of {recorded.name}")
    label = _labels(recorded, scores).reindex_like(scores)
    ic = pd.Series(rank_information_coefficient(scores.to_numpy(), label.to_numpy()), scores.index).dropna()
    count = int(scores.notna().sum(axis=1).median())
    top = _number_held(recorded.workflow) or max(1, round(TOP_SHARE * count))
    best = scores.rank(axis=1, ascending=False, method="first") <= top
    kept = (best & best.shift(fill_value=False)).sum(axis=1)
    turnover = (1 - kept / best.sum(axis=1))[1:]
    folder = _risk_folder(recorded.workflow)
    exposures = pd.DataFrame() if folder is None else _exposures(StyleRiskModel.read(folder), scores, best)
    return Condition(ic, top, turnover, exposures)


def _labels(recorded: Recorded, scores: pd.DataFrame) -> pd.DataFrame:
    """The run's label [days, stocks]: what it recorded, and of later days what the provider says today."""
    loader: Any = recorded_rows(recorded.run, DATASET).handler.data_loader
    try:
        expression = loader.fields["label"][0][0]
    except (AttributeError, KeyError, IndexError, TypeError):
        raise DataError(
            f"The data set of {recorded.name!r} does not say by which expression its label is made."
        ) from None
    saved, problem = load(recorded.run, "label.pkl")
    if problem or saved is None or saved.iloc[:, 0].dropna().empty:
        known = pd.DataFrame(index=scores.index[:0])
    else:
        known = to_matrix(without_infinite(saved.iloc[:, 0].dropna(), "label"), "label")
    days = scores.index if known.empty else scores.index[scores.index > known.index[-1]]
    if not len(days):
        return known
    later = read(list(scores.columns), [expression], days).get(expression, pd.DataFrame(index=days))
    return pd.concat([known, later])


def _number_held(workflow: Workflow) -> int | None:
    """The topk of the strategy of the first backtest that has one."""
    for config in _configs(workflow):
        topk = (config.get("strategy", {}).get("kwargs") or {}).get("topk")
        if isinstance(topk, int):
            return topk
    return None


def _risk_folder(workflow: Workflow) -> str | None:
    """The folder of a risk model that a record or a strategy of the workflow reads."""
    for config in _configs(workflow):
        for reader in (config, config.get("strategy", {}).get("kwargs") or {}):
            folder = ((reader.get("risk") or {}).get("kwargs") or {}).get("folder")
            if folder:
                return str(folder)
    return None


def _configs(workflow: Workflow) -> list[Mapping[str, Any]]:
    """The configurations of the records that backtest, and the kwargs of all."""
    task = workflow.config["task"]
    return [*backtests(task), *(each.get("kwargs") or {} for each in records_of(task))]


def _exposures(model: StyleRiskModel, scores: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    days = scores.index[-2 * RECENT_DAYS :]
    if days[-1] not in model.days:
        raise DataError(
            f"The risk model in {model.files.folder} ends on {model.days[-1]:%Y-%m-%d}, the scores on "
            f"{days[-1]:%Y-%m-%d}; add its days with `qlib-ext risk`."
        )
    looked_at = days[::-1][::EVERY][::-1]
    rows = {}
    for day in looked_at[looked_at.isin(model.days)]:
        styles = model.exposures(day)[model.styles(day)]
        held = styles[styles.index.isin(best.columns[best.loc[day]])]
        scored = styles[styles.index.isin(scores.columns[scores.loc[day].notna()])]
        rows[day] = held.mean() - scored.mean()
    table = pd.DataFrame(rows).T
    recent = table.index > days[-RECENT_DAYS - 1] if len(days) > RECENT_DAYS else np.ones(len(table), dtype=bool)
    return pd.DataFrame({"today": table.iloc[-1], "recent": table[recent].mean(), "before": table[~recent].mean()})

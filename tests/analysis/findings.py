"""What FactorRecord saves, made of random scores by its own functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from qlib_ext.analysis.decay import decay_frame
from qlib_ext.analysis.groups import group_summary, group_test
from qlib_ext.analysis.indices import index_test
from qlib_ext.analysis.performance import added_up_by_year, compounded_by_year
from qlib_ext.cross_section import ic as metrics
from tests.analysis.recorders import save

DAYS = pd.bdate_range("2016-11-01", periods=90, name="datetime")


def findings(experiment: str, seed: int = 0, others: tuple[str, ...] = ()) -> dict[str, Any]:
    """The frames by file name; 40 stocks in 5 groups over the turn of a year."""
    random = np.random.default_rng(seed)
    score = pd.DataFrame(random.normal(size=(len(DAYS), 40)), DAYS)
    price = pd.DataFrame(np.exp(random.normal(0, 0.02, score.shape).cumsum(0)), DAYS)
    test = group_test(score, price, 5)
    ic = pd.DataFrame({"ic": random.normal(0.04, 0.1, len(DAYS)), "rank_ic": random.normal(0.05, 0.1, len(DAYS))}, DAYS)
    ic["rank_ic_cumulative"] = ic["rank_ic"].cumsum()
    strategy = pd.DataFrame({"return": random.normal(0.001, 0.01, len(DAYS))}, DAYS)
    strategy["excess_return"] = strategy["return"] - np.sin(np.arange(len(DAYS))) / 100
    scores = [experiment, *others]
    return {
        "about": {"experiment": experiment, "first_day": DAYS[0], "last_day": DAYS[-1], "days": len(DAYS)}
        | {"stocks_per_day": 40.0, "horizon": 10, "groups": 5, "rebalance": 5, "price": "$close", "label": None},
        "ic": ic,
        "ic_summary": pd.concat({"rank_ic_spaced": metrics.ic_summary(ic["rank_ic"][::10])}),
        "ic_monthly": metrics.monthly_mean(ic["rank_ic"]),
        "group_returns": test.returns,
        "group_summary": group_summary(test),
        "group_years": compounded_by_year(test.excess.join(test.long_short)),
        "strategy_returns": strategy,
        "strategy_costs": pd.DataFrame({"annual_return": [0.1, 0.2]}, ["0", "1"]),
        "strategy_account": pd.DataFrame({"turnover": 0.1, "cash": 0.05}, DAYS),
        "holdings": pd.DataFrame({"weight": [0.6, 0.4]}, ["SH600000", "cash"]),
        "ic_decay": decay_frame(score, price, 5, 4),
        "performance_by_year": added_up_by_year(strategy),
        "style_correlation": pd.DataFrame(random.uniform(-1, 1, (2, len(scores))), ["VOL20", "RET20"], scores),
        "risk_exposures": pd.DataFrame({"size": 0.25, "industry_27": [-0.5] + 89 * [np.nan]}, DAYS)[::10],
        "risk_ic": pd.DataFrame(
            {"rank_ic": ic["rank_ic"], "rank_ic_neutral": 0.0123, "explained": 0.345, "stocks": 38}
        )[::10],
        "index_tests": pd.concat({"csi300": index_test(score, score, price, 10, 5)[0]}, names=["universe", "period"]),
        "index_groups": pd.DataFrame({"csi300": [0.2, 0.1, 0.0, -0.1, -0.2]}, range(1, 6)),
        "index_excess": pd.DataFrame({"csi300": test.excess.iloc[:, 0]}),
        "score_correlation": pd.DataFrame(np.eye(len(scores)), scores, scores),
    }


def save_findings(artifacts: Path, frames: dict[str, Any]) -> None:
    """As FactorRecord leaves them."""
    (artifacts / "factor_analysis").mkdir()
    for name, frame in frames.items():
        save(artifacts / "factor_analysis" / f"{name}.pkl", frame)


def log_curve(client: MlflowClient, run: str, name: str, values: list[float]) -> None:
    """A metric by epoch."""
    for step, value in enumerate(values):
        client.log_metric(run, name, value, step=step)

"""What a backtest came to, from what PortAnaRecord saved of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from qlib_ext.analysis.backtest import DAILY, Step
from qlib_ext.analysis.performance import added_up_by_year, returns_after_cost, since_first_score

COST_TIMES = (0.0, 0.5, 1.0, 2.0, 3.0)
TOP = 20  # holdings


def strategy_frames(
    report: pd.DataFrame,
    positions: Mapping[pd.Timestamp, Any] | None,
    first_score: pd.Timestamp,
    step: Step = DAILY,
) -> dict[str, pd.DataFrame]:
    """The files of FactorRecord on the strategy: returns, their table by year, and three more.

    strategy_account.pkl: [steps, (turnover, cash)], cash as a share of the account; holdings.pkl: see
    ``last_holdings``; strategy_costs.pkl: the table's figures of all steps had the same trades cost 0, 0.5, 1, 2 or 3
    times as much. Raises DataError where the report lacks a column.
    """
    own = since_first_score(report, first_score)
    returns = returns_after_cost(own)
    frames = {"strategy_returns.pkl": returns, "performance_by_year.pkl": added_up_by_year(returns, step)}
    frames["strategy_costs.pkl"] = pd.DataFrame.from_dict(
        {f"{times:g}": _at_cost(own, times, step).loc["all"] for times in COST_TIMES}, "index"
    )
    if {"cash", "account"} <= set(own.columns):
        share = own["cash"] / own["account"]
        frames["strategy_account.pkl"] = pd.DataFrame({"turnover": own["turnover"], "cash": share})
    if positions:
        frames["holdings.pkl"] = last_holdings(positions)
    return frames


def strategy_metrics(frames: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """The metrics to log: ``strategy.annual_excess_return`` and so on, after cost; none without a backtest."""
    if "performance_by_year.pkl" not in frames:
        return {}
    whole = frames["performance_by_year.pkl"].loc["all"]
    names = ("annual_return", "annual_excess_return", "information_ratio", "max_drawdown", "excess_max_drawdown")
    return {f"strategy.{name}": float(whole[name]) for name in names}


def _at_cost(report: pd.DataFrame, times: float, step: Step) -> pd.DataFrame:
    table = added_up_by_year(returns_after_cost(report.assign(cost=times * report["cost"])), step)
    return table[["annual_return", "annual_excess_return", "information_ratio", "excess_max_drawdown"]]


def last_holdings(positions: Mapping[pd.Timestamp, Any], top: int = TOP) -> pd.DataFrame:
    """The largest holdings at the close of a backtest's last step: [instruments, weight], cash its last row."""
    position = positions[max(positions)].position
    values = {name: held["amount"] * held["price"] for name, held in position.items() if isinstance(held, dict)}
    worth = pd.Series(values, dtype=float)
    cash = float(position.get("cash", 0.0))
    shares = worth.sort_values(ascending=False)[:top] / (worth.sum() + cash)
    return pd.concat([shares, pd.Series({"cash": cash / (worth.sum() + cash)})]).to_frame("weight")

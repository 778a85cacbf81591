"""A simulated market, its risk model, and backtests of index enhancement on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from qlib.backtest import backtest

from qlib_ext.portfolio.days import Days
from qlib_ext.portfolio.strategy import IndexEnhancement
from qlib_ext.risk.build import build
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.simulator.simulate import INDEX, Market, simulate, write_market

SIZE = {"stocks": 80, "days": 500, "seed": 5}
BENCHMARK = {"index": INDEX, "members": "csi300"}
EXECUTOR = {
    "class": "SimulatorExecutor",
    "module_path": "qlib.backtest.executor",
    "kwargs": {"time_per_step": "day", "generate_portfolio_metrics": True},
}
CONSTRAINTS = [
    {"class": "TrackingError", "kwargs": {"limit": 0.08}},
    {"class": "Styles", "kwargs": {"limit": 0.5}},
    {"class": "Industries", "kwargs": {"limit": 0.05}},
    {"class": "Members", "kwargs": {"share": 0.8}},
    {"class": "ActiveWeight", "kwargs": {"limit": 0.05}},
    {"class": "Turnover", "kwargs": {"one_sided": 0.2}},
]


@pytest.fixture(scope="session")
def market() -> Market:
    return simulate(**SIZE)


@pytest.fixture(scope="session")
def provider(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("portfolio") / "provider"
    write_market(folder, **SIZE)
    return folder


@pytest.fixture(scope="session")
def model_folder(provider, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("portfolio") / "model"
    build(provider, folder)
    return folder


@pytest.fixture(scope="session")
def model(model_folder) -> StyleRiskModel:
    return StyleRiskModel.read(model_folder)


@pytest.fixture(scope="session")
def days(provider, model) -> Days:
    return Days(provider, model, **BENCHMARK)


@pytest.fixture(scope="session")
def planted(market) -> pd.Series:
    """The label that the planted effects let expect, as a score."""
    return series_of(market, market.signal)


def series_of(market: Market, values: np.ndarray) -> pd.Series:
    frame = (
        pd.DataFrame(values, market.calendar, market.symbols).rename_axis("datetime").rename_axis("instrument", axis=1)
    )
    return frame.stack().dropna().rename("score")


@pytest.fixture
def enhanced(provider, model_folder, market, init) -> Callable:
    """Backtest IndexEnhancement on days of the market by their places: its report by day, and the strategy."""

    def of(score, first=320, last=440, account=1e8, lots=True, costs=(0.001, 0.002), folder=provider, **options):
        init(folder)
        start, end = market.calendar[[first, last]]
        given = {"benchmark": BENCHMARK, "constraints": CONSTRAINTS, "risk": {"kwargs": {"folder": str(model_folder)}}}
        strategy = IndexEnhancement(signal=score, **given | options)
        kwargs = {"start_time": start, "end_time": end, "lots": lots, "open_cost": costs[0], "close_cost": costs[1]}
        exchange = {"class": "BoardExchange", "module_path": "qlib_ext.portfolio.exchange", "kwargs": kwargs}
        metrics, _ = backtest(start, end, strategy, EXECUTOR, INDEX, account, {"exchange": exchange})
        return metrics["1day"][0], strategy

    return of

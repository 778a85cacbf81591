"""The backtest of a recorded run: its strategy, its executor and its exchange, as Qlib's record understands them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qlib.backtest import get_exchange
from qlib.backtest.exchange import Exchange
from qlib.strategy.base import BaseStrategy
from qlib.utils import get_callable_kwargs, init_instance_by_config
from qlib.workflow.record_temp import PortAnaRecord

from qlib_ext.checks.names import RECORDS, records_of
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.live.trading_day import TradingDay
from qlib_ext.workflows.reading import Workflow

SIGNALS = ("<PRED>", ["<MODEL>", "<DATASET>"])  # in which a workflow says: the scores of this run


class RecordedBacktest:
    """What the first PortAnaRecord of a workflow, or record made of it, does with the scores.

    Raises DataError for a workflow without one, ConfigError for one whose steps are not days, or whose signal is not
    the run's score.
    """

    def __init__(self, workflow: Workflow) -> None:
        record = _record_of(workflow)
        self.strategy: dict[str, Any] = record.strategy_config
        self.backtest: dict[str, Any] = record.backtest_config
        executor = record.executor_config
        kwargs = executor.get("kwargs") or {}
        if "inner_executor" in kwargs or kwargs.get("time_per_step") not in ("day", "1day"):
            raise ConfigError(
                f"The backtest of {workflow.name!r} trades in steps of {kwargs.get('time_per_step')} by "
                f"{executor.get('class')}; orders for the next day are made of a SimulatorExecutor's steps of a day."
            )
        signal = (self.strategy.get("kwargs") or {}).get("signal")
        if signal not in SIGNALS:
            raise ConfigError(
                f"The strategy of {workflow.name!r} reads the signal {signal!r}; orders are made of the run's own "
                "score, signal: <PRED>."
            )

    def strategy_of(self, scores: pd.DataFrame) -> BaseStrategy:
        """The strategy on these scores."""
        config = self.strategy | {"kwargs": self.strategy["kwargs"] | {"signal": scores}}
        strategy: BaseStrategy = init_instance_by_config(config, accept_types=BaseStrategy)
        return strategy

    def exchange_of(self, trading: TradingDay) -> Exchange:
        """The exchange with the bars of the evening's day, and those of the trading day where the provider has them."""
        days = {"start_time": trading.before, "end_time": trading.day}
        kwargs = dict(self.backtest.get("exchange_kwargs") or {}) | days
        own = kwargs.get("exchange")
        if isinstance(own, dict):
            kwargs["exchange"] = own | {"kwargs": (own.get("kwargs") or {}) | days}
        exchange: Exchange = get_exchange(**kwargs)
        return exchange


def _record_of(workflow: Workflow) -> Any:
    for config in records_of(workflow.config["task"]):
        klass, kwargs = get_callable_kwargs(config, default_module=RECORDS)
        if isinstance(klass, type) and issubclass(klass, PortAnaRecord):
            return klass(recorder=None, **kwargs)
    raise DataError(
        f"{workflow.name!r} has no PortAnaRecord among its records, so no strategy turns its scores into orders. Add "
        "one to the workflow and run it again, or name a run that has one."
    )

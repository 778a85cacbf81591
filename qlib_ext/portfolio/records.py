"""The record that backtests index enhancement and leaves the reports' tables in Qlib's recorder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from qlib.config import C
from qlib.utils import fill_placeholder, get_callable_kwargs, get_date_by_shift, init_instance_by_config
from qlib.workflow import R
from qlib.workflow.record_temp import PortAnaRecord
from qlib.workflow.recorder import Recorder

from qlib_ext.analysis.report.texts import LANGUAGES
from qlib_ext.analysis.score import Score
from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_types, keywords_of, refuse_unknown
from qlib_ext.portfolio.history import History
from qlib_ext.portfolio.needs import check_executor
from qlib_ext.portfolio.quotes import read_quotes
from qlib_ext.portfolio.results import results_of
from qlib_ext.portfolio.strategy import IndexEnhancement

FOLDER = "enhancement"
METRICS = {
    "enhancement.excess_return": ("performance", "excess", "annual_return"),
    "enhancement.excess_over_basket": ("performance", "excess_basket", "annual_return"),
    "enhancement.tracking_error": ("performance", "excess", "volatility"),
    "enhancement.information_ratio": ("performance", "excess", "ratio"),
    "enhancement.excess_max_drawdown": ("performance", "excess", "max_drawdown"),
    "enhancement.turnover_one_sided": ("holding", "all", "turnover_one_sided"),
    "enhancement.bias": ("holding", "all", "bias"),
}


class EnhancementRecord(PortAnaRecord):
    """PortAnaRecord of an IndexEnhancement, and the tables of the reports beside it.

        - class: EnhancementRecord
          module_path: qlib_ext.portfolio.records
          kwargs:
              config: {strategy: ..., executor: ..., backtest: ...}

    config    as that of PortAnaRecord; the strategy is an IndexEnhancement, the backtest names the index as benchmark,
              and the steps of an executor, where there is one, are days.
              Where start_time and end_time are null, the backtest's are the first day of the score and the day after
              its last, and the exchange's are those of the backtest
    report    whether to write the page of ``qlib-ext report`` about this run as well; lang: its language, en or zh
    model, dataset   not read: Qlib's trainer offers them to every record

    Beside what PortAnaRecord saves into ``portfolio_analysis`` it saves into ``enhancement`` the frames that
    ``qlib_ext.portfolio.results.results_of`` names, and report.html where report is true. The figures of the excess
    return are logged as metrics, ``enhancement.information_ratio`` and so on.

    Raises ConfigError for a strategy of another kind, a backtest without benchmark, an executor that keeps no account
    of each day, and unknown options.
    """

    depend_cls = Score
    strategy_config: Any  # of PortAnaRecord
    backtest_config: dict[str, Any]

    def __init__(
        self,
        recorder: Recorder,
        config: Mapping[str, Any] | None = None,
        report: bool = True,
        lang: str = "en",
        model: Any = None,
        dataset: Any = None,
        skip_existing: bool = False,
        **unknown: Any,
    ) -> None:
        refuse_unknown(unknown, keywords_of(EnhancementRecord), type(self).__name__)
        check_types(EnhancementRecord.__init__, locals())
        refuse_unknown([lang], LANGUAGES, "lang")
        given = config or {}
        for part in ("strategy", "backtest"):
            if not given.get(part):
                raise ConfigError(f"EnhancementRecord has no {part}; write config: {{strategy: ..., backtest: ...}}.")
        klass, _ = get_callable_kwargs(given["strategy"])
        if not (isinstance(klass, type) and issubclass(klass, IndexEnhancement)):
            raise ConfigError(
                f"EnhancementRecord reports on IndexEnhancement and classes made of it, not on {klass.__name__}; "
                "PortAnaRecord takes every strategy."
            )
        if not given["backtest"].get("benchmark"):
            raise ConfigError("The backtest has no benchmark; write the index that is enhanced, benchmark: SH000905.")
        check_executor(given)
        executor = given.get("executor")
        if executor and not (executor.get("kwargs") or {}).get("generate_portfolio_metrics"):
            raise ConfigError("The executor keeps no account; write generate_portfolio_metrics: true in its kwargs.")
        super().__init__(recorder, config, skip_existing=skip_existing)
        self.report, self.lang = report, lang

    def _generate(self, **kwargs: Any) -> dict[str, Any]:
        score = self.load("pred.pkl")
        self._fill_days(score.index.get_level_values("datetime"))
        filled = fill_placeholder(self.strategy_config, {"<PRED>": score})
        strategy: IndexEnhancement = init_instance_by_config(filled)
        # PortAnaRecord keeps the strategy that it makes to itself, and what was decided is to be read of this one
        self.strategy_config = {"class": lambda: strategy, "kwargs": {}}
        saved = super()._generate(**kwargs)
        frames = self._frames(strategy, saved)
        self.recorder.save_objects(artifact_path=FOLDER, **{f"{name}.pkl": frame for name, frame in frames.items()})
        metrics = {name: float(frames[table].loc[row, column]) for name, (table, row, column) in METRICS.items()}
        self.recorder.log_metrics(**metrics)
        print(frames["years"].round(4).to_string())
        if self.report:
            from qlib_ext.analysis.report.page import attach_report  # plotly, which a run without a page does without

            attach_report(self.recorder, FOLDER, {f"{name}.pkl": frame for name, frame in frames.items()}, self.lang)
        return saved

    def _fill_days(self, scored: pd.Index) -> None:
        """Put days in the place of null: in the backtest as Qlib does, in its exchange those of the backtest."""
        backtest = self.backtest_config
        if backtest.get("start_time") is None:
            backtest["start_time"] = scored.min()
        if backtest.get("end_time") is None:
            backtest["end_time"] = get_date_by_shift(scored.max(), 1)
        exchange = (backtest.get("exchange_kwargs") or {}).get("exchange")
        if isinstance(exchange, dict):
            kwargs = exchange.setdefault("kwargs", {})
            for name in ("start_time", "end_time"):
                if kwargs.get(name) is None:
                    kwargs[name] = backtest[name]

    def _frames(self, strategy: IndexEnhancement, saved: Mapping[str, Any]) -> dict[str, Any]:
        report, positions = saved["report_normal_1day.pkl"], saved["positions_normal_1day.pkl"]
        exchange = strategy.trade_exchange
        folder = str(C.dpm.get_data_uri("day"))
        quotes = read_quotes(folder, report.index[0], report.index[-1], price=exchange.buy_price)
        column = {stock: place for place, stock in enumerate(quotes.stocks)}
        holdings = np.zeros(quotes.close.shape)
        for row, position in zip(holdings, positions.values(), strict=True):
            for stock, amount in position.get_stock_amount_dict().items():
                row[column[stock]] = amount
        history = History.of(report, holdings, quotes, strategy.days.weights)
        about = {
            "experiment": R.get_exp(experiment_id=self.recorder.experiment_id, create=False).name,
            "account": float(report["account"].iloc[0]),
            "deal_price": exchange.buy_price,
            "limit": getattr(exchange, "rule", "of Qlib's Exchange"),
        }
        return results_of(history, strategy.decisions, strategy.setting, strategy.days.model, about)

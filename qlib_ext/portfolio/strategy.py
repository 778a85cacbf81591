"""Index enhancement as a strategy of Qlib's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from qlib.backtest.decision import Order, TradeDecisionWO
from qlib.backtest.exchange import Exchange
from qlib.backtest.signal import SignalWCache
from qlib.config import C
from qlib.contrib.strategy.signal_strategy import BaseSignalStrategy
from qlib.utils import init_instance_by_config

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.keywords import check_types, keywords_of, refuse_unknown
from qlib_ext.portfolio.block import Constraint
from qlib_ext.portfolio.boards import Boards
from qlib_ext.portfolio.constraints import TrackingError
from qlib_ext.portfolio.days import Days
from qlib_ext.portfolio.decision import Decision, Lots, decide, no_score
from qlib_ext.portfolio.needs import check_enhancement, refuse_other_steps
from qlib_ext.portfolio.setting import rebalancing_days, setting_of
from qlib_ext.risk.model import StyleRiskModel

RISK = {"class": "StyleRiskModel", "module_path": "qlib_ext.risk.model"}


class IndexEnhancement(BaseSignalStrategy):
    """Holds the portfolio of the best score that keeps to an index, within constraints.

        class: IndexEnhancement
        module_path: qlib_ext.portfolio.strategy
        kwargs:
            signal: <PRED>
            benchmark: {index: SH000905, members: csi500, weights: implied}
            constraints:
                - {class: TrackingError, kwargs: {limit: 0.05}}
                - {class: Turnover, kwargs: {one_sided: 0.2}}

    It decides for the first trading day of a week, day or month, and for the first day with a score where nothing is
    held, at the close of the trading day before, from that day's score; its orders are of that close's prices, sales
    first. The executor's steps are days, whatever ``rebalance`` is.

    signal         as in Qlib
    benchmark, constraints, objective, rebalance, relax   see ``qlib_ext.portfolio.setting.setting_of``
    seasoned_days  days that a stock must have traded before it is bought
    risk           the risk model, a dict of Qlib's form, by default StyleRiskModel of the provider's whole market

    ``decisions`` keeps what was decided. Raises ConfigError for options that make no sense when it is made,
    ProviderError for a provider without the index or its members; as it trades, ConfigError for steps that are no days,
    DataError for a day without scores, InfeasibleError where no portfolio keeps what may not give way, SolverError for
    a failure of a solver.
    """

    def __init__(
        self,
        *,
        signal: Any = None,
        benchmark: Mapping[str, Any] | None = None,
        constraints: Sequence[Mapping[str, Any] | Constraint] = (),
        objective: Mapping[str, Any] | None = None,
        rebalance: str = "week",
        relax: Sequence[str] | None = None,
        seasoned_days: int = 60,
        risk: Mapping[str, Any] | None = None,
        trade_exchange: Exchange | None = None,
        level_infra: Any = None,
        common_infra: Any = None,
        **unknown: Any,
    ) -> None:
        refuse_unknown(unknown, keywords_of(IndexEnhancement), type(self).__name__)
        check_types(IndexEnhancement.__init__, locals())
        self.setting = setting_of(benchmark, constraints, objective, rebalance, relax)
        if signal is None:
            raise ConfigError("IndexEnhancement has no signal; write signal: <PRED>.")
        super().__init__(
            signal=signal, trade_exchange=trade_exchange, level_infra=level_infra, common_infra=common_infra
        )
        model: StyleRiskModel = init_instance_by_config({**RISK, **(risk or {})}, accept_types=StyleRiskModel)
        index = self.setting.benchmark
        provider = str(C.dpm.get_data_uri("day"))
        self.days = Days(provider, model, index.index, index.members, index.weights, seasoned_days)
        self.decisions: list[Decision] = []

    @classmethod
    def check_backtest(
        cls, options: Mapping[str, Any], config: Mapping[str, Any], provider: str | Path, test: Sequence[Any]
    ) -> None:
        """Raise what a backtest of these kwargs would fail by at the end of a run; see ``check_enhancement``."""
        refuse_unknown(options, keywords_of(cls), cls.__name__)
        check_types(IndexEnhancement.__init__, options)
        check_enhancement(options, config, provider, test)

    def generate_trade_decision(self, execute_result: list | None = None) -> TradeDecisionWO:
        """The orders of a step, none on days between; see the class."""
        step = self.trade_calendar.get_trade_step()
        traded, before = (self.trade_calendar.get_step_time(step, shift)[0] for shift in (0, 1))
        if before >= traded:
            raise DataError(f"{traded:%Y-%m-%d} is the provider's first day: nothing is known before it. Begin later.")
        if step == 0:
            refuse_other_steps(self.trade_calendar.get_freq())
            self.decisions = []
            self._check_scores()
        due = rebalancing_days(pd.DatetimeIndex([before, traded]), self.setting.rebalance)[1]
        begun = self.decisions or self.trade_position.get_stock_list()
        if begun and not due:
            return TradeDecisionWO([], self)
        score = self._score(before)
        if score is None and not self.decisions:
            return TradeDecisionWO([], self)  # the scores begin later, as _check_scores has seen
        if score is None:
            raise no_score([before], traded)
        return TradeDecisionWO(_orders(self._decide(before, traded, score)), self)

    def _decide(self, before: pd.Timestamp, traded: pd.Timestamp, score: pd.Series) -> Decision:
        position, value = self.trade_position, self.trade_position.calculate_value()
        stocks = position.get_stock_list()
        worth = [position.get_stock_amount(stock) * position.get_stock_price(stock) / value for stock in stocks]
        held = pd.Series(worth, stocks, dtype=float)
        scaled = any(isinstance(each, TrackingError) and each.te_scale for each in self.setting.constraints)
        if scaled and stocks and not self.decisions:
            raise DataError(
                "TrackingError's te_scale needs the account's decisions of the year before, and of these holdings none "
                "is known; leave it out, or ask for a smaller limit."
            )
        unit, boards = self.trade_exchange.trade_unit, getattr(self.trade_exchange, "boards", Boards())
        lots = None if unit is None else Lots(boards, unit)
        decision = decide(self.days, self.setting, before, traded, score, held, value, lots, self.decisions)
        self.decisions.append(decision)
        return decision

    def _score(self, day: pd.Timestamp) -> pd.Series | None:
        """The score of a day by stock; None where there is none."""
        score = self.signal.get_signal(start_time=day, end_time=day)
        if isinstance(score, pd.DataFrame):
            score = score.iloc[:, 0]
        return None if score is None or not np.isfinite(score.astype(float)).any() else score

    def _check_scores(self) -> None:
        """Raise DataError for scores that are missing on a day of decision, where all of them are known already."""
        if not isinstance(self.signal, SignalWCache):
            return
        steps = range(self.trade_calendar.get_trade_len())
        days = pd.DatetimeIndex([self.trade_calendar.get_step_time(step)[0] for step in steps])
        before = pd.DatetimeIndex([self.trade_calendar.get_step_time(0, 1)[0], *days[:-1]])
        scored = self.signal.signal_cache.dropna().index.unique("datetime")
        begun = before >= scored.min()
        if not begun.any():
            raise no_score(before, days[0])
        due = rebalancing_days(before.append(days[-1:]), self.setting.rebalance)[1:] & begun
        missing = before[due & ~before.isin(scored)]
        if len(missing):
            raise no_score(missing, days[before.get_loc(missing[0])])


def _orders(decision: Decision) -> list[Order]:
    """Sales, then buys, the largest first; of the day itself, as Qlib's steps last over a weekend."""
    end = decision.traded + pd.Timedelta(days=1, seconds=-1)
    shares = decision.shares
    return [
        Order(
            decision.stocks[place],
            float(abs(shares[place])),
            Order.BUY if shares[place] > 0 else Order.SELL,
            decision.traded,
            end,
        )
        for place in decision.order
    ]

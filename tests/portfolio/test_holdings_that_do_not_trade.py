"""Holdings that are suspended, at each step of an account, and one that leaves the market, over half a year."""

from __future__ import annotations

import numpy as np
import pytest

from qlib_ext.portfolio.backtest import backtest
from qlib_ext.portfolio.boards import Boards
from qlib_ext.portfolio.ledger import Costs
from qlib_ext.portfolio.quotes import read_quotes
from qlib_ext.portfolio.setting import setting_of
from tests.portfolio.conftest import BENCHMARK, CONSTRAINTS

FIRST, LAST = 330, 470


@pytest.fixture(scope="module")
def leaver(market) -> tuple[str, int]:
    """The stock that leaves, and its last day's place."""
    gone = np.flatnonzero(~market.listed[LAST] & market.listed[FIRST])
    return market.symbols[gone[0]], int(np.flatnonzero(market.listed[:, gone[0]])[-1])


@pytest.fixture(scope="module")
def account(days, planted, provider, market, leaver):
    """A backtest with a score that likes the stock that leaves, its quotes, and by day and stock whether it trades."""
    quotes, score = read_quotes(provider, *market.calendar[[FIRST, LAST]]), planted.unstack()
    score[leaver[0]] = score[leaver[0]].where(score[leaver[0]].isna(), 3 * score.stack().std())
    made = backtest(days, setting_of(BENCHMARK, CONSTRAINTS), quotes, score, 1e8, Costs(0.001, 0.002), Boards())
    columns = [market.symbols.index(stock) if stock in market.symbols else -1 for stock in quotes.stocks]
    trades = np.isfinite(market.fields["close"])[FIRST : LAST + 1, columns]
    return made, quotes, trades


def test_a_holding_that_is_suspended_at_the_decision_is_not_ordered(account):
    made, quotes, trades = account
    found = 0
    for decision in made.decisions[1:]:
        row = quotes.days.get_loc(decision.day)
        for place in np.flatnonzero(decision.held):
            if not trades[row, quotes.stocks.index(decision.stocks[place])]:
                found += 1
                assert decision.shares[place] == 0
                assert decision.solution.weights[place] == decision.held[place]
    assert found >= 5


def test_a_holding_that_is_suspended_on_the_day_of_trade_stays(account):
    made, quotes, trades = account
    found = 0
    for decision in made.decisions[1:]:
        row = quotes.days.get_loc(decision.traded)
        for place in decision.order:
            column = quotes.stocks.index(decision.stocks[place])
            if not trades[row, column]:
                found += 1
                assert made.holdings[row, column] == made.holdings[row - 1, column]
    assert found >= 1


def test_the_account_is_worth_its_last_closes_on_every_day(account):
    made, quotes, trades = account
    asleep = (made.holdings > 0) & ~trades
    assert asleep.any(axis=1).sum() > 20
    last = np.where(trades, quotes.close, np.nan)
    for row in range(1, len(last)):
        last[row] = np.where(np.isnan(last[row]), last[row - 1], last[row])
    last = np.where(np.isnan(last), quotes.close, last)  # suspended since before the first day
    worth = np.nansum(made.holdings * last, axis=1)
    np.testing.assert_allclose(made.report["value"], worth, rtol=1e-12)
    assert np.isfinite(made.report.drop(columns="bench")).all(axis=None)


def test_a_holding_that_leaves_stays_at_its_last_close_and_is_ordered_no_more(account, leaver, market):
    made, quotes, _ = account
    stock, last = leaver
    column, row = quotes.stocks.index(stock), last - FIRST
    held = made.holdings[row, column]
    assert held > 0
    np.testing.assert_array_equal(made.holdings[row:, column], held)
    np.testing.assert_array_equal(quotes.close[row:, column], quotes.close[row, column])
    after = [decision for decision in made.decisions if decision.day > market.calendar[last]]
    assert len(after) >= 8
    for decision in after:
        place = decision.stocks.index(stock)
        assert decision.shares[place] == 0
        assert decision.held[place] > 0
        kept = decision.solution.weights.sum()
        assert kept == pytest.approx(0.997, abs=0.003), "the rest of the account goes on"

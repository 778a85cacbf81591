"""How well the risk of past decisions was foreseen is known at each close, and tightens the limit that asks for it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from qlib_ext.errors import DataError
from qlib_ext.portfolio.backtest import backtest
from qlib_ext.portfolio.constraints import TrackingError
from qlib_ext.portfolio.foresight import scale_of
from qlib_ext.portfolio.ledger import Costs
from qlib_ext.portfolio.quotes import read_quotes
from qlib_ext.portfolio.setting import setting_of
from tests.portfolio.conftest import BENCHMARK
from tests.portfolio.days import random_day

WEEKS = pd.date_range("2019-01-04", periods=80, freq="7D")


def test_the_scale_is_the_deviation_of_the_52_weeks_before_within_bounds():
    random = np.random.default_rng(0)
    outcomes = 1.2 * random.standard_normal(80)
    outcomes[70] = np.nan  # a week without an active weight
    day = WEEKS[-1] + pd.Timedelta(days=7)
    expected = pd.Series(outcomes, WEEKS).loc[day - pd.Timedelta(days=364) :].std()
    assert scale_of(outcomes, WEEKS, day) == pytest.approx(expected)
    assert scale_of(0.1 * outcomes, WEEKS, day) == 0.8
    assert scale_of(9 * outcomes, WEEKS, day) == 1.6
    assert scale_of(outcomes[:11], WEEKS[:11], WEEKS[11]) == 1.0
    assert scale_of(outcomes[:12], WEEKS[:12], WEEKS[12]) != 1.0
    assert scale_of(outcomes, WEEKS, day + pd.Timedelta(days=400)) == 1.0


def test_the_limit_is_divided_by_the_scale_where_that_is_asked_for():
    day = random_day(te_scale=1.25)
    assert TrackingError(0.05, te_scale=True).blocks(day)[0].limit == pytest.approx(0.04)
    assert TrackingError(0.05).blocks(day)[0].limit == 0.05


def test_each_decision_knows_what_became_of_those_before(days, planted, provider, market):
    quotes, score = read_quotes(provider, *market.calendar[[320, 420]]), planted.unstack()
    setting = setting_of(BENCHMARK, [{"class": "TrackingError", "kwargs": {"limit": 0.03, "te_scale": True}}])
    made = backtest(days, setting, quotes, score, 1e8, Costs(0.001, 0.002), None).decisions
    close = pd.DataFrame(market.fields["close"], market.calendar, market.symbols).ffill()
    outcomes = []
    for earlier, later in pairwise(made):
        active = pd.Series(earlier.active, earlier.stocks)
        active = active[active != 0]
        earned = active @ (close.loc[later.day] / close.loc[earlier.day] - 1)[active.index].fillna(0.0)
        length = market.calendar.get_loc(later.day) - market.calendar.get_loc(earlier.day)
        outcomes.append(earned / (earlier.solution.tracking_error * np.sqrt(length / 252)))
        assert later.before == pytest.approx(outcomes[-1], rel=1e-5)
        expected = np.clip(np.std(outcomes, ddof=1), 0.8, 1.6) if len(outcomes) >= 12 else 1.0
        assert later.te_scale == pytest.approx(expected, rel=1e-5)
        assert later.solution.tracking_error <= 0.03 / expected + 1e-6
    assert np.isnan(made[0].before)
    assert len(made) > 16
    assert made[-1].te_scale != 1.0


def test_an_account_whose_past_is_not_known_is_not_scaled_in_silence(enhanced, planted, market):
    """As that of an evening, whose holdings come from a file."""
    rules = [{"class": "TrackingError", "kwargs": {"limit": 0.03, "te_scale": True}}]
    _, strategy = enhanced(planted, 320, 326, constraints=rules)
    strategy.decisions.clear()
    day, traded = market.calendar[[326, 327]]
    with pytest.raises(DataError, match="te_scale needs the account's decisions of the year before"):
        strategy._decide(day, traded, planted.xs(day, level="datetime"))

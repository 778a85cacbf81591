"""What a day is made of is of that day and those before; holdings that do not trade any more stay what they are."""

from __future__ import annotations

from shutil import copytree

import numpy as np
import pandas as pd

from qlib_ext.portfolio.days import Days
from qlib_ext.portfolio.decision import decide
from qlib_ext.portfolio.setting import setting_of
from qlib_ext.risk.build import build
from qlib_ext.risk.model import StyleRiskModel
from tests.portfolio.conftest import BENCHMARK, CONSTRAINTS
from tests.risk.conftest import noise_from

AT = 340


def score_at(planted, day) -> pd.Series:
    return planted.xs(day, level="datetime")


def test_garbage_after_the_close_changes_no_order(provider, model_folder, market, planted, tmp_path):
    folder = tmp_path / "provider"
    copytree(provider, folder)
    edit = noise_from(AT + 1)
    for path in sorted((folder / "features").glob("*/*.day.bin")):
        if "_weight" in path.name:  # garbage there is refused; that weights look at no later day is a test of theirs
            continue
        content = np.fromfile(path, dtype="<f4")
        edit(path, content[1:], int(content[0]))
        content.tofile(path)
    build(folder, tmp_path / "model")
    day, traded, setting = market.calendar[AT], market.calendar[AT + 1], setting_of(BENCHMARK, CONSTRAINTS)
    held = pd.Series(0.99 / 20, market.symbols[:20])
    found, week_before = [], market.calendar[AT - 5]
    for place, model in ((provider, model_folder), (folder, tmp_path / "model")):
        days = Days(place, StyleRiskModel.read(model), **BENCHMARK)
        first = decide(days, setting, week_before, day, score_at(planted, week_before), held, 1e8, None)
        found.append(decide(days, setting, day, traded, score_at(planted, day), held, 1e8, None, [first]))
    one, other = found
    assert one.before == other.before
    assert one.stocks == other.stocks
    np.testing.assert_array_equal(one.shares, other.shares)
    assert np.count_nonzero(one.shares) > 10
    assert (days.closes(traded, one.stocks) > 100).any(), "there is garbage on the day after"


def test_a_suspended_holding_keeps_its_weight(days, market, planted):
    close = market.fields["close"]
    suspended = np.argwhere(np.isnan(close[320:450]) & market.listed[320:450])
    row, column = suspended[0]
    day, stock = market.calendar[320 + row], market.symbols[column]
    held = pd.Series({stock: 0.05, **{other: 0.94 / 30 for other in market.symbols[:31] if other != stock}})
    setting = setting_of(BENCHMARK, CONSTRAINTS)
    decision = decide(days, setting, day, day, score_at(planted, day), held, 1e8, None)
    place = decision.stocks.index(stock)
    assert decision.shares[place] == 0
    assert decision.solution.weights[place] == 0.05


def test_a_holding_that_left_the_market_stays_in_the_account(days, market, planted):
    day = market.calendar[AT]
    known = days.at(day, score_at(planted, day), pd.Series({"SH600999": 0.02, market.symbols[0]: 0.9}))
    gone = known.stocks.index("SH600999")
    assert gone == len(known.stocks) - 1
    assert (known.held[gone], known.tradable[gone], known.may_buy[gone]) == (0.02, False, False)
    assert known.risk.specific[gone] == np.median(known.risk.specific[:gone])
    assert known.risk.exposures[gone].sum() == 1, "of the market alone"


def test_the_members_are_those_of_the_day_on_which_the_index_changes(days, market, planted):
    changes = np.flatnonzero((market.members[1:] != market.members[:-1]).sum(1) > 2) + 1
    at = changes[changes > 320][0]
    for place in (at - 1, at):
        day = market.calendar[place]
        known = days.at(day, score_at(planted, day))
        members = {market.symbols[column] for column in np.flatnonzero(market.members[place])}
        assert {known.stocks[row] for row in np.flatnonzero(known.member)} == members & set(known.stocks)
        assert abs(known.benchmark.sum() - 1) < 1e-6


def test_a_new_listing_is_not_bought(provider, model, market, planted):
    days = Days(provider, model, **BENCHMARK, seasoned_days=200)
    day = market.calendar[AT]
    known = days.at(day, score_at(planted, day))
    traded = (~np.isnan(market.fields["close"][: AT + 1])).sum(0)
    young = {market.symbols[column] for column in np.flatnonzero(traded < 200)} & set(known.stocks)
    assert young
    assert not any(known.may_buy[known.stocks.index(stock)] for stock in young)

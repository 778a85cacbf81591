"""Each thing that can be wrong with a setting, a score or a provider is named, as early as it can be known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.errors import ConfigError, DataError, ProviderError
from qlib_ext.portfolio.block import Block, Constraint
from qlib_ext.portfolio.constraints import Styles
from qlib_ext.portfolio.days import Days
from qlib_ext.portfolio.objective import Objective
from qlib_ext.portfolio.orders import traded_shares
from qlib_ext.portfolio.setting import rebalancing_days, setting_of
from qlib_ext.portfolio.solve import solve
from tests.portfolio.conftest import BENCHMARK
from tests.portfolio.days import random_day


def one(name: str, **kwargs) -> list:
    return [{"class": name, "kwargs": kwargs}]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"benchmark": None}, "no benchmark to enhance; write benchmark:"),
        ({"benchmark": {"index": "SH000905"}}, "The benchmark has no members"),
        ({"benchmark": BENCHMARK | {"weigths": "implied"}}, "no option 'weigths'; did you mean 'weights'"),
        ({"benchmark": {"index": 905, "members": "csi500"}}, "index is a text, not 905"),
        ({"constraints": one("TrackingEror", limit=0.05)}, "no option 'TrackingEror'; did you mean 'TrackingError'"),
        (
            {"constraints": one("TrackingError", limits=0.05)},
            "TrackingError has no option 'limits'; did you mean 'limit'",
        ),
        ({"constraints": one("TrackingError")}, "TrackingError cannot be made of {}: .*missing .*'limit'"),
        ({"constraints": one("TrackingError", limit=0)}, "limit of TrackingError, TE of a workflow, is above 0"),
        ({"constraints": one("TrackingError", limit="5 %")}, "limit is a number, not '5 %'"),
        (
            {"constraints": one("Turnover", one_sided=0)},
            "limit of Turnover, DELTA of a workflow, is above 0, not 0: nothing could ever",
        ),
        ({"constraints": one("Turnover")}, "Turnover takes one limit, one_sided or two_sided"),
        ({"constraints": one("Turnover", one_sided=0.2, two_sided=0.3)}, "Turnover takes one limit"),
        ({"constraints": one("Styles")}, "Styles has no limit"),
        ({"constraints": one("Styles", size=-0.1)}, "size of Styles is not below 0"),
        ({"constraints": one("Members", share=1.2)}, "share of Members, CPCT of a workflow, is from 0 to 1, not 1.2"),
        ({"constraints": one("Industries", limit=-1)}, "limit of Industries is from 0 to 1"),
        ({"constraints": one("ActiveWeight", limit=0)}, "limit of ActiveWeight is above 0"),
        ({"constraints": ["TrackingError"]}, "A constraint is a mapping, not 'TrackingError'"),
        ({"relax": ["turnover"]}, "relax, with these constraints, has no option 'turnover'; did you mean"),
        ({"relax": ["members", "members"]}, "relax names members twice"),
        ({"rebalance": "weekly"}, "rebalance has no option 'weekly'; did you mean 'week'"),
        ({"objective": {"ic": 2}}, "ic of the objective is from 0 to 1, not 2"),
        ({"objective": {"cost": 0.1}}, "objective has no option 'cost'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(options, message):
    given = {"benchmark": BENCHMARK, "constraints": one("Members", share=0.8)}
    with pytest.raises(ConfigError, match=message):
        setting_of(**given | options)


class Contradiction(Constraint):
    name = "impossible"

    def blocks(self, day):
        return [Block(self.name, w=np.ones(len(day.stocks)), low=0.9, high=0.8)]


class Short(Constraint):
    name = "short"

    def blocks(self, day):
        return [Block(self.name, w=np.ones(3), low=0.9)]


class Budget(Constraint):
    name = "budget"

    def blocks(self, day):
        return [Block(self.name, w=np.ones(len(day.stocks)), high=0.9)]


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (Contradiction(), "impossible is from 0.9 to 0.8 on 2020-01-03: no portfolio"),
        (Short(), r"w of short has the shape \(1, 3\); its rows are of 40 columns"),
        (Budget(), "budget is built in, as are .*; give your block another name"),
        (Styles(sise=0.2), "On 2020-01-03 Styles has no option 'sise'; did you mean 'size'"),
    ],
)
def test_a_constraint_that_contradicts_itself_is_named(constraint, message):
    with pytest.raises(ConfigError, match=message):
        solve(random_day(), [constraint], Objective())


def test_an_account_too_small_for_its_lots_is_told_what_it_needs():
    day = random_day(held=np.zeros(40))
    price, lot = np.full(40, 20.0), np.full(40, 100.0)
    with pytest.raises(
        DataError, match=r"An account of 10,000 buys 0 of 20 stocks on 2020-01-03.* it needs [\d,]+ or so"
    ):
        traded_shares(day, day.benchmark, 1e4, price, lot)
    bought = traded_shares(day, day.benchmark, 1e6, price, lot)
    assert (bought[:20] % 100 == 0).all()
    assert (bought * 20 <= day.benchmark * 1e6).all()


def test_a_score_without_overlap_is_named(days, market):
    day = market.calendar[330]
    with pytest.raises(DataError, match=r"score of 2\S+ has 1 stocks, and none of them is one of the \d+"):
        days.at(day, pd.Series({"SH999999": 1.0}))
    with pytest.raises(DataError, match="none of them is one of"):
        days.at(day, pd.Series(np.nan, market.symbols))


def test_stocks_whose_score_is_no_number_are_not_bought(days, market, planted):
    day, score = market.calendar[330], planted.xs(market.calendar[330], level="datetime")
    broken = score.copy()
    broken.iloc[:3] = [np.nan, np.inf, -np.inf]
    known = days.at(day, broken)
    lost = [known.stocks.index(stock) for stock in broken.index[:3] if stock in known.stocks]
    assert lost
    assert not known.may_buy[lost].any()
    assert (known.score[lost] == 0).all()
    assert np.isfinite(known.score).all()


def test_a_day_that_the_provider_lacks_is_named(days, planted):
    with pytest.raises(DataError, match="1999-01-01 is no day of the provider"):
        days.at("1999-01-01", planted.xs(planted.index[0][0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index": "SH000905", "weights": "implied"}, r"has no \$close of the index SH000905"),
        ({"members": "csi500"}, "The universe 'csi500' is not in"),
        ({"weights": "$csi500_weight"}, r"has no \$csi500_weight of any member of csi300"),
    ],
)
def test_an_index_that_the_provider_lacks_is_named(provider, model, options, message):
    with pytest.raises((ProviderError, DataError), match=message):
        Days(provider, model, **BENCHMARK | options)


def test_a_missing_day_of_scores_is_named_before_the_first_decision(enhanced, planted, market):
    calendar = market.calendar[330:361]
    mondays = calendar[rebalancing_days(calendar, "week")]
    before = market.calendar[market.calendar.get_loc(mondays[3]) - 1]
    missing = planted.drop(before, level="datetime")
    with pytest.raises(
        DataError, match=rf"no score on 1 days of decision, first {before:%Y-%m-%d}, for {mondays[3]:%Y-%m-%d}"
    ):
        enhanced(missing, 330, 360)
    with pytest.raises(DataError, match=r"no score on \d+ days of decision"):
        enhanced(planted.loc[market.calendar[400] :], 330, 360)


def test_the_strategy_names_what_it_lacks(enhanced, planted):
    with pytest.raises(ConfigError, match="no option 'constraint'; did you mean 'constraints'"):
        enhanced(planted, constraint=[])
    with pytest.raises(ConfigError, match="no signal; write signal: <PRED>"):
        enhanced(None)

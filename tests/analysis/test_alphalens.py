"""The figures of alphalens-reloaded on the same input."""

from __future__ import annotations

import numpy as np
import pytest

from qlib_ext.analysis.groups import assign_groups, group_test, turnover
from qlib_ext.cross_section.ic import rank_information_coefficient
from tests.analysis.matrices import random_frame, random_prices

GROUPS, DAYS, STOCKS = 5, 120, 60
pytestmark = pytest.mark.filterwarnings("ignore")  # alphalens' own, of pandas 3


@pytest.fixture(scope="module")
def market():
    """Scores, prices and alphalens' rows of them: factor, quantile, and the return of five days from the day after."""
    utils = pytest.importorskip("alphalens.utils", reason="alphalens-reloaded needs Python 3.11")
    score, price = random_frame(DAYS, STOCKS, holes=0), random_prices(DAYS, STOCKS, holes=0)
    factor = score.stack().rename_axis(["date", "asset"])
    rows = utils.get_clean_factor_and_forward_returns(
        factor, price.shift(-1).iloc[:-1], quantiles=GROUPS, periods=(1, 5), max_loss=1
    )
    days = rows.index.unique("date")
    return score.loc[days], price, rows


@pytest.mark.parametrize("period", [1, 5])
def test_rank_ic(market, period):
    from alphalens.performance import factor_information_coefficient

    score, price, rows = market
    theirs = factor_information_coefficient(rows)[f"{period}D"].reindex(score.index)
    label = (price.shift(-1 - period) / price.shift(-1) - 1).loc[score.index]
    ours = rank_information_coefficient(score.to_numpy(), label.to_numpy())
    assert np.isfinite(theirs).all()
    np.testing.assert_allclose(ours, theirs, atol=1e-8)


@pytest.mark.parametrize("period", [1, 5])
def test_quantile_returns(market, period):
    from alphalens.performance import mean_return_by_quantile

    score, price, rows = market
    theirs, _ = mean_return_by_quantile(rows, by_date=True, demeaned=False)
    theirs = theirs[f"{period}D"].unstack("date").iloc[::-1].T  # from the best group to the worst
    test = group_test(score.reindex(price.index), price, GROUPS, period)
    value = (1 + test.returns.drop(columns="universe")).cumprod()
    formed = [day for day in test.turnover.index if day in score.index]
    assert len(formed) > 20
    for day in formed:
        bought, sold = price.index.get_loc(day) + 1, price.index.get_loc(day) + 1 + period
        ours = value.iloc[sold] / value.iloc[bought].fillna(1) - 1
        np.testing.assert_allclose(ours, theirs.loc[day], atol=1e-8)


def test_turnover(market):
    from alphalens.performance import quantile_turnover

    score, _, rows = market
    ours = turnover(assign_groups(score.to_numpy(), GROUPS), GROUPS)
    for group in range(1, GROUPS + 1):
        theirs = quantile_turnover(rows["factor_quantile"], GROUPS + 1 - group).reindex(score.index)
        np.testing.assert_allclose(ours[1:, group - 1], theirs.iloc[1:], atol=1e-8)


def test_quantiles(market):
    score, _, rows = market
    theirs = rows["factor_quantile"].unstack("asset").to_numpy()
    np.testing.assert_array_equal(GROUPS + 1 - assign_groups(score.to_numpy(), GROUPS), theirs)

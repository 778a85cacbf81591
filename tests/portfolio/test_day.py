"""What a day says of itself equals the definitions, and what is no number is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.errors import DataError
from tests.portfolio.days import random_day


def dense(day) -> np.ndarray:
    x = day.risk.exposures
    return x @ day.risk.covariance @ x.T + np.diag(day.risk.specific**2)


def test_tracking_error_is_that_of_the_dense_covariance():
    day = random_day()
    active = day.held - day.benchmark
    assert day.tracking_error(day.held) == pytest.approx(np.sqrt(active @ dense(day) @ active), rel=1e-12)
    np.testing.assert_allclose(day.root @ day.root.T, day.risk.covariance, atol=1e-15)


def test_the_transfer_coefficient_is_1_for_the_portfolio_that_nothing_constrains():
    day = random_day()
    alpha = 0.01 * day.score * day.risk.specific
    free = day.benchmark + 3 * np.linalg.solve(dense(day), alpha)
    assert day.transfer_coefficient(free, alpha) == pytest.approx(1)
    assert -1 < day.transfer_coefficient(day.held, alpha) < 1
    assert np.isnan(day.transfer_coefficient(day.benchmark, alpha))


def test_holdings_are_taken_by_stock():
    day = random_day()
    other = day.with_holdings(pd.Series({day.stocks[3]: 0.25, day.stocks[0]: 0.5}))
    assert other.held[[0, 3]].tolist() == [0.5, 0.25]
    assert other.held.sum() == 0.75
    with pytest.raises(DataError, match=r"1 stocks that are held .* 2020-01-03, first SZ000001"):
        day.with_holdings(pd.Series({"SZ000001": 0.1}))


@pytest.mark.parametrize("name", ["held", "benchmark", "score"])
def test_what_is_no_number_is_refused(name):
    values = np.full(40, 0.01)
    values[7] = np.nan
    with pytest.raises(DataError, match=rf"{name} of 1 stocks .* 2020-01-03, first SH600007"):
        random_day(**{name: values})


def test_another_length_is_refused():
    with pytest.raises(DataError, match=r"member of 2020-01-03 has the shape \(3,\), for 40 stocks"):
        random_day(member=np.ones(3, dtype=bool))

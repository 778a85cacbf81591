from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlib_ext.errors import ConfigError
from qlib_ext.portfolio.boards import BOARDS, NO_BOARD, Boards, age_of, closed_directions, listing_days, to_cents

CALENDAR = pd.bdate_range("2013-01-01", "2024-12-31")
OLD = "NaT"


def widths(stock: str, day: str, listed=OLD, flagged: bool = False) -> tuple[float, float]:
    boards = Boards()
    at, since = np.array([day], dtype="datetime64[ns]"), np.array([listed], dtype="datetime64[ns]")
    up, down = boards.widths(boards.board_of([stock]), at, since, age_of(at, since, CALENDAR), np.array([flagged]))
    return up[0], down[0]


@pytest.mark.parametrize(
    ("stock", "day", "listed", "flagged", "expected"),
    [
        ("SH600000", "2018-01-02", OLD, False, (0.10, 0.10)),
        ("SH600000", "2018-01-02", OLD, True, (0.05, 0.05)),
        ("SH688001", "2019-07-26", "2019-07-22", False, (np.nan, np.nan)),  # its fifth day
        ("SH688001", "2019-07-29", "2019-07-22", False, (0.20, 0.20)),
        ("SZ300001", "2020-08-21", OLD, False, (0.10, 0.10)),
        ("SZ300001", "2020-08-24", OLD, False, (0.20, 0.20)),
        ("SZ300001", "2020-08-24", OLD, True, (0.20, 0.20)),
        ("SZ300900", "2020-08-24", "2020-08-20", False, (0.20, 0.20)),  # listed under the older rule
        ("SZ300901", "2020-08-28", "2020-08-24", False, (np.nan, np.nan)),
        ("SZ300901", "2020-08-31", "2020-08-24", False, (0.20, 0.20)),
        ("SH603999", "2015-06-01", "2015-06-01", False, (0.44, 0.36)),
        ("SH603999", "2015-06-02", "2015-06-01", False, (0.10, 0.10)),
        ("SH603999", "2013-06-03", "2013-06-03", False, (np.nan, np.nan)),
        ("SZ001300", "2023-04-07", "2023-04-07", False, (0.44, 0.36)),
        ("SZ001300", "2023-04-14", "2023-04-10", False, (np.nan, np.nan)),
        ("SZ001300", "2023-04-17", "2023-04-10", False, (0.10, 0.10)),
        ("BJ830001", "2022-03-01", "2022-03-01", False, (np.nan, np.nan)),
        ("BJ830001", "2022-03-02", "2022-03-01", False, (0.30, 0.30)),
        ("SH688001", "2019-07-19", OLD, False, (np.nan, np.nan)),  # before the board's first rule
        ("SH000300", "2018-01-02", OLD, False, (np.nan, np.nan)),  # an index
    ],
)
def test_the_width_of_a_day(stock, day, listed, flagged, expected):
    np.testing.assert_equal(widths(stock, day, listed, flagged), expected)


def test_boards_and_lots_go_by_the_code():
    boards = Boards()
    names = ["SH600000", "sz000001", "SH688001", "SZ300001", "BJ830001", "SH000300", "SH510300"]
    found = [boards.names[place] if place != NO_BOARD else None for place in boards.board_of(names)]
    assert found == ["main", "main", "star", "chinext", "bse", None, None]
    np.testing.assert_equal(boards.lots(names), [100, 100, 200, 100, 100, np.nan, np.nan])


@given(cents=st.integers(1, 500_000), percent=st.sampled_from([5, 10, 20, 30, 44]), factor=st.floats(0.01, 300))
def test_limit_prices_are_those_of_decimal_arithmetic_even_of_float32(cents, percent, factor):
    """As read of a provider: adjusted float32 prices over a float32 factor."""
    width = np.array([percent / 100])
    stored = np.float32(cents / 100 * factor), np.float32(factor)
    limits = Boards.limits(np.array([float(stored[0]) / float(stored[1])]), (width, width))
    for found, sign in ((limits.up[0], 1), (limits.down[0], -1)):
        exact = (Decimal(cents) * (100 + sign * percent) / 100).quantize(Decimal(1), ROUND_HALF_UP)
        assert found == int(exact)


def test_a_listing_is_known_only_where_the_calendar_begins_before_it():
    listed = listing_days(pd.DatetimeIndex([CALENDAR[0], CALENDAR[9]]), CALENDAR)
    assert np.isnat(listed[0])
    assert listed[1] == CALENDAR[9]
    np.testing.assert_equal(age_of(CALENDAR[[9, 12]].to_numpy()[:, None], listed, CALENDAR), [[np.nan, 1], [np.nan, 4]])


def test_a_stock_at_its_limit_is_closed_in_one_direction():
    boards, width = Boards(), (np.full(6, 0.1), np.full(6, 0.1))
    limits = boards.limits(np.full(6, 10.0), width)
    close = np.array([11.0, 11.0, 9.0, 9.0, 10.0, np.nan])
    high = np.array([11.0, 11.0, 9.0, 9.5, 11.0, np.nan])
    low = np.array([11.0, 10.0, 9.0, 9.0, 9.0, np.nan])
    no_buy, no_sell = closed_directions(limits, close, high, low, "one_price")
    assert no_buy.tolist() == [True, False, False, False, False, True]
    assert no_sell.tolist() == [False, False, True, False, False, True]
    no_buy, no_sell = closed_directions(limits, close, high, low, "close")
    assert no_buy.tolist() == [True, True, False, False, False, True]
    assert no_sell.tolist() == [False, False, True, True, False, True]


def test_without_a_limit_nothing_but_a_suspension_is_closed():
    nan = np.full(2, np.nan)
    limits = Boards.limits(nan, (nan, nan))
    prices = np.array([20.0, np.nan])
    for directions in closed_directions(limits, prices, prices, prices, "one_price"):
        assert directions.tolist() == [False, True]


def test_prices_of_a_cent():
    np.testing.assert_equal(to_cents(np.array([10.0, 10.004999, 10.005001, 0.01])), [1000, 1000, 1001, 1])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.drop(columns="lot"), "no column lot"),
        (lambda t: t.assign(limit=10.0), "8 lines that make no rule, first line 2"),
        (lambda t: t.assign(lot=[100, 200, *t["lot"][2:]]), "gives the board main several lots"),
    ],
)
def test_a_table_that_makes_no_rules_is_refused(tmp_path, edit, message):
    path = tmp_path / "boards.csv"
    edit(pd.read_csv(BOARDS)).to_csv(path, index=False)
    with pytest.raises(ConfigError, match=message):
        Boards(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        Boards(tmp_path / "none.csv")

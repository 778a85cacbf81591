"""Week and month bars made of daily columns: a slow construction, holes, the calendar, bad lengths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.data.calendar_loader import calendar_places
from qlib_ext.data.shapes.frequencies import LENGTHS, Frequencies, WithFactors
from qlib_ext.errors import ConfigError
from tests.slow_bars import slow_frequencies

NAMES = ["open", "high", "low", "close", "vwap", "volume"]
SHORT = {"day": 4, "week": 3, "month": 2}
STOCKS = 8


def trading_days(days: int, random: np.random.Generator) -> pd.DatetimeIndex:
    """Trading days with holidays: single ones, and a week without any."""
    every = pd.bdate_range("2019-11-04", periods=days + 20)
    weekday = every[~np.isin(np.arange(len(every)), np.arange(15, 20))]  # a whole week from Monday to Friday
    return weekday[np.sort(random.permutation(len(weekday))[:days])]


def random_bars(days: pd.DatetimeIndex, random: np.random.Generator) -> list[pd.DataFrame]:
    """Bars of several stocks: with missing rows and fields, zero volumes, a late listing, one that never trades."""
    bars = np.exp(0.2 * random.standard_normal((STOCKS, len(days), 6)))
    bars[:, :, 5] *= 1e6
    kind = random.random((STOCKS, len(days)))
    bars[kind < 0.2] = np.nan
    bars[(kind > 0.2) & (kind < 0.3), 5] = 0.0
    bars[(kind > 0.3) & (kind < 0.35), 2] = np.nan
    bars[0, : len(days) - 6] = np.nan
    bars[1, -7:] = np.nan
    bars[2] = np.nan
    bars[3, :, 5] = 0.0
    return [pd.DataFrame(stock, days, NAMES) for stock in bars]


def window(bars: list[pd.DataFrame], shape: Frequencies) -> torch.Tensor:
    """What the panel gives of these bars: the last days, with their places where the shape reads the calendar."""
    if shape.calendar:
        places = calendar_places(bars[0].index)
        there = [places.where(stock.notna().any(axis=1) | (stock.index == stock.index[-1])) for stock in bars]
        bars = [pd.concat([stock, own], axis=1) for stock, own in zip(bars, there, strict=True)]
    x = np.array(bars, dtype=np.float32)  # [stocks, days, fields]
    before = max(0, shape.days - x.shape[1])
    return torch.from_numpy(np.pad(x, ((0, 0), (before, 0), (0, 0)), constant_values=np.nan))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    calendar=st.booleans(),
    days=st.sampled_from([12, 63, 80]),
    lengths=st.sampled_from([SHORT, {"day": 4}, {"week": 5}, {"month": 3, "day": 30}, {"week": 9, "month": 2}]),
)
def test_series_equal_a_slow_construction(seed, calendar, days, lengths):
    random = np.random.default_rng(seed)
    bars = random_bars(trading_days(days, random), random)
    shape = Frequencies(lengths, calendar)
    found = shape(window(bars, shape))
    expected = np.array([slow_frequencies(stock, lengths, calendar) for stock in bars])
    assert found.shape == (STOCKS, sum(lengths.values()), 6)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.isnan(expected[2]).all(), "nobody knows the one that never trades"
    assert np.isnan(expected[3]).all(), "nor the one without volume"


@pytest.mark.parametrize("calendar", [False, True])
def test_every_series_ends_at_one_and_the_window_is_left_as_it_was(calendar):
    days = pd.bdate_range("2019-01-01", periods=300)
    random = np.random.default_rng(0)
    bars = [pd.DataFrame(1 + random.random((300, 6)), days, NAMES) for _ in range(3)]
    shape = Frequencies(LENGTHS, calendar)
    x = window(bars, shape)
    before = x.clone()
    series = shape(x).split([40, 20, 12], dim=1)
    assert all(torch.isfinite(part).all() and (part[:, -1] == 1).all() for part in series)
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_a_stock_listed_last_week_has_its_days_one_week_and_one_month():
    bars = pd.DataFrame(np.nan, pd.bdate_range("2019-01-01", periods=240), NAMES)
    bars.iloc[-4:] = [[1, 3, 1, 2, 2, 10.0], [2, 4, 2, 3, 3, 30.0], [3, 5, 2, 4, 4, 10.0], [4, 4, 4, 4, 4, 20.0]]
    shape = Frequencies(LENGTHS)
    series = shape(window([bars], shape))[0].split([40, 20, 12])
    assert [int(part.isfinite().all(1).sum()) for part in series] == [4, 1, 1]
    assert series[0][-4:, 3].tolist() == [0.5, 0.75, 1.0, 1.0]
    assert series[0][-4:, 5].tolist() == [0.5, 1.5, 0.5, 1.0]


def test_bars_of_a_block_by_hand():
    """Two weeks; the second one's first day is suspended and its last has no close."""
    week = [[10, 12, 9, 11, 10, 100], [11, 13, 10, 12, 12, 300]]
    days = [[2, 2, 2, 2, 2, 50]] + [[np.nan] * 6] * 4 + [[9, 99, 1, 9, 9, 0], *week, [12, 12, 7, 8, 10, 100]]
    days += [[5, 50, 5, np.nan, 5, 100]]
    bars = pd.DataFrame(np.array(days, dtype=float), pd.bdate_range("2019-01-01", periods=10), NAMES)
    shape = Frequencies({"week": 2})
    first, last = shape(window([bars], shape))[0].numpy()
    np.testing.assert_allclose(last, 1)
    vwap = (10 * 100 + 12 * 300 + 10 * 100) / 500
    np.testing.assert_allclose(first, [2 / 10, 2 / 13, 2 / 7, 2 / 8, 2 / vwap, 50 / 500], rtol=1e-6)


def test_the_calendars_last_week_is_unfinished_and_a_week_without_trading_is_none():
    days = pd.DatetimeIndex(["2020-01-20", "2020-01-23", "2020-02-03", "2020-02-07", "2020-02-10", "2020-02-11"])
    bars = pd.DataFrame(np.arange(1.0, 7)[:, None] * np.ones(6), days, NAMES)
    shape = Frequencies({"week": 3, "month": 2}, calendar=True)
    series = shape(window([bars], shape))[0]
    week, month = series.split([3, 2])
    assert (week[:, 3] * 6).tolist() == pytest.approx([2, 4, 6]), "closes of 23 January, 7 and 11 February"
    assert (month[:, 5] * (3 + 4 + 5 + 6)).tolist() == pytest.approx([3, 18]), "volumes of January and February"


def test_places_of_the_calendar():
    days = pd.DatetimeIndex(["2019-12-30", "2020-01-02", "2020-01-06", "2020-01-31", "2020-03-02"])
    places = calendar_places(days)
    assert places["WEEK"].tolist() == [0, 3, 7, 18, 21]
    assert (places["MONTH"] - places["MONTH"].iloc[0]).tolist() == [0, 3, 7, 32, 65]


@pytest.mark.parametrize(("lengths", "days", "calendar"), [(LENGTHS, 240, 276), ({"day": 7}, 7, 7), (SHORT, 40, 46)])
def test_how_far_a_window_reaches(lengths, days, calendar):
    assert Frequencies(lengths).days == days
    assert Frequencies(lengths, calendar=True).days == calendar


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ({}, "names day, week or month"),
        ({"year": 3}, r"names day, week or month.*not \['year'\]"),
        ({"week": 0}, "at least one week.*not 0"),
        ({"month": 1.5}, r"whole number; not 1\.5"),
    ],
)
def test_lengths_that_make_no_sense_are_named(lengths, message):
    with pytest.raises(ConfigError, match=message):
        Frequencies(lengths)


@pytest.mark.parametrize("length", [3, 50])
def test_factors_lie_behind_the_bars_in_one_row(length):
    random = np.random.default_rng(0)
    x = random.random((STOCKS, 50, 6 + 5)).astype(np.float32)  # five factors
    shape = WithFactors(Frequencies(SHORT), length)
    assert shape.days == max(40, length)
    found = shape(torch.from_numpy(x)).numpy()
    bars = Frequencies(SHORT)(torch.from_numpy(x[:, -40:, :6])).numpy()
    expected = [
        np.concatenate([own.ravel(), factors.ravel()]) for own, factors in zip(bars, x[:, -length:, 6:], strict=True)
    ]
    assert found.shape == (STOCKS, 9 * 6 + length * 5, 1)
    np.testing.assert_array_equal(found[:, :, 0], expected)


@pytest.mark.parametrize("length", [0, 2.5])
def test_a_length_of_factors_that_makes_no_sense_is_named(length):
    with pytest.raises(ConfigError, match=f"factors are asked for of at least one day.*not {length}"):
        WithFactors(Frequencies(SHORT), length)

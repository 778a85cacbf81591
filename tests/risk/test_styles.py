"""Styles equal a slow reference and are the same however much history is read; exposures are standardised."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from qlib_ext.risk import styles
from qlib_ext.risk.exposures import NON_LINEAR_SIZE, STYLES, orthogonal, standardised
from qlib_ext.risk.windows import carried, half_life_weights, market_lines, ranges, weighted_means, window_sums

DAYS, COUNT = 620, 9
random = np.random.default_rng(0)
RETURNS = 0.02 * random.standard_normal((DAYS, COUNT))
RETURNS[random.random(RETURNS.shape) < 0.05] = np.nan
RETURNS[:400, 0] = np.nan  # listed late
RETURNS[450:560, 1] = np.nan  # long suspended
MARKET = np.nanmean(RETURNS, axis=1)
POSITIVE = np.exp(random.standard_normal((DAYS, COUNT)))
POSITIVE[random.random(RETURNS.shape) < 0.05] = np.nan
SIGNED = random.standard_normal((DAYS, COUNT))
CLOSE = np.exp(np.nancumsum(RETURNS, axis=0))
PANELS = {
    "returns": RETURNS,
    "market": MARKET,
    "cap": 1e9 * POSITIVE,
    "close": CLOSE,
    "turnover": 0.01 * POSITIVE,
    "amount": 1e7 * POSITIVE[::-1],
    "book": 1e8 * SIGNED,
    "earnings_ttm": 1e7 * SIGNED[::-1],
    "sales_ttm": 1e8 * POSITIVE,
    "dividend_yield": 0.02 * POSITIVE,
    "roe": SIGNED,
    "roic": SIGNED[::-1],
    "debt_to_assets": POSITIVE,
}
PLACES = [(619, 2), (619, 0), (619, 1), (500, 3), (300, 4), (130, 5), (30, 6), (5, 7)]


class Past:
    """A stock's panels to a day, with the statistics of the styles' docstrings, made as they are written."""

    def __init__(self, day, stock):
        self.panels = {name: (p if p.ndim == 1 else p[:, stock])[: day + 1] for name, p in PANELS.items()}

    def __getattr__(self, name):
        return self.panels[name]

    def now(self, name):
        return self.panels[name][-1]

    def before(self, name):
        """The value of 243 days ago."""
        return self.panels[name][-244] if len(self.returns) > 243 else np.nan

    def mean(self, name, window):
        """The mean of a window of which half is known."""
        past = pd.Series(self.panels[name][-window:])
        return past.mean() if past.count() >= window // 2 else np.nan

    def weighted(self, values, half_life, window, lag=0, least=None):
        """The weighted mean of a window's known values."""
        past = values[: len(values) - lag][-window:][::-1]
        known = ~np.isnan(past)
        if known.sum() < (least or window // 2):
            return np.nan
        weight = 0.5 ** (np.arange(len(past)) / half_life)
        return np.average(past[known], weights=weight[known])

    def line(self):
        """Slope and residuals' deviation of the weighted regression on the market."""
        own, market = (values[-252:][::-1] for values in (self.returns, self.market))
        known = ~np.isnan(own)
        if known.sum() < 126:
            return np.nan, np.nan
        weight = 0.5 ** (np.arange(len(own)) / 63)
        fit = sm.WLS(own[known], sm.add_constant(market[known]), weights=weight[known]).fit()
        return fit.params[1], np.sqrt(np.average(fit.resid**2, weights=weight[known]))


def slow(name, p):
    """A style's part, as its docstring says it."""
    logs = np.log(1 + p.returns)
    if name.startswith("turnover_"):
        return np.log(p.mean("turnover", {"month": 21, "quarter": 63, "year": 252}[name.removeprefix("turnover_")]))
    if name.endswith("_growth") and name != "amount_growth":
        field = {"earnings_growth": "earnings_ttm", "book_growth": "book"}[name]
        return (p.now(field) - p.before(field)) / abs(p.before(field))
    return {
        "log_cap": lambda: np.log(p.now("cap")),
        "log_amount": lambda: np.log(p.mean("amount", 250)),
        "beta": lambda: p.line()[0],
        "momentum": lambda: p.weighted(logs, 126, 504, lag=21, least=126),
        "reversal": lambda: p.weighted(logs, 5, 20),
        "month_reversal": lambda: p.weighted(logs, np.inf, 21),
        "deviation": lambda: np.sqrt(p.weighted(p.returns**2, 42, 252)),
        "cumulative_range": lambda: np.ptp(np.log(p.close[-250:])) if len(p.close) >= 125 else np.nan,
        "residual_deviation": lambda: p.line()[1],
        "amount_growth": lambda: np.log(p.mean("amount", 20) / p.mean("amount", 250)),
        "book_to_price": lambda: p.now("book") / p.now("cap") if p.now("book") >= 0 else np.nan,
        "earnings_to_price": lambda: p.now("earnings_ttm") / p.now("cap"),
        "sales_to_price": lambda: p.now("sales_ttm") / p.now("cap"),
        "dividend_to_price": lambda: p.now("dividend_yield"),
        "return_on_equity": lambda: p.now("roe"),
        "return_on_capital": lambda: p.now("roic"),
        "debt": lambda: p.now("debt_to_assets"),
    }[name]()


PARTS = [part for style in STYLES for _, part in style.parts] + [styles.log_amount]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_it_equals_the_reference(part):
    panels = [PANELS[name] for name in styles.fields_of(part)]
    got = part(*panels)
    assert got.shape == RETURNS.shape
    want = [slow(part.__name__, Past(day, stock)) for day, stock in PLACES]
    np.testing.assert_allclose([got[place] for place in PLACES], want, rtol=1e-9)
    assert np.isfinite(want).sum() > 1


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_day_is_the_same_bit_for_bit_however_it_is_computed(part):
    panels = [PANELS[name] for name in styles.fields_of(part)]
    whole = part(*panels)
    np.testing.assert_array_equal(part(*panels, first=618), whole[618:])
    shorter = [panel[-styles.LONGEST_REACH - 1 :].copy() for panel in panels]
    np.testing.assert_array_equal(part(*shorter, first=styles.LONGEST_REACH - 1), whole[-2:])


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_nothing_later_is_read(part):
    panels = [PANELS[name] for name in styles.fields_of(part)]
    noise = [panel.copy() for panel in panels]
    for panel in noise:
        panel[500:] = np.random.default_rng(1).uniform(0.1, 1, panel[500:].shape)
    whole, noisy = part(*panels), part(*noise)
    np.testing.assert_array_equal(noisy[:500], whole[:500])
    assert not np.array_equal(noisy[500:], whole[500:], equal_nan=True)


def test_windows_equal_pandas():
    frame = pd.DataFrame(RETURNS)
    total, count = window_sums(RETURNS, 20)
    np.testing.assert_allclose(count, frame.rolling(20, min_periods=1).count())
    np.testing.assert_allclose(np.where(count, total, np.nan), frame.rolling(20, min_periods=1).sum(), atol=1e-12)
    span, _ = ranges(RETURNS, 20)
    rolling = frame.rolling(20, min_periods=1)
    np.testing.assert_array_equal(span, rolling.max() - rolling.min())
    mean, _ = weighted_means(RETURNS, half_life_weights(5, DAYS))
    np.testing.assert_allclose(mean, frame.ewm(halflife=5, ignore_na=False).mean(), atol=1e-12)
    beta, left, n = market_lines(RETURNS, MARKET, np.ones(30))
    own = frame.rolling(30, min_periods=1)
    common = pd.DataFrame(np.where(np.isnan(RETURNS), np.nan, MARKET[:, None])).rolling(30, min_periods=1)
    enough = n > 5
    slope = (own.cov(pd.DataFrame(np.tile(MARKET[:, None], COUNT)), ddof=0) / common.var(ddof=0)).to_numpy()
    np.testing.assert_allclose(beta[enough], slope[enough], rtol=1e-6)
    explained = slope**2 * common.var(ddof=0).to_numpy()
    np.testing.assert_allclose(left[enough], (own.var(ddof=0) - explained).to_numpy()[enough], atol=1e-10)


def test_a_value_is_carried_for_so_long():
    got = carried(np.array([[1.0], [np.nan], [np.nan], [np.nan], [5.0]]), 2)[:, 0]
    np.testing.assert_array_equal(got, [1, 1, 1, np.nan, 5])
    long = np.full((300, 1), np.nan)
    long[0] = 7
    assert (carried(long)[:, 0] == 7).sum() == 251


def test_exposures_are_clipped_and_standardised():
    values, cap = SIGNED[:40].copy(), POSITIVE[:40].copy()
    cap[np.isnan(cap)] = 1
    values[3, 2], values[5, 1], values[7, 0] = np.nan, 1e6, np.inf
    universe = np.ones(values.shape, dtype=bool)
    universe[:, 8] = False
    got = standardised(values, cap, universe)
    for day in range(40):
        used = universe[day] & np.isfinite(values[day])
        x, w = values[day][used], cap[day][used]
        reach = 3 * 1.4826 * np.median(np.abs(x - np.median(x)))
        clip = np.clip(values[day], np.median(x) - reach, np.median(x) + reach)
        want = (clip - np.average(clip[used], weights=w)) / clip[used].std()
        np.testing.assert_allclose(got[day][used], want[used], atol=1e-12)
        np.testing.assert_allclose(got[day][8], want[8], atol=1e-12)  # outside of the universe, yet transformed
    assert np.isnan(got[3, 2])


def test_alike_values_are_no_exposure():
    values = np.ones((2, 5))
    values[1, 0] = 3  # most are alike, so that there is no MAD, but one differs
    got = standardised(values, np.ones((2, 5)), np.ones((2, 5), dtype=bool))
    assert np.isnan(got[0]).all()
    np.testing.assert_allclose(got[1], [2, -0.5, -0.5, -0.5, -0.5])


def test_orthogonal_equals_statsmodels():
    x, others, cap = SIGNED[:3], [SIGNED[3:6], SIGNED[6:9]], 1e9 * np.exp(SIGNED[9:12])
    universe = np.ones(x.shape, dtype=bool)
    universe[0, 0] = False
    got = orthogonal(x, others, cap, universe)
    for day in range(3):
        used = universe[day]
        design = sm.add_constant(np.column_stack([other[day] for other in others]))
        fit = sm.WLS(x[day][used], design[used], weights=np.sqrt(cap[day][used])).fit()
        np.testing.assert_allclose(got[day], x[day] - design @ fit.params, atol=1e-10)


def test_every_style_says_what_it_reads():
    names = [style.name for style in STYLES]
    assert len({*names}) == len(names) == 15
    for style in STYLES:
        assert all(part.__doc__ for _, part in style.parts)
        assert abs(sum(weight for weight, _ in style.parts) - 1) < 1e-12 or style.name == NON_LINEAR_SIZE
        assert {*style.orthogonal_to} <= {*names[: names.index(style.name)]}

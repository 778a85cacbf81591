from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from qlib_ext.analysis import reading
from qlib_ext.data.shapes.half_hours import half_hours
from qlib_ext.errors import DataError
from qlib_ext.factors import styles
from qlib_ext.factors.intraday_styles import MINUTE_STYLES, complete
from qlib_ext.factors.styles import DAY_STYLES
from qlib_ext.provider.writer import add_frequency, write_provider
from tests.analysis.matrices import random_frame
from tests.factors.test_intraday_styles import random_bars, styles_of

CLOCK = [pd.Timedelta(minutes=minute) for minute in [*range(585, 691, 15), *range(795, 901, 15)]]  # by their ends


@pytest.fixture(scope="module")
def opened(tmp_path_factory, init):
    """A provider of day bars over 70 days and of 15-minute bars over its last 65, read 60 days at a time."""
    folder = tmp_path_factory.mktemp("minutes") / "provider"
    close = random_frame(70, 4, holes=0).abs() + 5
    days, stocks = close.index, list(close.columns)
    spans = [(name, days[0], days[-1]) for name in stocks]
    frames = ((name, pd.DataFrame({"close": close[name], "empty": np.nan})) for name in stocks)
    write_provider(folder, days, frames, {"all": spans, "few": spans[:2]})
    bars = random_bars(days=65, stocks=4)
    times = pd.DatetimeIndex([day + time for day in days[5:] for time in CLOCK])
    by_stock = (
        (name, pd.DataFrame({field: values[:, :, i].ravel() for field, values in bars.items()}, times))
        for i, name in enumerate(stocks)
    )
    add_frequency(folder, times, by_stock, "15min")
    init(folder)
    return days, stocks, bars, close


def test_frames_have_the_days_and_stocks_asked_for(opened):
    days, stocks, _, close = opened
    read = reading.read([*stocks, "SH999999"], ["$close", "Ref($close, -1)", "$empty", "$nothing"], days[3:20])
    assert list(read) == ["$close", "Ref($close, -1)"], "what has no number is left out"
    np.testing.assert_allclose(read["$close"][stocks], close.iloc[3:20], rtol=1e-6)
    np.testing.assert_allclose(read["Ref($close, -1)"][stocks], close.iloc[4:21], rtol=1e-6)
    assert read["$close"]["SH999999"].isna().all()


def test_trading_days_reach_before_and_after_as_far_as_there_are_any(opened):
    days = opened[0]
    assert list(reading.trading_days(days[10], days[20], 3, 2)) == list(days[7:23])
    assert list(reading.trading_days(days[1], days[-1], 9, 9)) == list(days)
    with pytest.raises(DataError, match="no trading day"):
        reading.trading_days(days[0], days[-1] + pd.Timedelta(days=400))


def test_minute_styles_are_those_of_the_bars(opened):
    days, stocks, bars, _ = opened
    found, _ = reading.minute_styles(stocks, days, list(MINUTE_STYLES))
    rounded = {
        name: values.astype(np.float32).astype(float) for name, values in bars.items()
    }  # as providers store them
    for name, expected in styles_of(rounded).items():
        assert list(found[name].index) == list(days)
        assert found[name].iloc[:5].isna().all(axis=None), "days without minute bars"
        np.testing.assert_allclose(found[name].iloc[5:], expected, rtol=1e-9, atol=1e-12)
    assert complete(rounded)["close"].shape == (65, 16, 4)


def test_dwf_ranks_the_whole_market(opened, monkeypatch):
    monkeypatch.setattr(styles, "LISTED", 1)
    stocks, close = opened[1], opened[3].astype(np.float32).astype(float)
    own = {"$close": close[stocks[:2]]}
    for market, ranked in (("all", close), ("few", close[stocks[:2]])):
        found, missing = reading.day_styles(own, market, ["DWF", "VOL20", "CGO60"])
        expected = DAY_STYLES["DWF"](ranked)[stocks[:2]]
        pd.testing.assert_frame_equal(found["DWF"], expected, check_names=False, check_freq=False)
    pd.testing.assert_frame_equal(found["VOL20"], DAY_STYLES["VOL20"](own["$close"]))
    assert missing == {"CGO60": "the provider has no $vwap, $turnover"}
    found, missing = reading.day_styles(own, "nosuch", ["DWF", "VOL20"])
    assert list(found) == ["VOL20"]
    assert missing["DWF"].startswith("The universe 'nosuch' is not in ")


def test_a_provider_of_days_alone_has_no_minutes(small, init):
    init(small[0])
    found, missing = reading.minute_styles(["SH600000"], DAYS, ["rvol", "apb"])
    assert found == {}
    assert missing == dict.fromkeys(["rvol", "apb"], "the provider has no bars of 15, 5 or 1 minutes")


DAYS = pd.bdate_range("2020-01-01", periods=4)
AUCTION = pd.Timedelta(minutes=570)


@pytest.fixture
def provider(tmp_path, init):
    """Opens Qlib on a provider of two stocks whose 15-minute bars have these times, and returns the bars by field."""
    stocks = ["SH600000", "SH600001"]

    def of(times, edit=None):
        rng = np.random.default_rng(0)
        shape = (len(times), len(stocks))
        close = 10 * np.exp(0.01 * rng.standard_normal(shape).cumsum(0))
        bars = {"open": close * 0.999, "high": close * 1.01, "low": close * 0.99, "close": close}
        bars |= {"volume": 1 + rng.random(shape), "amount": 1 + rng.random(shape)}
        bars = {name: values.astype(np.float32).astype(float) for name, values in bars.items()}  # as they are stored
        if edit:
            edit(bars)
        daily = [(name, pd.DataFrame({"close": np.ones(len(DAYS))}, DAYS)) for name in stocks]
        folder = write_provider(tmp_path / "provider", DAYS, daily, {"all": [(s, DAYS[0], DAYS[-1]) for s in stocks]})
        frames = [
            (name, pd.DataFrame({field: values[:, at] for field, values in bars.items()}, times))
            for at, name in enumerate(stocks)
        ]
        add_frequency(folder, times, frames, "15min")
        init(folder)
        return stocks, bars

    return of


def times_of(*clocks):
    return pd.DatetimeIndex([day + clock for day, of_day in zip(DAYS, clocks, strict=True) for clock in of_day])


def expected_styles(bars, days):
    by_day = {name: values.reshape(days, 16, -1) for name, values in bars.items()}
    return styles_of(by_day)


def test_the_bar_of_the_auction_belongs_to_the_first_bar(provider):
    stocks, bars = provider(times_of(*[[AUCTION, *CLOCK]] * 4))
    by_day = {name: values.reshape(4, 17, 2) for name, values in bars.items()}
    joined = {name: values[:, 1:].copy() for name, values in by_day.items()}
    joined["open"][:, 0] = by_day["open"][:, 0]
    joined["high"][:, 0], joined["low"][:, 0] = by_day["high"][:, :2].max(1), by_day["low"][:, :2].min(1)
    for name in ("volume", "amount"):
        joined[name][:, 0] = by_day[name][:, :2].sum(1)
    found, missing = reading.minute_styles(stocks, DAYS, list(MINUTE_STYLES))
    assert missing == {}
    for name, expected in styles_of(joined).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-12)


def test_half_hours_without_bars_have_no_trades(provider):
    stocks, bars = provider(times_of(CLOCK, CLOCK[:2], CLOCK[:8] + CLOCK[10:], CLOCK))
    whole = {name: np.full((4, 16, 2), np.nan) for name in bars}
    for name, values in bars.items():
        whole[name][0], whole[name][3] = values[:16], values[-16:]
        whole[name][1, :2] = values[16:18]
        whole[name][2, [*range(8), *range(10, 16)]] = values[18:32]
    found, missing = reading.minute_styles(stocks, DAYS, list(MINUTE_STYLES))
    assert missing == {}
    for name, expected in styles_of(whole).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("clocks", [[CLOCK, CLOCK[:3], CLOCK, CLOCK], [CLOCK[1:], CLOCK, CLOCK, CLOCK]])
def test_bars_that_do_not_make_up_half_hours_leave_the_styles_out_with_the_reason_of_the_images(provider, clocks):
    stocks, _ = provider(times_of(*clocks))
    found, missing = reading.minute_styles(stocks, DAYS, ["rvol", "apb"])
    assert found == {}
    assert set(missing) == {"rvol", "apb"}
    with pytest.raises(DataError) as images:
        half_hours(times_of(*clocks), 15)
    assert {f"{reason}." for reason in missing.values()} == {str(images.value)}


def test_days_without_any_minute_bars_leave_the_styles_out(provider):
    stocks, _ = provider(times_of(CLOCK, CLOCK, [], []))
    _, missing = reading.minute_styles(stocks, DAYS[2:], ["rvol"])
    assert missing == {"rvol": "the 15min calendar has no bars on the days of the scores"}


def test_a_price_of_zero_is_no_trade(provider, monkeypatch):
    warnings = []
    monkeypatch.setattr(reading, "logger", SimpleNamespace(warning=warnings.append))

    def halt(bars):
        for name in ("open", "high", "low", "close"):
            bars[name][3] = 0
        bars["volume"][3] = bars["amount"][3] = 0

    stocks, bars = provider(times_of(*[CLOCK] * 4), halt)
    found, _ = reading.minute_styles(stocks, DAYS, list(MINUTE_STYLES))
    without = {name: values.copy() for name, values in bars.items()}
    for values in without.values():
        values[3] = np.nan
    for name, expected in expected_styles(without, 4).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-12)
    assert len(warnings) == 4
    assert "$close is not above 0 in 2 of 128 values, first on 2020-01-01 10:30:00 at SH600000" in "".join(warnings)


def test_infinite_values_of_an_expression_count_as_missing(provider):
    provider(times_of(*[CLOCK] * 4))
    read = reading.read(["SH600000"], ["$close / ($close - 1)", "If($close > 0, $close, 1)"], DAYS)
    assert list(read) == ["If($close > 0, $close, 1)"]

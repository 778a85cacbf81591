from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.analysis import reading
from qlib_ext.errors import DataError
from qlib_ext.expressions.reach import horizon_of
from qlib_ext.factors import styles
from qlib_ext.factors.intraday_styles import MINUTE_STYLES, complete
from qlib_ext.factors.styles import DAY_STYLES
from qlib_ext.provider.writer import add_frequency, write_provider
from tests.analysis.matrices import random_frame
from tests.factors.test_intraday_styles import random_bars, styles_of


@pytest.mark.parametrize(
    ("label", "days"),
    [
        ("Ref($vwap, -2)/Ref($vwap, -1) - 1", 1),
        ("Ref($vwap, -11)/Ref($vwap, -1) - 1", 10),
        ("Ref($close, -5)/$close - 1", 5),
        ("Ref(Ref($close, -5)/$close, -1) - 1", 5),
        ("Log(Ref($open, -21)) - Log(Ref($open, -1))", 20),
        ("If(Ref($close, -3) > 0, Ref($close, -3)/Ref($close, -1), 0)", 2),
    ],
)
def test_the_horizon_is_read_from_the_label(qlib_expressions, label, days):
    assert horizon_of(label) == days


@pytest.mark.parametrize(
    ("label", "message"),
    [("$close", "of one day alone"), ("Ref($vwap, -2", "cannot be read"), ("Nope($close)", "read")],
)
def test_a_label_without_a_horizon(qlib_expressions, label, message):
    with pytest.raises(DataError, match=message):
        horizon_of(label)


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
    clock = pd.timedelta_range("09:45:00", periods=16, freq="15min")
    times = pd.DatetimeIndex([day + time for day in days[5:] for time in clock])
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
    assert reading.minute_frequency() == "15min"
    found = reading.minute_styles(stocks, days, "15min", list(MINUTE_STYLES))
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


def test_a_provider_of_days_alone_has_no_minutes(small, init):
    init(small[0])
    assert reading.minute_frequency() is None

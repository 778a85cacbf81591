"""``qlib-ext ticks build``: the right values in the right place, and nothing computed twice or lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import qlib
from filelock import FileLock
from qlib.data import D

from qlib_ext.data.loader import HistoryLoader
from qlib_ext.errors import ConfigError, DataError, OutputError, ProviderError
from qlib_ext.ticks.bars import minute_bars
from qlib_ext.ticks.factors import FAMILIES, day_factors
from tests.ticks.days import (
    CALENDAR,
    DAYS,
    STOCKS,
    bin_of,
    build,
    content,
    orders_of,
    provider_in,
    put,
    results,
    trades_of,
)

NAMES = [name for family in FAMILIES.values() for name in family]
EPSILON = np.finfo(np.float32).eps
FIRST = 2  # the first of DAYS in the calendar


def values(provider: Path, name: str, symbol: str = STOCKS[0]) -> np.ndarray:
    """A field over the whole calendar, float32."""
    content = np.frombuffer(bin_of(provider, name, symbol).read_bytes(), dtype="<f4")
    whole = np.full(len(CALENDAR), np.nan, dtype=np.float32)
    start = int(content[0])
    whole[start : start + len(content) - 1] = content[1:]
    return whole


def test_fields_hold_the_factors_of_their_day(ticks, provider):
    done = build(provider, ticks)
    assert (done.computed, done.kept, done.fields, done.changed) == (3, 0, 27, 27 * len(STOCKS))
    for seed, day in enumerate(DAYS):
        expected = day_factors(trades=trades_of(seed), orders=orders_of(seed))
        place = CALENDAR.get_loc(day)
        for name in NAMES:
            written = [values(provider, name, symbol)[place] for symbol in expected["instrument"]]
            # sums over several threads differ in the last bits of float64, and so by one bit of float32
            np.testing.assert_allclose(written, expected[name].to_numpy().astype(np.float32), rtol=EPSILON)
    some = values(provider, "volume_perc2")
    assert np.isfinite(some).nonzero()[0].tolist() == [CALENDAR.get_loc(day) for day in DAYS]
    assert bin_of(provider, "volume_perc2").stat().st_size == 4 * (1 + 4)  # from the first day to the last


def test_qlib_reads_the_fields(ticks, provider):
    build(provider, ticks)
    qlib.init(provider_uri=str(provider), region="cn", logging_level=40)
    frame = D.features([*STOCKS], ["$hf_volume_perc2", "Mean($hf_volume_perc2, 2)"], DAYS[0], DAYS[1])
    for symbol in STOCKS:
        two = values(provider, "volume_perc2", symbol)[FIRST : FIRST + 2]
        np.testing.assert_array_equal(frame.loc[symbol].to_numpy(), [[two[0]] * 2, [two[1], two.mean()]])


def test_a_day_reads_nothing_of_another_day(ticks, provider, tmp_path):
    build(provider, ticks)
    for source, draw in (("trades", trades_of), ("orders", orders_of)):
        put(ticks[source], DAYS[2], draw(99))
    other = provider_in(tmp_path / "other")
    build(other, ticks)
    until = CALENDAR.get_loc(DAYS[2])
    for name in NAMES:
        np.testing.assert_array_equal(values(other, name)[:until], values(provider, name)[:until])
    assert values(other, "volume_perc2")[until] != values(provider, "volume_perc2")[until]


@pytest.mark.parametrize(
    ("sources", "families", "written"),
    [
        ({"trades"}, None, ["minute", "trades"]),
        ({"trades"}, ["minute"], ["minute"]),
        ({"orders"}, None, ["orders"]),
        ({"minute"}, None, ["minute"]),
        ({"trades", "orders", "minute"}, ["orders", "minute"], ["minute", "orders"]),
    ],
)
def test_any_subset_of_inputs_and_families(ticks, provider, tmp_path, sources, families, written):
    for seed, day in enumerate(DAYS):
        put(tmp_path / "minute", day, minute_bars(trades_of(seed)))
    ticks["minute"] = tmp_path / "minute"
    build(provider, {source: ticks[source] for source in sources}, families)
    kept = pl.read_parquet(results(provider)[0]).columns
    assert kept == ["instrument", *(name for family in written for name in FAMILIES[family])], (
        "nothing else is computed"
    )
    there = {file.name for file in provider.rglob("hf_*")}
    assert there == {f"hf_{name}.day.bin" for family in written for name in FAMILIES[family]}
    whole = provider_in(tmp_path / "whole")
    build(whole, {"trades": ticks["trades"], "orders": ticks["orders"]})
    for file, own in content(provider).items():
        np.testing.assert_allclose(
            np.frombuffer(own, dtype="<f4"), np.frombuffer((whole / file).read_bytes(), dtype="<f4"), rtol=1e-6
        )


def test_how_big_an_order_is_said_to_be(ticks, provider):
    build(provider, ticks, big=2.0, end=DAYS[0])
    for big, same in ((2.0, True), (1.0, False)):
        expected = day_factors(trades=trades_of(0), big=big)["bigorder_amt_perc"]
        written = [values(provider, "bigorder_amt_perc", symbol)[FIRST] for symbol in STOCKS]
        assert np.allclose(written, expected, rtol=2 * EPSILON) is same


def test_further_columns_are_not_looked_at(ticks, provider):
    numbered = pl.concat([trades_of(1), trades_of(1).tail(1)]).with_columns(number=pl.int_range(pl.len()))
    put(ticks["trades"], DAYS[1], numbered)
    with pytest.raises(DataError, match="a row is there more than once in 2 rows"):
        build(provider, ticks)


def test_families_that_the_inputs_do_not_give(ticks, provider):
    with pytest.raises(ConfigError, match="nothing to build from"):
        build(provider, {})
    with pytest.raises(ConfigError, match=r"family minute needs --minute or --trades"):
        build(provider, {"orders": ticks["orders"]}, ["minute"])
    with pytest.raises(ConfigError, match=r"'ticks' is no family of factors; there are minute, trades, orders"):
        build(provider, ticks, ["ticks"])


def test_a_finished_day_is_not_computed_again(ticks, provider, monkeypatch):
    first = build(provider, ticks, end=DAYS[1])
    assert (first.computed, first.kept) == (2, 0)
    before = {file: file.stat().st_mtime_ns for file in provider.rglob("hf_*")}
    again = build(provider, ticks, end=DAYS[1])
    assert (again.computed, again.kept, again.changed) == (0, 2, 0)
    assert before == {file: file.stat().st_mtime_ns for file in provider.rglob("hf_*")}
    assert build(provider, ticks).computed == 1  # the new day
    put(ticks["orders"], DAYS[0], orders_of(50))
    assert build(provider, ticks).computed == 1  # the day whose file has changed
    assert build(provider, ticks, big=2.0).computed == 3
    monkeypatch.setattr("qlib_ext.ticks.results.versions", lambda: ["another version"])
    assert build(provider, ticks, big=2.0).computed == 3


@pytest.mark.parametrize("byte", [100, -100, -5])
def test_a_finished_day_with_a_damaged_byte_is_computed_again(ticks, provider, byte):
    build(provider, ticks)
    whole = content(provider)
    damaged = bytearray(results(provider)[0].read_bytes())
    damaged[byte] ^= 1
    results(provider)[0].write_bytes(bytes(damaged))
    again = build(provider, ticks)
    assert (again.computed, again.kept, again.changed) == (1, 2, 0)
    assert content(provider) == whole


def test_a_calendar_with_times_has_the_same_days(ticks, provider, tmp_path):
    build(provider, ticks)
    other = provider_in(tmp_path / "other")
    for file in (other / "calendars").glob("*.txt"):
        file.write_text("".join(f"{day} 00:00:00\n" for day in file.read_text().split()))
    build(other, ticks)
    assert content(other) == content(provider)


def test_new_days_leave_the_others_as_they_are(ticks, provider):
    build(provider, ticks, start=DAYS[1])
    later = content(provider)
    build(provider, ticks, end=DAYS[0])  # an earlier day: the files grow to the front
    whole = content(provider)
    for file, own in later.items():
        assert whole[file].endswith(own[4:])
    assert np.frombuffer(bin_of(provider, "volume_perc2").read_bytes(), dtype="<f4")[0] == FIRST
    put(ticks["trades"], DAYS[1], trades_of(1).filter(pl.col("instrument") != STOCKS[0]))
    put(ticks["orders"], DAYS[1], orders_of(1).filter(pl.col("instrument") != STOCKS[0]))
    build(provider, ticks, start=DAYS[1], end=DAYS[1])
    was = np.frombuffer(whole[str(bin_of(provider, "volume_perc2").relative_to(provider))], dtype="<f4")[1:]
    now = values(provider, "volume_perc2")
    np.testing.assert_array_equal(now[FIRST : FIRST + 4], [was[0], np.nan, np.nan, was[3]])


def test_a_mean_over_days_is_today_what_it_is_tomorrow(ticks, provider, init):
    """Of a stock without a trade on the newest day, by both engines: nobody computes what a model never saw."""
    config = {"feature": (["Mean($hf_volume_perc2, 2)", "$close"], ["MEAN", "CLOSE"])}
    for source, draw in (("trades", trades_of), ("orders", orders_of)):
        put(ticks[source], DAYS[1], draw(1).filter(pl.col("instrument") != STOCKS[0]))
    means = []
    for end in DAYS[1:]:
        build(provider, ticks, end=end)
        init(provider)
        both = [HistoryLoader(config, engine=name).load("all", *DAYS[:2]) for name in ("fast", "qlib")]
        pd.testing.assert_frame_equal(*both, check_dtype=False)
        means.append(both[0]["feature"].xs(STOCKS[0], level="instrument")["MEAN"])
    assert means[0].notna().all()
    pd.testing.assert_series_equal(*means)
    assert means[0].iloc[1] == values(provider, "volume_perc2")[FIRST]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda trades: trades.reverse(), "time goes back"),
        (lambda trades: pl.concat([trades, trades.tail(1)]), "a row is there more than once"),
    ],
)
def test_rows_that_do_not_go_together_name_the_day(ticks, provider, change, said):
    put(ticks["trades"], DAYS[1], change(trades_of(1)))
    with pytest.raises(DataError, match=rf"trades/date={DAYS[1]}.*{said}.*Finished days are kept"):
        build(provider, ticks)


def test_trades_and_minute_bars_must_agree(ticks, provider, tmp_path):
    ticks["minute"] = tmp_path / "minute"
    for seed, day in enumerate(DAYS):
        put(ticks["minute"], day, minute_bars(trades_of(seed + (day == DAYS[1]))))
    with pytest.raises(DataError, match=rf"minute/date={DAYS[1]}.*volume of trades and minute bars differ"):
        build(provider, ticks)


def test_an_error_in_a_day_loses_no_other_day(ticks, provider):
    put(ticks["trades"], DAYS[1], trades_of(1).with_columns(price=pl.lit(0.0)))
    with pytest.raises(DataError, match=r"price is not above 0.*finished days are kept"):
        build(provider, ticks)
    assert not content(provider)
    put(ticks["trades"], DAYS[1], trades_of(1))
    done = build(provider, ticks)
    assert (done.computed, done.kept) == (2, 1)


def test_loky_gives_the_same_bytes(ticks, provider, tmp_path):
    build(provider, ticks, n_jobs=2, backend="loky")
    other = provider_in(tmp_path / "other")
    build(other, ticks)
    assert content(provider) == content(other)


@pytest.mark.slow
def test_ray_gives_the_same_bytes(ticks, provider, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed (pip install qlib_ext[ray])")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", object_store_memory=10**8)
    try:
        build(provider, ticks, n_jobs=2, backend="ray")
    finally:
        ray.shutdown()
    other = provider_in(tmp_path / "other")
    build(other, ticks)
    assert content(provider) == content(other)


def test_an_unknown_instrument_is_an_error_unless_it_may_be_skipped(ticks, provider):
    fund = trades_of(7).filter(pl.col("instrument") == STOCKS[0]).with_columns(instrument=pl.lit("SH510300"))
    put(ticks["trades"], DAYS[1], trades_of(1), fund)
    with pytest.raises(ProviderError, match=rf"1 of 4 instruments of {DAYS[1]} .*first SH510300.*--skip-unknown"):
        build(provider, ticks)
    with pytest.raises(ProviderError, match="SH510300"):  # told at once, by the result that was kept
        build(provider, ticks)
    done = build(provider, ticks, skip_unknown=True)
    assert (done.computed, done.kept, done.left_out) == (1, 2, ["SH510300"])
    assert not (provider / "features" / "sh510300").exists()


def test_a_damaged_field_is_not_written_over(ticks, provider):
    build(provider, ticks, end=DAYS[0])
    file = bin_of(provider, "volume_perc2")
    file.write_bytes(b"damaged")
    with pytest.raises(ProviderError, match=rf"{file} is damaged"):
        build(provider, ticks)
    assert file.read_bytes() == b"damaged"


def test_days_that_the_calendar_lacks(ticks, provider):
    put(ticks["trades"], "2023-03-01", trades_of(5))
    put(ticks["orders"], "2023-03-01", orders_of(5))
    with pytest.raises(ProviderError, match=r"1 of 4 days are not in the calendar .*first 2023-03-01.*--end"):
        build(provider, ticks)


def test_a_provider_that_is_none(ticks, tmp_path):
    with pytest.raises(ProviderError, match="does not exist"):
        build(tmp_path / "nowhere", ticks)


def test_two_runs_do_not_share_a_provider(ticks, provider, tmp_path):
    (tmp_path / "provider.ticks").mkdir()
    with (
        FileLock(tmp_path / "provider.ticks" / "lock"),
        pytest.raises(OutputError, match=r"Another run is building into this provider .*lock"),
    ):
        build(provider, ticks)

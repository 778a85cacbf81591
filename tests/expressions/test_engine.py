"""The fast engine gives what Qlib's gives, and leaves to it, in one line of the log, what it does not know."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from qlib.config import C
from qlib.contrib.data.loader import Alpha158DL
from qlib.data import ops
from qlib.data.dataset.loader import QlibDataLoader
from qlib.data.inst_processor import InstProcessor

from handlers.alpha158vwap import FEATURES, LABEL, Alpha158vwap
from qlib_ext.data import loader
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.expressions import engine
from qlib_ext.provider.writer import write_provider

ALPHA158 = {"feature": Alpha158DL.get_feature_config(FEATURES), "label": LABEL}
CALENDAR = pd.bdate_range("2020-01-01", periods=90)


@pytest.fixture
def log(monkeypatch):
    """What the engine and the loader say."""
    lines: list[str] = []
    for module in (engine, loader):
        monkeypatch.setattr(module, "logger", SimpleNamespace(warning=lines.append))
    return lines


@pytest.fixture
def alone(monkeypatch, log):
    """A call under which Qlib's engine must not be asked."""

    def load(own, *where):
        with monkeypatch.context() as patch:
            patch.setattr(QlibDataLoader, "load_group_df", None)
            return own.load(*where), own.history_

    return load


def bars(random, days):
    """The newest of random bars, with suspended days, days at the price limit, and days without trade."""
    close = np.round(10 + random.standard_normal(90).cumsum().clip(-8, 40) * 0.3, 2)
    close[20:40] = close[20]
    close[71:82] = close[71] + 1e-5 * (np.arange(11) % 2)  # less than what Qlib's Corr and Rsquare call constant
    frame = pd.DataFrame({"close": close, "open": np.roll(close, 1)}, index=CALENDAR)
    frame["high"] = frame.max(axis=1) + random.choice([0.0, 0.1], 90)
    frame["low"] = frame[["close", "open"]].min(axis=1)
    frame["vwap"] = (frame["high"] + frame["low"]) / 2
    frame["volume"] = np.where(random.random(90) < 0.05, 0, np.round(random.random(90) * 1e6))
    frame.iloc[random.random(90) < 0.1] = np.nan
    frame.iloc[50:70] = np.nan
    return frame.iloc[-days:]


@pytest.fixture(scope="module")
def stocks():
    random = np.random.default_rng(5)
    return {f"SH60000{i}": bars(random, days) for i, days in enumerate([90, 90, 61, 7, 1, 90, 90], start=1)}


@pytest.fixture
def provider(stocks, tmp_path, init):
    """A provider of the stocks, as they are or changed; csi300 has some of them for some of the time."""

    def write(**changed):
        own = stocks | changed
        spans = {name: (frame.index[0], frame.index[-1]) for name, frame in own.items()}
        member = [
            ("SH600001", *CALENDAR[[0, 30]]),
            ("SH600001", *CALENDAR[[45, 89]]),
            ("SH600003", *CALENDAR[[40, 89]]),
        ]
        member += [(name, *CALENDAR[[70, 89]]) for name in ("SH600002", "SH600004", "SH600006", "SH600007")]
        instruments = {"all": [(name, *span) for name, span in spans.items()], "csi300": member}
        init(write_provider(tmp_path / "provider", CALENDAR, own.items(), instruments))

    return write


def assert_same(ours, theirs):
    pd.testing.assert_index_equal(ours.index, theirs.index, exact=False)  # an empty index has no type to agree on
    pd.testing.assert_index_equal(ours.columns, theirs.columns)
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=1e-4, atol=1e-5)  # and the same NaN


def assert_engines_agree(config, universe, start=None, end=None, history=19, **kwargs):
    both = [HistoryLoader(config, history=history, engine=name, **kwargs) for name in ("fast", "qlib")]
    ours, theirs = (own.load(universe, start, end) for own in both)
    assert len(theirs)
    assert_same(ours, theirs)
    assert_same(both[0].history_, both[1].history_)


@pytest.mark.parametrize("universe", ["csi300", "all"])
@pytest.mark.parametrize("days", [(None, None), ("2015-03-10", "2015-09-30"), ("2015-10-08", "2015-10-08")])
def test_alpha158_of_the_simulated_market(small, init, alone, log, universe, days):
    init(small[0])
    fast, slow = (HistoryLoader(ALPHA158, history=19, engine=name) for name in ("fast", "qlib"))
    ours, history = alone(fast, universe, *days)
    assert not log
    assert_same(ours, slow.load(universe, *days))
    assert_same(history, slow.history_)


@pytest.mark.parametrize("universe", ["csi300", "all", ["SH600005", "SH600001"], ["SH600004", "SH600003"]])
def test_alpha158_with_suspensions_limits_and_new_listings(provider, log, universe):
    provider()
    assert_engines_agree(ALPHA158, universe)
    assert not log


KNOWN = [
    "$close",
    "Ref($close, 3)/$close - 1",
    "Ref($close, -4)/Ref($vwap, -1) - 1",
    "2 - Abs($open - $close)*3.5/(1 + $high)",
    "Greater($open, Less($close, 10))",
    "Log($volume/Ref($volume, 1)+1)",
    "$close >= $open",
    "Sum($close <= Ref($close, 1), 4)",
    "Mean($close - $open, 7)",
    "Std(Mean($close, 3), 8)",
    "Sum($volume, 1)",
    "Ref(Std($volume, 12), -2)",
    "Slope($high, 6)",
    "Slope($close > $open, 9)",
    "Rsquare($vwap, 15)",
    "Resi(Log($close), 6)",
    "Max($close - $open, 100)",
    "Min($volume, 3) + Min($volume, 30)",
    "IdxMax($low, 9) - IdxMin($low, 4)",
    "Rank($volume, 11)",
    "Quantile($volume, 13, 0.33) - Quantile($volume, 13, 0.5) + Quantile($volume, 4, 0.5)",
    "Corr($open, $volume, 9)",
    "Corr($close, $close, 3)",
    "CutHigh($close / Ref($close, 1), $volume, 9) - CutLow($close, $volume / Ref($volume, 2), 4)",
    "CutSpread($open, $close - $open, 20)",
]


def test_operators_that_the_engine_knows(provider, alone, log):
    provider()
    label = (["Ref($close, 200)", "Ref($close, -200)"], ["BEFORE", "AFTER"])  # of which there is nothing
    config = {"feature": (KNOWN, [f"F{i}" for i in range(len(KNOWN))]), "label": label}
    fast = HistoryLoader(config, history=5)
    ours, history = alone(fast, "csi300", CALENDAR[31], CALENDAR[85])
    slow = HistoryLoader(config, history=5, engine="qlib")
    assert_same(ours, slow.load("csi300", CALENDAR[31], CALENDAR[85]))
    assert_same(history, slow.history_)
    assert not log


UNKNOWN = [
    "EMA($close, 5)",
    "If($close > $open, $high, $low)",
    "Mean($close, 0.5)",
    "Mean($close, 0)",
    "Quantile($close, 5, 1.0)",
    "Count($close, 3)/3",
    "Skew($close, 6)",
    "WMA(Mean($close, 3), 5)",
    "($close > $open) & ($open > 0)",
]


@pytest.mark.parametrize("expression", UNKNOWN)
def test_a_column_of_another_operator_is_left_to_qlib(provider, log, expression):
    provider()
    label = (["Ref($close, -1)", expression], ["LABEL0", "LABEL1"])
    assert_engines_agree({"feature": (["$close", expression, "$open"], ["A", "B", "C"]), "label": label}, "csi300")
    assert len(log) == 1
    assert log[0].startswith("Qlib's engine computes 2 of 5 columns")


def test_fields_of_any_name_that_qlib_reads(provider, stocks, alone, log):
    named = {
        name: frame.assign(**{"换手率": frame["volume"] / 1e6, "5d": frame["close"]}) for name, frame in stocks.items()
    }
    provider(**named)
    config = {"feature": (["$换手率", "Mean($5d, 3)/$close", "Ref($5d, -1)"], ["A", "B", "C"])}
    alone(HistoryLoader(config, history=3), "all")
    assert_engines_agree(config, "all")
    assert log == []


def test_a_quarterly_field_is_no_daily_one_and_left_to_qlib(provider, log):
    """``$$roe_q``: the provider has no quarterly data, which Qlib answers with NaN."""
    provider()
    assert_engines_agree({"feature": (["$close", "$open"], ["A", "B"]), "label": (["P($$roe_q)"], ["L"])}, "csi300")
    assert log[0].startswith("Qlib's engine computes 1 of 3 columns: P($$roe_q)")


def test_where_no_column_is_known_all_are_left_to_qlib(provider, log):
    provider()
    assert_engines_agree({"feature": (["EMA($close, 5)"], ["A"])}, "all")
    assert len(log) == 1
    assert log[0].startswith("Qlib's engine computes all columns: EMA($close,5)")


def test_where_a_column_has_rows_of_its_own_all_are_left_to_qlib(provider, log):
    provider()
    config = {"feature": (["$close", "ChangeInstrument('SH600001', $close)"], ["A", "B"])}
    assert_engines_agree(config, ["SH600001", "SH600003"])
    assert log[-1].startswith("Qlib's engine computes all columns: 1 columns of 2 stocks have rows where")


def test_stocks_whose_fields_have_other_days_are_left_to_qlib(provider, stocks, log):
    ragged = stocks["SH600002"].copy()
    ragged.loc[ragged.index[:30], "vwap"] = np.nan
    provider(SH600006=stocks["SH600006"].drop(columns="open"))
    folder = C.dpm.get_data_uri("day") / "features" / "sh600002"
    np.hstack([30, ragged["vwap"].to_numpy()[30:]]).astype("<f4").tofile(folder / "vwap.day.bin")
    assert_engines_agree(ALPHA158, "csi300")
    assert len(log) == 1
    assert log[0].startswith("Qlib's engine computes 2 of 6 stocks, the first SH600002")


def test_columns_of_fields_with_other_days_are_computed_apart(provider, stocks, alone, log):
    provider()
    place = C.dpm.get_data_uri("day") / "features"
    volume = stocks["SH600002"]["volume"].to_numpy()
    first = CALENDAR.get_loc(stocks["SH600002"].index[0])
    assert np.isfinite(volume[[15, -10]]).all(), "the first and the last day are known"
    np.hstack([first + 15, volume[15:-9]]).astype("<f4").tofile(place / "sh600002" / "volume.day.bin")
    (place / "sh600006" / "vwap.day.bin").unlink()
    columns = [
        "Mean($volume, 5)",
        "Ref($volume, 3)",
        "Ref($vwap, -11)/Ref($vwap, -1) - 1",
        "$close/$open",
        "Std($volume, 9)",
    ]
    config = {"feature": (columns, [f"F{number}" for number in range(len(columns))])}
    for universe in ("csi300", "all"):
        alone(HistoryLoader(config, history=3), universe, CALENDAR[2], CALENDAR[-3])
        assert_engines_agree(config, universe)
    assert not log


def test_an_infinite_bar_is_left_to_qlib(provider, stocks, log):
    infinite = stocks["SH600002"].copy()
    infinite.iloc[75, infinite.columns.get_loc("close")] = np.inf
    provider(SH600002=infinite)
    assert_engines_agree(ALPHA158, "csi300")
    assert len(log) == 1
    assert "1 of 6 stocks, the first SH600002: Slope, Rsquare or Resi of an infinity" in log[0]


class Halved:
    """Every second row of an instrument."""

    def __call__(self, df, instrument, *args, **kwargs):
        return df.iloc[::2]


@pytest.mark.parametrize(
    "kwargs",
    [
        {"inst_processors": [{"class": "Halved", "module_path": "tests.expressions.test_engine"}]},
        {"freq": {"feature": "day", "label": "day"}, "inst_processors": {"feature": []}},
    ],
)
def test_other_options_are_left_to_qlib(provider, log, monkeypatch, kwargs):
    monkeypatch.setattr(InstProcessor, "__subclasshook__", classmethod(lambda _, other: other is Halved), raising=False)
    provider()
    assert_engines_agree({"feature": (["$close"], ["A"]), "label": (["$open"], ["B"])}, "csi300", **kwargs)
    assert len(log) == 1
    assert "inst_processors" in log[0]


def test_another_kind_of_provider_is_left_to_qlib(provider, log, monkeypatch):
    provider()
    monkeypatch.setitem(C, "feature_provider", {"class": "LocalFeatureProvider", "kwargs": {"backend": {}}})
    assert_engines_agree({"feature": (["$close"], ["A"])}, "csi300")
    assert log == ["Qlib's engine computes all columns: the provider is not Qlib's local one."]


def test_an_operator_of_the_users_own_is_left_to_qlib(provider, log, monkeypatch):
    class Mean(ops.Mean):
        """A mean that is another."""

        def _load_internal(self, *args):
            return super()._load_internal(*args) + 1

    provider()
    monkeypatch.setitem(ops.Operators._ops, "Mean", Mean)
    config = {"feature": (["$close", "Mean($close, 17)"], ["A", "B"])}
    fast, slow = (HistoryLoader(config, engine=name).load("csi300") for name in ("fast", "qlib"))
    assert_same(fast, slow)
    assert log[0].startswith("Qlib's engine computes 1 of 2 columns")


@pytest.mark.parametrize("name", ["fast", "qlib"])
def test_both_engines_refuse_an_empty_feature_and_absent_bars(provider, stocks, name):
    provider(**{stock: frame.assign(vwap=np.nan) for stock, frame in stocks.items()})
    with pytest.raises(DataError, match=r"1 columns are NaN in all \d+ rows, the first 'VWAP0'.*\$vwap"):
        Alpha158vwap(instruments="csi300", engine=name)
    with pytest.raises(DataError, match="No rows for '1 instruments'"):
        HistoryLoader(ALPHA158, engine=name).load({"SH600004": [tuple(CALENDAR[[0, 20]])]})


def test_an_unknown_engine_is_answered_with_the_choices(provider):
    provider()
    with pytest.raises(ConfigError, match=r"no engine 'numba'; choose one of 'fast', 'qlib'"):
        Alpha158vwap(instruments="csi300", engine="numba")


def test_an_overflow_of_float32_is_infinite_as_qlibs(provider, alone):
    provider()
    config = {"feature": (["Sum($volume, 3)*1e20*1e20", "Mean($volume, 3)*1e300"], ["A", "B"])}
    ours, _ = alone(HistoryLoader(config), "csi300")
    theirs = HistoryLoader(config, engine="qlib").load("csi300")
    assert np.isinf(theirs.to_numpy()).any()
    assert_same(ours, theirs)

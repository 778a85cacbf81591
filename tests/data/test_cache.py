"""What a handler computed is read again: the same numbers in an instant, never those of other data, options or code."""

from __future__ import annotations

import os
import threading
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset.processor import Processor

from handlers.bars import MultiFrequencyBars
from handlers.recorded import RecordedLoader
from qlib_ext.data import cache
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.data.views import put_raw_rows, raw_rows
from qlib_ext.rolling.rows import RawData
from qlib_ext.rolling.windows import plan
from qlib_ext.system import imports
from tests.data.cached import ACROSS, FIT, ON_TIME, RANK, TIMES, Returns, assert_same, entries, everything


class Apart(Processor):
    """Writes the rows of members into another block, and those of a few stocks in place."""

    def __call__(self, df):
        df = df.copy() if len(df) > MANY else df
        df.iloc[:, 0] += np.float32(1.0)
        return df


MANY = 800  # rows, more than are read for the history of one joining day
OPTIONS = {
    "as a workflow": {},
    "raw dropped": {"drop_raw": True},
    "across stocks": {"infer_processors": ACROSS},
    "members in another block": {"infer_processors": [Apart()]},
    "no processor": {"infer_processors": [], "learn_processors": []},
    "a learning view of its own": {"learn_processors": [{"class": "Fillna", "kwargs": {"fill_value": 1.0}}]},
    "whole market": {"instruments": "all", "start_time": None, "drop_raw": True},
    "named stocks": {"instruments": ["SH600003", "SH600004", "SH600005"]},
    "a group": {"group": "$industry"},
    "Qlib's engine": {"engine": "qlib", "infer_processors": []},
    "traded only": {"instruments": "all", "seasoned_days": 20, "traded_only": True, "infer_processors": []},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_what_is_read_is_what_was_computed(provider, cache_folder, monkeypatch, computed, options):
    monkeypatch.setenv(cache.VARIABLE, "off")
    expected = everything(Returns(**OPTIONS[options]))
    assert not cache_folder.exists()
    monkeypatch.setenv(cache.VARIABLE, str(cache_folder))
    assert_same(everything(Returns(**OPTIONS[options])), expected)
    before = dict(computed)
    again = Returns(**OPTIONS[options])
    assert_same(everything(again), expected)
    assert computed["rows"] == before["rows"]
    if options in ("as a workflow", "raw dropped", "across stocks", "whole market", "a group"):
        assert computed == before, "views and panel are read as well"
    again.fetch(col_set="feature")  # what a reader writes into its memory is not written into the file
    values = again.fetch(col_set="feature").to_numpy()
    values.flags.writeable = True
    values[:] = 7.0
    assert_same(everything(Returns(**OPTIONS[options])), expected)


@pytest.mark.parametrize(
    "what", ["one value", "one value and the old time", "a bar less", "a universe", "a calendar", "a quarterly value"]
)
def test_another_provider_gives_other_numbers(provider, cache_folder, init, computed, monkeypatch, what):
    before = Returns()
    assert_same(everything(Returns()), everything(before))
    assert computed == {"rows": 1, "views": 1, "panels": 1}
    close = provider / "features/sh600002/close.day.bin"
    if what.startswith("one value"):
        bars = np.fromfile(close, dtype="<f4")
        about = close.stat()
        bars[120] *= 1.5
        bars.tofile(close)
        if what != "one value":
            os.utime(close, ns=(about.st_atime_ns, about.st_mtime_ns))
    elif what == "a bar less":
        for each in provider.glob("features/*/close.day.bin"):
            each.write_bytes(each.read_bytes()[: -4 * 60])  # some bars lie after the handler's end_time
    elif what == "a universe":
        members = provider / "instruments/csi300.txt"
        lines = members.read_text().splitlines(keepends=True)
        members.write_text("".join(lines[1:]))
    elif what == "a quarterly value":
        (provider / "financial/sh600002").mkdir(parents=True)
        (provider / "financial/sh600002/roe_q.data").write_bytes(b"1")
    else:
        (provider / "calendars/day.txt").write_text((provider / "calendars/day.txt").read_text() + "2030-01-01\n")
    init(provider)  # Qlib itself remembers universes and calendars
    after = Returns()
    assert computed == {"rows": 2, "views": 2, "panels": 1}
    assert before.fetch(data_key="raw").equals(after.fetch(data_key="raw")) == (
        what in ("a calendar", "a quarterly value")
    )
    monkeypatch.setenv(cache.VARIABLE, "off")
    assert_same(everything(after), everything(Returns()))


class Scaled(Processor):
    """A processor with an option of every kind, one of them in a private attribute, that is fitted to one as well."""

    def __init__(self, by=1.0, private=1.0, array=(1.0,), file=None, function=None):
        self.by, self._private, self.array, self.file = by, private, np.asarray(array), file
        self.function = function

    def fit(self, df):
        self._mean = df["feature"].mean()

    def __call__(self, df):
        factor = self.by * self._private * float(self.array.sum())
        if self.function is not None:
            factor = self.function(factor)
        df["feature"] = df["feature"] * np.float32(factor if self.file is None else float(Path(self.file).read_text()))
        return df


class Times:
    def __init__(self, by):
        self.by = by

    def times(self, x):
        return self.by * x


def test_other_options_of_a_processor_give_other_numbers(provider, cache_folder, tmp_path, computed):
    def mean(**options):
        return Returns(infer_processors=[Scaled(**options)]).fetch(col_set="feature")["TURNOVER"].mean()

    five = tmp_path / "five"
    five.write_text("5.0")
    options = [{}, {"by": 2.0}, {"private": 3.0}, {"array": (4.0,)}, {"file": str(five)}]
    options += [
        {"function": lambda x: 6 * x},
        {"function": lambda x: 7 * x},
        *({"function": Times(by).times} for by in (8, 9)),
    ]
    means = [mean(**each) for each in options]
    five.write_text("10.0")
    means.append(mean(**options[4]))
    np.testing.assert_allclose(np.array(means) / means[0], range(1, 11), rtol=1e-5)
    assert computed["views"] == 10
    assert mean(**options[3]) == means[3]
    assert computed["views"] == 10


def test_processors_of_a_cached_start_are_fitted_like_those_of_the_first(provider, cache_folder, computed):
    first, again = Scaled(), Scaled()
    for processor in (first, again):
        Returns(infer_processors=[processor])
    assert computed["views"] == 1
    pd.testing.assert_series_equal(first._mean, again._mean, check_exact=True)


def test_a_processor_that_cannot_be_told_from_others_is_not_kept(provider, cache_folder, computed):
    class Local(Scaled):
        """Another class of this name may stand in the same file."""

    locked = Scaled()
    locked.lock = threading.Lock()
    for number, processor in enumerate([Local(), Local(), locked, locked], start=1):
        assert len(Returns(infer_processors=[processor]).fetch()) > 500
        assert computed == {"rows": 1, "views": number, "panels": 0}


MODULE = """
from tests.data.test_cache import Scaled

class TheScaled(Scaled):
    def __call__(self, df):
        df["feature"] = df["feature"] * 2
        return df
"""


@pytest.mark.parametrize("running", [False, True])
def test_other_code_of_a_processor_gives_other_numbers(
    provider, cache_folder, tmp_path, monkeypatch, computed, users_module, running
):
    """Where the code was changed under a running process, this still computes as before, and keeps nothing."""
    config = {"class": "TheScaled", "module_path": users_module.stem}
    means = []
    for factor in ("2", "2", "3"):
        if factor == "3":
            users_module.write_text(MODULE.replace("* 2", "* 3"))
            del imports.sys.modules[users_module.stem]
        monkeypatch.setattr(imports, "STARTED", time.time() + (-1 if running and factor == "3" else 60))
        means.append(Returns(infer_processors=[config]).fetch(col_set="feature")["TURNOVER"].mean())
    assert means[1] == means[0]
    assert means[2] == pytest.approx(1.5 * means[0])
    assert computed["views"] == 2
    assert len(entries(cache_folder)) == (2 if running else 3)


@pytest.fixture
def users_module(tmp_path, monkeypatch):
    """A module of the user's."""
    file = tmp_path / "the_processors.py"
    file.write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports.sys, "dont_write_bytecode", True)
    yield file
    imports.sys.modules.pop(file.stem, None)
    imports.is_own.cache_clear()
    imports.spec_of.cache_clear()


@pytest.mark.parametrize(
    "options",
    [
        {"fit_end_time": "2015-04-30"},
        {"end_time": "2015-09-30"},
        {"start_time": "2015-01-05"},
        {"instruments": "all"},
        {"label": (["Ref($vwap, -6)/Ref($vwap, -1) - 1"], ["LABEL0"])},
        {"step_len": 9},
        {"learn_processors": RANK[:1]},
        {"infer_processors": ACROSS},
        {"drop_raw": True},
        {"process_type": "independent"},
        {"traded_only": True},
        {"seasoned_days": 30},
        {"group": "$industry"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_other_options_of_the_handler_are_computed(provider, cache_folder, monkeypatch, options):
    class Other(Returns):
        def __init__(self, label=(["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"]), **kwargs):
            features = (["$close/Ref($close, 1) - 1", "$turnover"], ["RETURN", "TURNOVER"])
            defaults = {"instruments": "csi300", "infer_processors": ON_TIME, "learn_processors": RANK}
            WindowHandler.__init__(self, features, label, **defaults | TIMES | FIT | kwargs)

    Other()
    found = everything(Other(**options))
    monkeypatch.setenv(cache.VARIABLE, "off")
    assert_same(found, everything(Other(**options)))


def test_rows_of_more_than_the_provider_are_not_kept(provider, cache_folder):
    class Own(HistoryLoader):
        """May read whatever it likes."""

    for kind in (Own, RecordedLoader):
        assert HistoryLoader._key(object.__new__(kind), "csi300", None, None) is None


def test_weeks_and_months_of_the_calendar_are_kept(provider, cache_folder, computed):
    options = {"instruments": "csi300", "lengths": {"day": 5, "week": 2, "month": 2}, "calendar": True}
    first, again = (MultiFrequencyBars(**options, start_time=date(2015, 6, 1)) for _ in range(2))
    pd.testing.assert_frame_equal(first.fetch(), again.fetch(), check_exact=True)
    assert computed["rows"] == 1


def test_rows_that_are_put_in_later_are_processed_anew(provider, cache_folder, computed):
    first = everything(Returns())
    handler = Returns()
    assert computed == {"rows": 1, "views": 1, "panels": 1}
    put_raw_rows(handler, raw_rows(handler) * np.float32(2.0))
    handler.process_data(with_fit=True)
    assert computed == {"rows": 1, "views": 2, "panels": 1}
    assert not handler.fetch(col_set="label").equals(first[0])
    everything(handler)
    assert computed["panels"] == 2, "that of the other rows is not read"
    assert_same(everything(Returns()), first)


def test_the_windows_of_a_rolling_model_are_those_of_an_uncached_one(provider, cache_folder, computed, monkeypatch):
    def windows():
        data = CrossSectionDataset(
            Returns(**FIT | {"fit_end_time": "2015-06-30"}), {"test": ("2015-07-01", "2015-09-30")}
        )
        days = data.handler.fetch(col_set="label").index.unique("datetime")
        raw = RawData.of(data)
        return [
            everything(raw.dataset_of(each).handler, data.segments)
            for each in plan(days, data.segments["test"], "60D", "20D", "30D", reach=2)
        ]

    monkeypatch.setenv(cache.VARIABLE, "off")
    uncached = windows()
    monkeypatch.setenv(cache.VARIABLE, str(cache_folder))
    for _ in range(2):
        for mine, theirs in zip(windows(), uncached, strict=True):
            assert_same(mine, theirs)
    assert computed["rows"] == 2
    assert len(entries(cache_folder)) == 2, "rows and views of the handler, and no windows"

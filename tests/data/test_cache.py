"""What a handler computed is read again: the same numbers in an instant, never those of other data, options or code."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
import traceback
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.processor import Processor

from handlers.bars import MultiFrequencyBars
from handlers.recorded import RecordedLoader
from qlib_ext.data import cache
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.data.views import put_raw_rows, raw_rows
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError
from qlib_ext.rolling.rows import RawData
from qlib_ext.rolling.windows import plan
from qlib_ext.simulator.simulate import write_market
from qlib_ext.system import imports

OURS = "qlib_ext.processors.normalise"
TIMES = {"start_time": "2014-12-15", "end_time": "2015-10-30"}
FIT = {"fit_start_time": "2014-12-15", "fit_end_time": "2015-03-31"}
ON_TIME = [
    {"class": "RobustZScoreNorm", "module_path": OURS, "kwargs": {"fields_group": "feature"}},
    {"class": "Fillna", "module_path": OURS, "kwargs": {"fields_group": "feature"}},
]
ACROSS = [{"class": "CSZScoreNorm", "module_path": OURS, "kwargs": {"fields_group": "feature"}}, ON_TIME[1]]
RANK = [{"class": "DropnaLabel"}, {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}}]
KEYS = (DataHandlerLP.DK_R, DataHandlerLP.DK_I, DataHandlerLP.DK_L)
SEGMENTS = {
    "train": ("2014-12-15", "2015-03-31"),
    "valid": ("2015-04-01", "2015-04-30"),
    "test": ("2015-05-04", "2015-10-30"),
}


class Returns(WindowHandler):
    window = Window(6)

    def __init__(self, **kwargs):
        features = (["$close/Ref($close, 1) - 1", "$turnover"], ["RETURN", "TURNOVER"])
        label = (["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"])
        defaults = {"instruments": "csi300", "infer_processors": ON_TIME, "learn_processors": RANK}
        super().__init__(features, label, **defaults | TIMES | FIT | kwargs)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A provider of ten stocks, six of them in csi300."""
    folder = tmp_path_factory.mktemp("tiny") / "provider"
    assert write_market(folder, stocks=10, days=300, seed=3)
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a cache that is empty."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def provider(tiny, tmp_path, init):
    """A provider of the test's own."""
    folder = shutil.copytree(tiny, tmp_path / "own")
    init(folder)
    return folder


@pytest.fixture
def computed(monkeypatch):
    """How often rows were computed, and how often views."""
    counts = {"rows": 0, "views": 0}
    compute, process = HistoryLoader._compute, WindowHandler._process

    def count(what, function):
        def counted(*args, **kwargs):
            counts[what] += 1
            return function(*args, **kwargs)

        return counted

    monkeypatch.setattr(HistoryLoader, "_compute", count("rows", compute))
    monkeypatch.setattr(WindowHandler, "_process", count("views", process))
    return counts


def everything(handler: WindowHandler, segments: dict = SEGMENTS) -> list:
    """All that a handler gives: its views, its history, the panel, what its processors have learnt."""
    found = [
        handler.fetch(col_set=columns, data_key=key)
        for key in KEYS
        for columns in ("feature", "label", DataHandlerLP.CS_RAW)
        if not (handler.drop_raw and key == DataHandlerLP.DK_R and columns != "label")
    ]
    panel = CrossSectionDataset(handler, segments).panel()
    windows = panel.windows(*(panel.last_row[:60] >= 0).nonzero().T, 6)
    learnt = [each.mean_train for each in handler.infer_processors if hasattr(each, "mean_train")]
    return [*found, handler.history(), pd.DataFrame(windows.flatten(1).numpy()), panel.labels.numpy(), *learnt]


def assert_same(mine: list, theirs: list) -> None:
    for own, other in zip(mine, theirs, strict=True):
        if isinstance(own, pd.DataFrame):
            pd.testing.assert_frame_equal(own, other, check_exact=True, check_column_type="exact", check_freq=True)
            for axis, others in ((own.index, other.index), (own.columns, other.columns)):
                assert axis.names == others.names
                if isinstance(axis, pd.MultiIndex):
                    assert all(map(pd.Index.equals, axis.levels, others.levels))
                    assert [level.dtype for level in axis.levels] == [level.dtype for level in others.levels]
            assert own.attrs == other.attrs
        else:
            np.testing.assert_array_equal(own, other)


OPTIONS = {
    "as a workflow": {},
    "raw dropped": {"drop_raw": True},
    "across stocks": {"infer_processors": ACROSS},
    "no processor": {"infer_processors": [], "learn_processors": []},
    "a learning view of its own": {"learn_processors": [{"class": "Fillna", "kwargs": {"fill_value": 1.0}}]},
    "whole market": {"instruments": "all", "start_time": None, "drop_raw": True},
    "named stocks": {"instruments": ["SH600003", "SH600004", "SH600005"]},
    "a group": {"group": "$industry"},
    "Qlib's engine": {"engine": "qlib", "infer_processors": []},
    "traded only": {"instruments": "all", "seasoned_days": 20, "traded_only": True, "infer_processors": []},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_what_is_read_is_what_was_computed(provider, folder, monkeypatch, computed, options):
    monkeypatch.setenv(cache.VARIABLE, "off")
    expected = everything(Returns(**OPTIONS[options]))
    assert not folder.exists()
    monkeypatch.setenv(cache.VARIABLE, str(folder))
    assert_same(everything(Returns(**OPTIONS[options])), expected)
    before = dict(computed)
    again = Returns(**OPTIONS[options])
    assert_same(everything(again), expected)
    assert computed["rows"] == before["rows"]
    if options in ("as a workflow", "raw dropped", "across stocks", "whole market", "a group"):
        assert computed == before, "the views are read as well"
    again.fetch(col_set="feature")  # what a reader writes into its memory is not written into the file
    values = again.fetch(col_set="feature").to_numpy()
    values.flags.writeable = True
    values[:] = 7.0
    assert_same(everything(Returns(**OPTIONS[options])), expected)


@pytest.mark.parametrize("what", ["one value", "one value and the old time", "a bar less", "a universe", "a calendar"])
def test_another_provider_gives_other_numbers(provider, folder, init, computed, monkeypatch, what):
    before = Returns()
    assert_same(everything(Returns()), everything(before))
    assert computed == {"rows": 1, "views": 1}
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
    else:
        (provider / "calendars/day.txt").write_text((provider / "calendars/day.txt").read_text() + "2030-01-01\n")
    init(provider)  # Qlib itself remembers universes and calendars
    after = Returns()
    assert computed == {"rows": 2, "views": 2}
    assert before.fetch(data_key="raw").equals(after.fetch(data_key="raw")) == (what == "a calendar")
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


def test_other_options_of_a_processor_give_other_numbers(provider, folder, tmp_path, computed):
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


def test_processors_of_a_cached_start_are_fitted_like_those_of_the_first(provider, folder, computed):
    first, again = Scaled(), Scaled()
    for processor in (first, again):
        Returns(infer_processors=[processor])
    assert computed["views"] == 1
    pd.testing.assert_series_equal(first._mean, again._mean, check_exact=True)


def test_a_processor_that_cannot_be_told_from_others_is_not_kept(provider, folder, computed):
    class Local(Scaled):
        """Another class of this name may stand in the same file."""

    locked = Scaled()
    locked.lock = threading.Lock()
    for number, processor in enumerate([Local(), Local(), locked, locked], start=1):
        assert len(Returns(infer_processors=[processor]).fetch()) > 500
        assert computed == {"rows": 1, "views": number}


MODULE = """
from tests.data.test_cache import Scaled

class TheScaled(Scaled):
    def __call__(self, df):
        df["feature"] = df["feature"] * 2
        return df
"""


@pytest.mark.parametrize("running", [False, True])
def test_other_code_of_a_processor_gives_other_numbers(
    provider, folder, tmp_path, monkeypatch, computed, users_module, running
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
    assert len(entries(folder)) == (2 if running else 3)


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
def test_other_options_of_the_handler_are_computed(provider, folder, monkeypatch, options):
    class Other(Returns):
        def __init__(self, label=(["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"]), **kwargs):
            features = (["$close/Ref($close, 1) - 1", "$turnover"], ["RETURN", "TURNOVER"])
            defaults = {"instruments": "csi300", "infer_processors": ON_TIME, "learn_processors": RANK}
            WindowHandler.__init__(self, features, label, **defaults | TIMES | FIT | kwargs)

    Other()
    found = everything(Other(**options))
    monkeypatch.setenv(cache.VARIABLE, "off")
    assert_same(found, everything(Other(**options)))


@pytest.mark.parametrize("file", [cache.VALUES, cache.REST])
@pytest.mark.parametrize("damage", ["a byte", "the end", "gone"])
def test_what_is_damaged_is_computed_again(provider, folder, computed, file, damage):
    expected = everything(Returns())
    for path in folder.glob(f"*/{file}"):
        content = path.read_bytes()
        path.unlink()
        if damage != "gone":
            changed = bytes([content[len(content) // 2] ^ 1])
            half = content[: len(content) // 2]
            path.write_bytes(half + changed + content[len(half) + 1 :] if damage == "a byte" else half)
    assert_same(everything(Returns()), expected)
    assert computed == {"rows": 2, "views": 2}
    assert_same(everything(Returns()), expected)
    assert computed == {"rows": 2, "views": 2}, "it was written anew"


KEY, OTHER = "0" * 32, "1" * 32


def entries(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != cache.LOCK)


def frames_of(number: int) -> list[pd.DataFrame]:
    index = pd.MultiIndex.from_product([pd.date_range("2020-01-01", periods=30), ["A", "B"]])
    return cache.copies([pd.DataFrame(np.full((60, 3), number, np.float32), index, list("xyz"))] * 2)


def in_child(function) -> int:
    """A process that calls a function and does nothing else."""
    child = os.fork()
    if not child:
        function()
        os._exit(0)
    return child


@pytest.mark.parametrize("files", [0, 1])
def test_a_run_killed_while_it_writes_breaks_nothing(folder, monkeypatch, files):
    write, left = cache.write_checked, files

    def killed(path, content, advice):
        nonlocal left
        if not left:
            path.write_bytes(bytes(content)[:100])
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        write(path, content, advice)

    with monkeypatch.context() as patch:
        patch.setattr(cache, "write_checked", killed)
        _, status = os.waitpid(in_child(lambda: cache.write(KEY, frames_of(1))), 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert [name[:33] for name in entries(folder)] == [f".{KEY}"], "what it began lies beside"
    assert cache.read(KEY) is None
    cache.write(KEY, frames_of(1))
    assert_same(cache.read(KEY)[0], frames_of(1))


def test_processes_that_write_and_read_and_clear_at_once_see_whole_entries(folder, monkeypatch):
    monkeypatch.setenv(cache.SIZE_VARIABLE, "4e-6")  # room for one entry

    def work():
        try:
            for _ in range(20):
                for number, key in enumerate((KEY, OTHER)):
                    cache.write(key, frames_of(number), rest=number)
                    found = cache.read(key)
                    if found is not None:
                        assert_same(found[0], frames_of(number))
                        assert found[1] == number
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    monkeypatch.setattr(cache.logger, "warning", lambda line: os._exit(2))
    children = [in_child(work) for _ in range(3)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert entries(folder) == [OTHER]


def test_two_handlers_made_at_once_are_kept_once(provider, folder, computed, monkeypatch):
    children = [in_child(Returns) for _ in range(2)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    mine = everything(Returns())
    assert computed == {"rows": 0, "views": 0}
    assert len(entries(folder)) == 2
    monkeypatch.setenv(cache.VARIABLE, "off")
    assert_same(mine, everything(Returns()))


def test_a_folder_that_cannot_be_written_costs_a_warning_and_no_run(provider, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    lines = []
    monkeypatch.setattr(cache.logger, "warning", lines.append)
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    assert len(Returns().fetch()) > 500
    assert len(lines) == 2
    assert "is not kept in the cache" in lines[0]


def test_a_disk_that_is_nearly_full_is_left_alone(provider, folder, monkeypatch):
    monkeypatch.setattr(cache, "SHARE_FREE", 1.0)
    assert len(Returns().fetch()) > 500
    assert entries(folder) == []


def test_a_provider_that_changes_while_it_is_read_is_not_kept(provider, folder, monkeypatch):
    compute = HistoryLoader._compute

    def disturbed(self, *args):
        rows = compute(self, *args)
        bars = np.fromfile(provider / "features/sh600002/close.day.bin", dtype="<f4")
        bars[50] *= 2
        bars.tofile(provider / "features/sh600002/close.day.bin")
        return rows

    monkeypatch.setattr(HistoryLoader, "_compute", disturbed)
    assert Returns().data_loader.key_ is None
    assert not folder.exists()


def entry(root, name: str, days: float, size: int = 1000) -> None:
    (root / name).mkdir(parents=True)
    (root / name / cache.VALUES).write_bytes(bytes(size))
    os.utime(root / name, (time.time() - days * 86_400,) * 2)


def test_old_entries_and_what_is_too_much_are_cleared_and_nothing_else(tmp_path):
    new, week, month, old = (letter * 32 for letter in "abcd")
    for name, days in {new: 0, week: 7, month: 29, old: 31, f".{week}-of-a-killed-run": 0}.items():
        entry(tmp_path, name, days)
    others = {"notes", ".git", f"{new}0", "file"}
    for name in others - {"file"}:
        entry(tmp_path, name, 99)
    (tmp_path / "file").write_text("of the user")
    for most, names in ((10_000, {new, week, month}), (2_500, {new, week}), (0, set())):
        cache.tidy(tmp_path, most)
        assert {path.name for path in tmp_path.iterdir()} == names | others


def test_what_is_larger_than_the_cache_is_not_kept_and_clears_nothing(folder, monkeypatch):
    lines = []
    monkeypatch.setattr(cache.logger, "warning", lines.append)
    cache.write(KEY, frames_of(1))
    monkeypatch.setenv(cache.SIZE_VARIABLE, "1e-6")
    cache.write(OTHER, frames_of(2))
    assert cache.read(KEY) is not None
    assert cache.read(OTHER) is None
    assert len(lines) == 1
    assert cache.SIZE_VARIABLE in lines[0]


@pytest.mark.parametrize("size", ["much", "0", "-1", "nan"])
def test_a_wrong_size_is_refused_before_rows_are_loaded(provider, folder, monkeypatch, computed, size):
    monkeypatch.setenv(cache.SIZE_VARIABLE, size)
    with pytest.raises(ConfigError, match=f"{cache.SIZE_VARIABLE} is the most gigabytes .* not '{size}'"):
        Returns()
    assert computed["rows"] == 0


def test_one_line_says_once_where_the_cache_lies_and_how_large_it_becomes(provider, folder, monkeypatch):
    lines = []
    monkeypatch.setattr(cache.logger, "info", lines.append)
    Returns()
    Returns()
    assert len(lines) == 1
    assert all(each in lines[0] for each in (str(folder), "30 GB", cache.VARIABLE, cache.SIZE_VARIABLE))


def test_frames_that_are_no_block_of_float32_are_not_kept(folder):
    (frame, _) = frames_of(1)
    for frames in ([frame, frame[["y", "x", "z"]]], [frame, frame[["x"]]], [frame.astype(np.float64)] * 2):
        cache.write(KEY, frames)
        assert cache.read(KEY) is None


def test_what_was_used_today_is_not_old(provider, folder):
    Returns()
    paths = [folder / name for name in entries(folder)]
    for path in paths:
        os.utime(path, (time.time() - 29 * 86_400,) * 2)
    Returns()
    assert all(time.time() - path.stat().st_mtime < 3600 for path in paths)


def test_rows_of_more_than_the_provider_are_not_kept(provider, folder):
    class Own(HistoryLoader):
        """May read whatever it likes."""

    for kind in (Own, RecordedLoader):
        assert HistoryLoader._key(object.__new__(kind), "csi300", None, None) is None


def test_weeks_and_months_of_the_calendar_are_kept(provider, folder, computed):
    options = {"instruments": "csi300", "lengths": {"day": 5, "week": 2, "month": 2}, "calendar": True}
    first, again = (MultiFrequencyBars(**options, start_time=date(2015, 6, 1)) for _ in range(2))
    pd.testing.assert_frame_equal(first.fetch(), again.fetch(), check_exact=True)
    assert computed["rows"] == 1


def test_rows_that_are_put_in_later_are_processed_anew(provider, folder, computed):
    first = everything(Returns())
    handler = Returns()
    assert computed == {"rows": 1, "views": 1}
    put_raw_rows(handler, raw_rows(handler) * np.float32(2.0))
    handler.process_data(with_fit=True)
    assert computed == {"rows": 1, "views": 2}
    assert not handler.fetch(col_set="label").equals(first[0])
    assert_same(everything(Returns()), first)


def test_the_windows_of_a_rolling_model_are_those_of_an_uncached_one(provider, folder, computed, monkeypatch):
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
    monkeypatch.setenv(cache.VARIABLE, str(folder))
    for _ in range(2):
        for mine, theirs in zip(windows(), uncached, strict=True):
            assert_same(mine, theirs)
    assert computed["rows"] == 2
    assert len(entries(folder)) == 2, "rows and views of the handler, and no windows"


def test_off_writes_nothing(provider, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv(cache.VARIABLE, "off")
    Returns()
    assert not (tmp_path / "home").exists()
    monkeypatch.delenv(cache.VARIABLE)
    assert cache.cache_folder() == tmp_path / "home/.cache/qlib_ext"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache.cache_folder() == tmp_path / "caches/qlib_ext"

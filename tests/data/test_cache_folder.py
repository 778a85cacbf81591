"""The cache on disk: damaged, killed, shared, too large, in the way; no run fails for it."""

from __future__ import annotations

import os
import shutil
import signal
import time
import traceback

import numpy as np
import pandas as pd
import pytest

from qlib_ext.data import cache
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.errors import ConfigError
from tests.data.cached import Returns, assert_same, entries, everything


@pytest.mark.parametrize("file", [cache.VALUES, cache.REST])
@pytest.mark.parametrize("damage", ["a byte", "the end", "gone"])
def test_what_is_damaged_is_computed_again(provider, cache_folder, computed, file, damage):
    expected = everything(Returns())
    for path in cache_folder.glob(f"*/{file}"):
        content = path.read_bytes()
        path.unlink()
        if damage != "gone":
            changed = bytes([content[len(content) // 2] ^ 1])
            half = content[: len(content) // 2]
            path.write_bytes(half + changed + content[len(half) + 1 :] if damage == "a byte" else half)
    assert_same(everything(Returns()), expected)
    assert computed == {"rows": 2, "views": 2, "panels": 2}
    assert_same(everything(Returns()), expected)
    assert computed == {"rows": 2, "views": 2, "panels": 2}, "it was written anew"


KEY, OTHER = "0" * 32, "1" * 32


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
def test_a_run_killed_while_it_writes_breaks_nothing(cache_folder, monkeypatch, files):
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
    assert [name[:33] for name in entries(cache_folder)] == [f".{KEY}"], "what it began lies beside"
    assert cache.read(KEY) is None
    cache.write(KEY, frames_of(1))
    assert_same(cache.read(KEY)[0], frames_of(1))


def test_processes_that_write_and_read_and_clear_at_once_see_whole_entries(cache_folder, monkeypatch):
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
    assert entries(cache_folder) == [OTHER]


def test_two_handlers_made_at_once_are_kept_once(provider, cache_folder, computed, monkeypatch):
    children = [in_child(Returns) for _ in range(2)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    mine = everything(Returns())
    assert computed == {"rows": 0, "views": 0, "panels": 1}
    assert len(entries(cache_folder)) == 3
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


def test_a_disk_that_is_nearly_full_is_left_alone(provider, cache_folder, monkeypatch):
    lines = []
    monkeypatch.setattr(cache.logger, "warning", lines.append)
    monkeypatch.setattr(cache, "LEAST_FREE", shutil.disk_usage(provider).total)
    assert len(Returns().fetch()) > 500
    assert entries(cache_folder) == []
    assert all(text in lines[0] for text in ("GB of its disk are free", str(cache_folder), cache.VARIABLE))


def test_a_provider_that_changes_while_it_is_read_is_not_kept(provider, cache_folder, monkeypatch):
    compute = HistoryLoader._compute

    def disturbed(self, *args):
        rows = compute(self, *args)
        bars = np.fromfile(provider / "features/sh600002/close.day.bin", dtype="<f4")
        bars[50] *= 2
        bars.tofile(provider / "features/sh600002/close.day.bin")
        return rows

    monkeypatch.setattr(HistoryLoader, "_compute", disturbed)
    assert Returns().data_loader.key_ is None
    assert not cache_folder.exists()


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


def test_what_is_larger_than_the_cache_is_not_kept_and_clears_nothing(cache_folder, monkeypatch):
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
def test_a_wrong_size_is_refused_before_rows_are_loaded(provider, cache_folder, monkeypatch, computed, size):
    monkeypatch.setenv(cache.SIZE_VARIABLE, size)
    with pytest.raises(ConfigError, match=f"{cache.SIZE_VARIABLE} is the most gigabytes .* not '{size}'"):
        Returns()
    assert computed["rows"] == 0


def test_one_line_says_once_where_the_cache_lies_and_how_large_it_becomes(provider, cache_folder, monkeypatch):
    lines = []
    monkeypatch.setattr(cache.logger, "info", lines.append)
    Returns()
    Returns()
    assert len(lines) == 1
    assert all(each in lines[0] for each in (str(cache_folder), "30 GB", cache.VARIABLE, cache.SIZE_VARIABLE))


def test_frames_that_are_no_block_of_float32_are_not_kept(cache_folder):
    (frame, _) = frames_of(1)
    for frames in ([frame, frame[["y", "x", "z"]]], [frame, frame[["x"]]], [frame.astype(np.float64)] * 2):
        cache.write(KEY, frames)
        assert cache.read(KEY) is None


def test_what_was_used_today_is_not_old(provider, cache_folder):
    Returns()
    paths = [cache_folder / name for name in entries(cache_folder)]
    for path in paths:
        os.utime(path, (time.time() - 29 * 86_400,) * 2)
    Returns()
    assert all(time.time() - path.stat().st_mtime < 3600 for path in paths)


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

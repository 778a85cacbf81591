"""A build that is killed, or that has no room left: nothing is half, nothing finished is lost."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from qlib_ext.errors import OutputError, WorkerError
from qlib_ext.system.backends import BACKENDS, worker_died
from tests.ticks.days import (
    CALENDAR,
    DAYS,
    STOCKS,
    bin_of,
    build,
    content,
    left_over,
    orders_of,
    provider_in,
    put,
    results,
    trades_of,
)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0, 1, 2])
def test_a_killed_run_goes_on_where_it_was(ticks, provider, tmp_path, moment):
    for number in range(3, 8):  # more days, so that there are moments to be killed at
        put(ticks["trades"], str(CALENDAR[number + 3].date()), trades_of(number))
        put(ticks["orders"], str(CALENDAR[number + 3].date()), orders_of(number))
    folders = [word for source, folder in ticks.items() for word in (f"--{source}", str(folder))]
    command = [sys.executable, "-m", "qlib_ext.cli", "ticks", "build", *folders, "--out", str(provider)]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while len(results(provider)) < moment:
        assert time.monotonic() < until, "nothing is built"
        time.sleep(0.02)
    running.kill()
    running.wait()
    kept = len(results(provider))
    assert build(provider, ticks).kept == kept
    assert not left_over(tmp_path)
    whole = provider_in(tmp_path / "whole")
    build(whole, ticks)
    assert content(provider) == content(whole)


def test_a_worker_that_dies_is_explained(ticks, provider, monkeypatch):
    @contextmanager
    def dies(data, n_jobs, gpus):
        def run(work, jobs):
            yield work(data, jobs[0])
            raise WorkerError(worker_died(jobs))

        yield run

    monkeypatch.setitem(BACKENDS, "dies", dies)
    with pytest.raises(WorkerError, match=r"at work on a day died.*finished days are kept"):
        build(provider, ticks, backend="dies")
    assert build(provider, ticks, backend="loky", n_jobs=2).kept == 1


def fill_the_disk(monkeypatch, where: str, after: int = 0) -> None:
    """Files below a folder of this name hold half of what is written into them once ``after`` were written."""
    write, written = Path.write_bytes, []

    def full(path, content):
        if where not in path.parts:
            return write(path, content)
        written.append(path)
        if len(written) <= after:
            return write(path, content)
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)


def test_a_full_disk_leaves_no_half_a_day(ticks, provider, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        fill_the_disk(patch, "provider.ticks", after=2)  # a day is its checksum and its factors
        with pytest.raises(OutputError, match=rf"{DAYS[1]}.*No space left.*Make room.*finished days are kept"):
            build(provider, ticks)
    assert not content(provider)
    assert not left_over(tmp_path)
    assert len(results(provider)) == 1
    assert build(provider, ticks).kept == 1


def test_a_full_disk_leaves_no_half_a_field(ticks, provider, tmp_path):
    build(provider, ticks, end=DAYS[0])
    before = content(provider)
    with pytest.MonkeyPatch.context() as patch:
        fill_the_disk(patch, "features", after=5)
        with pytest.raises(OutputError, match=r"hf_.*day\.bin cannot be written \(No space left"):
            build(provider, ticks)
    assert sum(own != before[file] for file, own in content(provider).items()) == 5
    assert not left_over(provider)
    done = build(provider, ticks)
    assert (done.computed, done.changed) == (0, 27 * len(STOCKS) - 5)
    whole = provider_in(tmp_path / "whole")
    build(whole, ticks)
    assert content(provider) == content(whole)


def test_what_a_killed_run_leaves_is_replaced(ticks, provider, tmp_path):
    build(provider, ticks)
    whole = content(provider)
    (result,) = (file for file in results(provider) if file.name.startswith(DAYS[1]))
    part = result.with_name(f".{result.name}.part")
    part.write_bytes(result.read_bytes()[:100])
    result.write_bytes(result.read_bytes()[:100])  # no run of ours leaves this, but a machine without power may
    field = bin_of(provider, "volume_perc2")
    field.with_name(f".{field.name}.part").write_bytes(b"half")
    field.unlink()
    done = build(provider, ticks)
    assert (done.computed, done.changed) == (1, 1)
    assert content(provider) == whole
    assert not left_over(tmp_path)

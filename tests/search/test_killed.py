"""A search that is killed again and again finds what it would have found."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from qlib_ext.search.state import STATE
from tests.search.test_search import results

SPLIT = ["--train", "2014-09-01:2015-12-31", "--valid", "2016-01-01:2016-06-30"]


def command(provider, folder, *options):
    files = {"data": provider, "out": folder / "factors.yaml", "runs": folder / "runs", "state": folder / "state"}
    named = [text for name, path in files.items() for text in (f"--{name}", str(path))]
    search = [sys.executable, "-m", "qlib_ext.cli", "search", *named, *SPLIT, "--size", "60", "--generations", "8"]
    return [*search, *options]


def generations(folder):
    state = folder / "state" / STATE
    return sum(map(len, json.loads(state.read_text())["history"].values())) if state.exists() else 0


@pytest.mark.slow
def test_a_search_that_is_killed_finds_the_same(provider, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    subprocess.run(command(provider, whole), check=True, capture_output=True)
    for least in (1, 4, 7):
        running = subprocess.Popen(command(provider, killed, "--n-jobs", "2"), stderr=subprocess.DEVNULL)
        until = time.monotonic() + 300
        while generations(killed) < least:
            assert running.poll() is None, "it ended before it was killed"
            assert time.monotonic() < until, "no generation ends"
            time.sleep(0.01)
        running.kill()
        running.wait()
    assert generations(killed) < 10
    subprocess.run(command(provider, killed), check=True, capture_output=True)
    assert results(killed / "state") == results(whole / "state")
    lines = [
        (folder / "factors.yaml").read_text().splitlines()[1:] for folder in (whole, killed)
    ]  # the first has the run
    assert lines[0] == lines[1]

"""A run that is killed at any moment goes on where it was, and leaves nothing behind."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from qlib_ext.system.vendored_loky import resource_tracker
from qlib_ext.testing.rows import random_rows
from tests.rolling.cases import dataset_of, rolling

EIGHT = {"train": "20D", "valid": "8D", "step": "4D"}  # windows
SECONDS = 60


def start(bench_in, folder: Path, temporary: Path) -> int:
    """Start a run in a process of its own, which has imported all there is to import; -> its id."""
    child = os.fork()
    if child:
        return child
    try:
        resource_tracker._resource_tracker._fd = None  # its own, as any new process: pytest's outlives it
        tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
        os.environ["OMP_NUM_THREADS"] = "1"
        bench = bench_in(folder)
        bench.run(
            rolling(bench.ridge(seconds=0.15), **EIGHT, n_jobs=2, backend="loky"), dataset_of(random_rows(days=80))
        )
        os._exit(0)
    finally:  # never back into pytest
        traceback.print_exc()
        os._exit(1)


def below(parent: int) -> set[int]:
    """The processes that descend from a process."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended in the meantime
            continue
        if rest[0] != "Z":
            parents[pid] = int(rest[1])
    found = {parent}
    while more := {pid for pid, above in parents.items() if above in found} - found:
        found |= more
    return found & set(parents) - {parent}


def wait_for(condition, what: str) -> None:
    """Poll; a test that waits in vain says for what."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


@pytest.fixture(scope="module")
def uninterrupted(bench_in, tmp_path_factory):
    """The bytes of the prediction of a run that nothing stops."""
    bench = bench_in(tmp_path_factory.mktemp("uninterrupted"))
    done = bench.run(rolling(bench.ridge(), **EIGHT), dataset_of(random_rows(days=80)))
    assert len(bench.children(done)) == 8
    return bench.file(done, "pred.pkl").read_bytes()


def end_of(child: int, kill: Callable[[], None] | None = None) -> int:
    """Kill a run, or let it finish; nothing of it may be left. -> how it ended, as ``subprocess`` says it."""
    if kill is not None:
        kill()
    descendants = below(child)
    if kill is not None:
        os.kill(child, signal.SIGKILL)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in descendants), "a worker outlives its parent")
    return ended


def finished_in(bench) -> set[str]:
    if bench.client.get_experiment_by_name("roll") is None:
        return set()
    return {f"{child.info.run_name} 0" for child in bench.children() if child.info.status == "FINISHED"}


def kill_and_go_on(bench_in, bench, tmp_path, chance: random.Random, kills: int) -> bytes:
    """Kill runs at random moments, then let one finish; -> the bytes of its prediction.

    A moment is somewhat after as many trainings as chance has it; none: while the processes start.
    """
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def wait_for_the_moment() -> None:
        after, delay = chance.choice([0, 1, 1, 2]), chance.uniform(0, 0.4)
        wait_for(lambda: len(lines(bench)) >= after, "nothing is trained")
        time.sleep(delay if after else 10 * delay)

    finished: set[str] = set()
    for wait in [wait_for_the_moment] * kills + [None]:
        ended = end_of(start(bench_in, bench.folder, temporary), wait)
        assert ended == (0 if wait is None else -signal.SIGKILL)
        assert not list(temporary.iterdir()), "a folder is left behind"
        assert not finished & set(bench.trained()), "a finished window was trained again"
        finished = finished_in(bench)
    assert len(finished) == 8
    (done,) = [
        one for one in bench.runs() if MLFLOW_PARENT_RUN_ID not in one.data.tags and one.info.status == "FINISHED"
    ]
    return bench.file(done.info.run_id, "pred.pkl").read_bytes()


def lines(bench) -> list[str]:
    return bench.log.read_text().splitlines() if bench.log.exists() else []


@pytest.mark.parametrize(
    ("seed", "kills"), [(0, 3)] + [pytest.param(s, 4, marks=pytest.mark.slow) for s in range(1, 6)]
)
def test_a_killed_run_ends_in_the_same_bytes(bench_in, bench, tmp_path, uninterrupted, seed, kills):
    assert kill_and_go_on(bench_in, bench, tmp_path, random.Random(seed), kills) == uninterrupted

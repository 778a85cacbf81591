"""A rolling model that is killed within a window goes on there, and a finished run leaves no checkpoints."""

from __future__ import annotations

from pathlib import Path

from qlib_ext.recorder.checkpoints import FOLDER
from qlib_ext.rolling import RollingModel
from tests.killed import epochs_trained, kill_in_epoch
from tests.rolling.conftest import Bench
from tests.rolling.test_model import GRU_CONFIG, LENGTHS, SMALL_GRU, TESTED, market_dataset

GRU = GRU_CONFIG | {"kwargs": SMALL_GRU | {"n_epochs": 3, "seed": 0}}  # two windows
KEPT = GRU | {"kwargs": GRU["kwargs"] | {"checkpoint": True}}


def run(bench, model: dict, experiment: str) -> str:
    return bench.run(
        RollingModel(model, **LENGTHS, backend="serial"), market_dataset({"test": TESTED}, TESTED), experiment
    )


def run_in(folder: Path, provider: Path) -> None:
    run(Bench(folder, provider), KEPT, "roll")


def test_a_killed_window_goes_on_after_its_last_epoch(small, bench, monkeypatch):
    whole = run(bench, GRU, "whole")
    kill_in_epoch(5, 1, run_in, bench.folder, small[0])  # the second epoch of the second window
    kept = [path for path in bench.folder.rglob(f"{FOLDER}/*/*") if path.suffix == ""]
    assert len(kept) == 1, "the window that is finished needs none"
    seen = epochs_trained(monkeypatch)
    done = run(bench, KEPT, "roll")
    assert seen == [1, 2]
    assert bench.file(done, "pred.pkl").read_bytes() == bench.file(whole, "pred.pkl").read_bytes()
    assert not list(bench.folder.rglob(f"artifacts/roll/{done}/**/{FOLDER}"))
    left = [path for path in bench.folder.rglob(f"{FOLDER}/**/*") if path.is_file()]
    assert not left, "nor does the one that was killed keep what is finished now"

"""Where the seconds of ``qrun WORKFLOW`` go, and how many of them are Qlib's: a stopwatch around the parts of a run.

    QLIB_DATA=DIR python -m benchmarks.qrun_seconds workflows/csi300_astgnn.yaml

A second belongs to the innermost part that was at work; a rolling model trains in this process, so that its parts are
seen. Variables of the workflow are those of the environment.
"""

from __future__ import annotations

import time

BEGUN = time.perf_counter()  # before anything is imported

import argparse  # noqa: E402
from collections import defaultdict  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from functools import wraps  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import qlib.cli.run  # noqa: E402
import qlib.workflow.record_temp as records  # noqa: E402
from qlib.model import trainer  # noqa: E402
from qlib.workflow import QlibRecorder  # noqa: E402

from benchmarks.measure import machine, table  # noqa: E402
from qlib_ext.analysis.records import FactorRecord  # noqa: E402
from qlib_ext.checks import task as checks  # noqa: E402
from qlib_ext.data.dataset import CrossSectionDataset  # noqa: E402
from qlib_ext.models.base import NeuralModel  # noqa: E402
from qlib_ext.models.training import Trainer  # noqa: E402
from qlib_ext.rolling import model as rolling  # noqa: E402
from qlib_ext.rolling.keys import Keys  # noqa: E402
from qlib_ext.rolling.rows import RawData  # noqa: E402
from qlib_ext.rolling.store import WindowStore  # noqa: E402
from qlib_ext.system.backends import serial  # noqa: E402

OURS, QLIB, BOTH = "ours", "Qlib", "Python, torch, Qlib and ours"
PARTS: tuple[tuple[Any, str, str, str], ...] = (
    (checks, "check_task", "checks before the cost", OURS),
    (CrossSectionDataset, "__init__", "data set: read, computed, processed", OURS),
    (CrossSectionDataset, "_build_panel", "panel", OURS),
    (Trainer, "_train_epoch", "training", OURS),
    (Trainer, "evaluate", "validation", OURS),
    (NeuralModel, "scored", "prediction", OURS),
    (RawData, "dataset_of", "rows of a rolling window, processed", OURS),
    (Keys, "__init__", "hashes of the rows, by which windows are known again", OURS),
    (WindowStore, "save", "scores, factors and net of a window saved", OURS),
    (records.SignalRecord, "generate", "SignalRecord: scores and labels saved", QLIB),
    (records.SigAnaRecord, "generate", "SigAnaRecord", QLIB),
    (records.PortAnaRecord, "generate", "PortAnaRecord: the backtest", QLIB),
    (FactorRecord, "generate", "FactorRecord: tables, page and pictures", OURS),
    (QlibRecorder, "save_objects", "objects saved by the recorder", QLIB),
    (trainer, "_log_task_info", "parameters logged by mlflow", QLIB),
)


class Stopwatch:
    """Books each second to the innermost part that is at work."""

    def __init__(self, part: str, begun: float) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._at_work, self._since = [part], begun

    @contextmanager
    def running(self, part: str) -> Iterator[None]:
        self._book()
        self._at_work.append(part)
        try:
            yield
        finally:
            self._book()
            self._at_work.pop()

    def _book(self) -> None:
        now = time.perf_counter()
        self.seconds[self._at_work[-1]] += now - self._since
        self._since = now

    def around(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.running(part):
                return function(*args, **kwargs)

        return timed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.qrun_seconds", description=__doc__.split("\n")[0])
    parser.add_argument("workflow", type=Path, help="a YAML file that qrun takes")
    options = parser.parse_args()
    watch = Stopwatch("imports", BEGUN)
    for owner, name, part, _ in PARTS:
        setattr(owner, name, watch.around(getattr(owner, name), part))
    rolling.backend_of = lambda _: serial
    with watch.running("the rest of qrun"):
        qlib.cli.run.workflow(str(options.workflow))
    print(f"\n{machine(1)}\n")
    print(summary(watch.seconds))


def summary(seconds: dict[str, float]) -> str:
    """The parts by their seconds, the longest first, with whose they are and their share."""
    whose = {part: owner for _, _, part, owner in PARTS} | {"imports": BOTH, "the rest of qrun": QLIB}
    total = sum(seconds.values())
    rows = [
        (part, whose[part], f"{own:.1f}", f"{own / total:.0%}")
        for part, own in sorted(seconds.items(), key=lambda item: -item[1])
    ]
    return table(("part", "whose", "seconds", "share"), [*rows, ("in all", "", f"{total:.1f}", "")])


if __name__ == "__main__":
    main()

"""Where trainings that were stopped are kept: in the files of their run, until it or one that goes on has finished."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from qlib_ext.errors import ConfigError
from qlib_ext.recorder.runs import artifacts_of, search_runs
from qlib_ext.system.files import checksum_of, read_checked, write_checked

FOLDER = "checkpoints"  # among the files of a run
UNFINISHED = "attributes.status != 'FINISHED'"
KEPT_DAYS = 30  # how long one that nobody goes on from stays, as what a handler computed does


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoints by key: ``folder`` keeps those of this run, ``earlier`` those of runs that did not finish.

    A key is a hash of all that a training is made of, so whoever finds a checkpoint may go on from it.
    """

    folder: Path
    earlier: tuple[Path, ...] = ()

    @classmethod
    def of(cls, run: Run, store: str | None = None) -> Checkpoints:
        """Those of a run and of the unfinished runs of its experiment; ``store``: its tracking URI.

        Raises ConfigError where the files of the run do not lie on this machine.
        """
        client = MlflowClient(tracking_uri=store)
        if not run.info.artifact_uri.startswith(("file:", "/")):
            raise ConfigError(
                f"checkpoint: true keeps files beside those of the run, which lie at {run.info.artifact_uri} and not "
                "on this machine. Leave it out, or give the recorder a folder."
            )
        others = search_runs(client, run.info.experiment_id, UNFINISHED)
        earlier = (artifacts_of(each) / FOLDER for each in others if each.info.run_id != run.info.run_id)
        return cls(artifacts_of(run) / FOLDER, tuple(folder for folder in earlier if folder.is_dir()))

    def within(self, part: str) -> Checkpoints:
        """Those of a part of the run, such as a window."""
        return Checkpoints(self.folder / part, tuple(folder / part for folder in self.earlier))

    def read(self, key: str) -> bytes | None:
        """The newest checkpoint of a key; None where there is none, or none is whole.

        It is this run's from now on, and the earlier runs keep none of this key.
        """
        files = [path for folder in (self.folder, *self.earlier) if (path := folder / key).is_file()]
        for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
            if (content := read_checked(path)) is not None:
                if path.parent != self.folder:
                    self.write(key, content)
                self._remove_earlier(key)
                return content
        return None

    def _remove_earlier(self, key: str) -> None:
        for folder in self.earlier:
            with suppress(OSError):  # of a folder that may not be written to, only room is lost
                (folder / key).unlink(missing_ok=True)
                checksum_of(folder / key).unlink(missing_ok=True)

    def write(self, key: str, content: bytes) -> None:
        """Keep a checkpoint in place of the one before; raises OutputError where it cannot be written."""
        write_checked(self.folder / key, content, "Make room and run again: the training goes on from the one before.")

    def remove(self) -> None:
        """Remove those of this run, and those of earlier runs that are older than ``KEPT_DAYS``."""
        rmtree(self.folder, ignore_errors=True)
        oldest = time.time() - KEPT_DAYS * 86_400
        for folder in self.earlier:
            if all(path.stat().st_mtime < oldest for path in folder.rglob("*") if path.is_file()):
                rmtree(folder, ignore_errors=True)


_GIVEN: ContextVar[Checkpoints | None] = ContextVar("checkpoints", default=None)


@contextmanager
def kept_in(checkpoints: Checkpoints | None) -> Iterator[None]:
    """Within it ``active_checkpoints`` are these: for a process that has no recorder."""
    token = _GIVEN.set(checkpoints)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def active_checkpoints() -> Checkpoints | None:
    """Those given, or of the active run; None where there is neither."""
    if (given := _GIVEN.get()) is not None:
        return given
    run = mlflow.active_run()
    return None if run is None else Checkpoints.of(run)

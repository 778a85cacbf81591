"""Qlib's recorders with a checksum beside each object that they save, which ``runs.load`` compares before it reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from qlib.utils.exceptions import LoadObjectError
from qlib.workflow import R
from qlib.workflow.exp import MLflowExperiment
from qlib.workflow.recorder import MLflowRecorder

from qlib_ext.checks.task import check_before_training
from qlib_ext.recorder.provider import tag_provider
from qlib_ext.system.files import checksum_of, write_checksum

NAME_OF_QLIB = "mlflow_recorder"  # what Qlib calls a run that nobody gave a name


class CheckedRecorder(MLflowRecorder):
    """MLflowRecorder of a store on this machine, with checksums."""

    def save_objects(self, local_path: Any = None, artifact_path: Any = None, **kwargs: Any) -> None:
        """As in Qlib; an object that is saved again loses its checksum first, so that a kill leaves no wrong one.

        The task of a run that begins is checked, so that whatever would stop it is said before it is trained.
        """
        folder = Path(local_file_uri_to_path(self.artifact_uri), artifact_path or "")
        files = [folder / name for name in kwargs]
        for file in files:
            checksum_of(file).unlink(missing_ok=True)
        super().save_objects(local_path, artifact_path, **kwargs)
        for file in files:
            write_checksum(file, "Make room and save it again.")
        if artifact_path is None and {"model", "dataset"} <= set(_keys(kwargs.get("task"))):
            if self.name == NAME_OF_QLIB:
                self.set_tags(**{MLFLOW_RUN_NAME: name_of_run(kwargs["task"], datetime.now())})
            check_before_training(kwargs["task"])  # Qlib's trainer saves a task before it makes anything of it

    def _log_uncommitted_code(self) -> None:
        """As in Qlib, within a folder of git; elsewhere git would print how it is used, three times."""
        if any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
            super()._log_uncommitted_code()


def name_of_run(task: Mapping[str, Any], time: datetime) -> str:
    """The class of a task's model, a rolling model's inner one in brackets, and the time: ``GRU 2026-11-27 14:05``."""
    model: Any = task["model"]
    if not isinstance(model, Mapping):
        model = {"class": type(model)}
    inner = (model.get("kwargs") or {}).get("model")
    of = f" ({_short(inner)})" if isinstance(inner, Mapping) and "class" in inner else ""
    return f"{_short(model)}{of} {time:%Y-%m-%d %H:%M}"


def _short(model: Mapping[str, Any]) -> str:
    kind = model.get("class", "")
    return kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__


def check_active_task() -> None:
    """Check the task of Qlib's active run, where its recorder has not; without a run, nothing."""
    experiment = getattr(getattr(R, "exp_manager", None), "active_experiment", None)  # R has nothing before qlib.init
    recorder = None if experiment is None else experiment.active_recorder
    if recorder is None or isinstance(recorder, CheckedRecorder):
        return
    tag_provider(recorder)
    try:
        task = recorder.load_object("task")
    except LoadObjectError:  # a script that fits a model of its own
        return
    check_before_training(task)


def _keys(task: Any) -> Any:
    return task if isinstance(task, dict) else ()


class CheckedExperiment(MLflowExperiment):
    """MLflowExperiment whose recorders are CheckedRecorder."""

    def create_recorder(self, recorder_name: str | None = None) -> MLflowRecorder:
        """As in Qlib."""
        return checked(super().create_recorder(recorder_name))

    def _get_recorder(self, recorder_id: str | None = None, recorder_name: str | None = None) -> MLflowRecorder:
        return checked(super()._get_recorder(recorder_id, recorder_name))

    def list_recorders(self, *args: Any, **kwargs: Any) -> Any:
        """As in Qlib, a dictionary or a list."""
        found = super().list_recorders(*args, **kwargs)
        for recorder in found.values() if isinstance(found, dict) else found:
            checked(recorder)
        return found


def checked(recorder: MLflowRecorder) -> MLflowRecorder:
    """The same recorder, from now on with checksums."""
    recorder.__class__ = CheckedRecorder  # Qlib names the class of its recorders itself, in three places
    return recorder

"""Qlib's experiment manager on a SQLite store, with the artifacts beside the database."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from qlib.config import C
from qlib.log import get_module_logger
from qlib.utils.exceptions import ExpAlreadyExistError
from qlib.workflow import QlibRecorder, R
from qlib.workflow.exp import Experiment
from qlib.workflow.expm import MLflowExpManager
from sqlalchemy import Engine, event

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.provider.check import check_future_days, check_provider
from qlib_ext.recorder.checked import CheckedExperiment
from qlib_ext.recorder.checkpoints import FOLDER, Checkpoints
from qlib_ext.recorder.location import ARTIFACTS, SQLITE, artifact_location, database_of, follow_move
from qlib_ext.recorder.provider import tag_provider
from qlib_ext.recorder.running import RunningRun, mark_killed
from qlib_ext.recorder.runs import artifacts_of, deleted
from qlib_ext.system.files import require_writable
from qlib_ext.system.locks import locked
from qlib_ext.system.quiet import quieten, quieten_qlib

logger = get_module_logger("qlib_ext.recorder")


class SQLiteExpManager(MLflowExpManager):
    """MLflowExpManager for ``uri: sqlite:///FOLDER/mlflow.db``; artifacts go to ``FOLDER/artifacts/EXPERIMENT``.

    mlflow refuses the ``file:`` store that qrun takes by default (mlflow >= 3.13), and puts the artifacts of a
    database store into whatever folder the process was started in. A relative FOLDER is that of the process,
    as with qrun's own ``mlruns``.

    The folder may be moved and copied. Saved objects have a checksum beside them. Runs that a killed process left as
    RUNNING are marked as KILLED by the next one. A run that has a task is named after its model and the time. What
    other libraries print and helps nobody is left out, see ``system.quiet``.
    Raises, before anything is made, ProviderError where Qlib was given no provider, or one that knows no day after its
    last, which a backtest needs, and ConfigError for another store.
    """

    def __init__(self, uri: str, default_exp_name: str) -> None:
        database = database_of(uri)
        if database is None:
            raise ConfigError(f"uri must be {SQLITE}FOLDER/NAME.db, not {uri!r}.")
        if sign := next((sign for sign in "?%" if sign in str(database)), None):
            raise ConfigError(f"The path {database} has a {sign!r}, which means something else in {SQLITE}; rename it.")
        check_provider(C.dpm.get_data_uri("day"))  # Qlib itself goes on without one, into errors that do not name it
        check_future_days(C.dpm.get_data_uri("day"))
        require_writable(database.parent, "QLIB_RUNS, or uri, names another folder.")
        quieten()
        quieten_qlib()
        super().__init__(uri=f"{SQLITE}{database}", default_exp_name=default_exp_name)
        self.database = database
        self.running: RunningRun | None = None
        with self._locked():
            if not database.exists():
                create_database(database)
            follow_move(database)
            if killed := mark_killed(self.client, database.parent):
                logger.warning(f"{len(killed)} runs of {database.parent} were killed, the first {killed[0]}.")

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.database.with_name(f".{self.database.name}.lock"))

    def create_exp(self, experiment_name: str | None = None) -> CheckedExperiment:
        """As in Qlib, with the artifact folder beside the database.

        Raises DataError for a name that leads out of the folder, and for one whose experiment was deleted.
        """
        location = artifact_location(self.database.parent, str(experiment_name))
        try:
            experiment_id = self.client.create_experiment(experiment_name, artifact_location=location)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
            there = self.client.get_experiment_by_name(experiment_name)
            if there is not None and there.lifecycle_stage == LifecycleStage.DELETED:
                raise DataError(deleted(there, self.uri)) from error
            raise ExpAlreadyExistError from error
        return CheckedExperiment(experiment_id, experiment_name, self.uri)

    def _get_exp(self, experiment_id: str | None = None, experiment_name: str | None = None) -> CheckedExperiment:
        found = super()._get_exp(experiment_id, experiment_name)
        return CheckedExperiment(found.id, found.name, self.uri)

    def list_experiments(self) -> dict[str, CheckedExperiment]:
        """As in Qlib."""
        found = super().list_experiments()
        return {name: CheckedExperiment(each.id, name, self.uri) for name, each in found.items()}

    def start_exp(self, **kwargs: Any) -> Experiment:
        """As in Qlib; the run that begins names its provider, and is known to be at work until ``end_exp``."""
        with self._locked():  # so that a run without a mark is one that was killed in between
            experiment = super().start_exp(**kwargs)
            self.running = RunningRun(self.database.parent, experiment.active_recorder.id)
        tag_provider(experiment.active_recorder)
        return experiment

    def end_exp(self, *args: Any, **kwargs: Any) -> None:
        """As in Qlib; the checkpoints of a run that has finished are removed."""
        recorder = None if self.active_experiment is None else self.active_experiment.active_recorder
        super().end_exp(*args, **kwargs)
        if recorder is not None and recorder.status == recorder.STATUS_FI:
            run = recorder.client.get_run(recorder.id)  # of the store it was recorded in, which R.start may have named
            if (artifacts_of(run) / FOLDER).is_dir():
                Checkpoints.of(run, recorder.uri).remove()
        if self.running is not None:
            self.running.end()
            self.running = None


def record_in(folder: str | Path = "mlruns", experiment: str = "Experiment") -> None:
    """Let Qlib's ``R`` record into ``FOLDER/mlflow.db`` from now on: the one line after a plain ``qlib.init``.

    Without it ``R.start`` takes Qlib's own file store, which mlflow refuses since 3.13. ``experiment`` is the name that
    Qlib gives an experiment which is started without one. Raises what ``SQLiteExpManager`` raises, and Qlib's
    RecorderInitializationError while an experiment is running.
    """
    uri = f"{SQLITE}{Path(folder).expanduser().resolve()}/mlflow.db"
    manager = {"uri": uri, "default_exp_name": experiment}
    R.register(QlibRecorder(SQLiteExpManager(**manager)))
    C["exp_manager"] = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder", "kwargs": manager}


def create_database(database: Path) -> None:
    """Make mlflow's tables in a file beside it, which takes its name when it is whole: a kill spoils nothing.

    They are made in hundreds of steps, and SQLite would wait for the disk at each; here the last one alone does.
    """
    part = database.with_name(f".{database.name}.part")
    for leftover in (part, part.with_name(f"{part.name}-journal")):
        leftover.unlink(missing_ok=True)
    event.listen(Engine, "connect", _wait_for_no_disk)
    try:
        store = SqlAlchemyStore(f"{SQLITE}{part}", str(database.parent / ARTIFACTS))
    finally:
        event.remove(Engine, "connect", _wait_for_no_disk)
    store.engine.dispose()  # its connections would know the file by the name that it loses
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(database)


def _wait_for_no_disk(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA synchronous = OFF")

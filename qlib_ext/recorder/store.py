"""Qlib's experiment manager on a SQLite store, with the artifacts beside the database."""

from __future__ import annotations

from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from qlib.config import C
from qlib.utils.exceptions import ExpAlreadyExistError
from qlib.workflow.exp import MLflowExperiment
from qlib.workflow.expm import MLflowExpManager

from qlib_ext.errors import ConfigError
from qlib_ext.provider.check import check_future_days, check_provider
from qlib_ext.system.locks import locked

SQLITE = "sqlite:///"


class SQLiteExpManager(MLflowExpManager):
    """MLflowExpManager for ``uri: sqlite:///FOLDER/mlflow.db``; artifacts go to ``FOLDER/artifacts/EXPERIMENT``.

    mlflow refuses the ``file:`` store that qrun takes by default (mlflow >= 3.13), and puts the artifacts of a
    database store into whatever folder the process was started in. A relative FOLDER is that of the process,
    as with qrun's own ``mlruns``. Raises ProviderError where Qlib was given no provider, or one that knows no day
    after its last, which a backtest needs; ConfigError for another store.
    """

    def __init__(self, uri: str, default_exp_name: str) -> None:
        if not uri.startswith(SQLITE):
            raise ConfigError(f"uri must be {SQLITE}FOLDER/NAME.db, not {uri!r}.")
        check_provider(C.dpm.get_data_uri("day"))  # Qlib itself goes on without one, into errors that do not name it
        check_future_days(C.dpm.get_data_uri("day"))
        database = Path(uri.removeprefix(SQLITE)).expanduser().resolve()
        database.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(uri=SQLITE + str(database), default_exp_name=default_exp_name)
        # a client creates the tables, and two processes that begin in one new folder would both do it
        with locked(database.with_name(f".{database.name}.lock")):
            _ = self.client

    def create_exp(self, experiment_name: str | None = None) -> MLflowExperiment:
        """As in Qlib, with the artifact folder beside the database."""
        folder = Path(self.uri.removeprefix(SQLITE)).parent / "artifacts" / str(experiment_name)
        try:
            experiment_id = self.client.create_experiment(experiment_name, artifact_location=folder.as_uri())
        except MlflowException as error:
            if error.error_code == ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise ExpAlreadyExistError from error
            raise
        return MLflowExperiment(experiment_id, experiment_name, self.uri)

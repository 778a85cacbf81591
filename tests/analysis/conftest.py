import shutil

import pytest
from mlflow import MlflowClient

from tests.analysis.recorders import Recorders


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A store without experiments; mlflow takes seconds to make one."""
    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def recorders(tmp_path, empty_store):
    """A folder of runs made by hand."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(empty_store, folder)
    return Recorders(folder)

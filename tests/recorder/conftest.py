from __future__ import annotations

import pytest

from qlib_ext.recorder.store import create_database


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """An empty database; mlflow takes seconds to make one."""
    file = tmp_path_factory.mktemp("empty") / "mlflow.db"
    create_database(file)
    return file

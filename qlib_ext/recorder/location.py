"""Where a folder of runs keeps the files of an experiment: beside its database, also after the folder was moved.

mlflow writes the whole path into its database, once an experiment and once a run.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path, PurePosixPath

from mlflow.entities import Experiment, Run, RunInfo
from mlflow.utils.file_utils import local_file_uri_to_path

from qlib_ext.errors import DataError, OutputError

SQLITE = "sqlite:///"
ARTIFACTS = "artifacts"


def database_of(store: str) -> Path | None:
    """The file of a SQLite tracking URI; None for another store."""
    return Path(store.removeprefix(SQLITE)).expanduser().resolve() if store.startswith(SQLITE) else None


def artifact_location(folder: Path, experiment: str) -> str:
    """The URI of the files of an experiment of a folder of runs: ``FOLDER/artifacts/EXPERIMENT``.

    Raises DataError for a name that would lead out of that folder.
    """
    name = PurePosixPath(experiment)
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise DataError(
            f"The experiment name {experiment!r} would put files outside of {folder / ARTIFACTS}. Name the experiment "
            "without '..' and without a '/' at its start."
        )
    return (folder / ARTIFACTS / name).as_uri()


def moved_from(folder: Path, experiment: str, recorded: str) -> tuple[str, str] | None:
    """The recorded location of an experiment's files and the one beside the database; None where they are the same.

    Also None for files that never lay beside a database, in ``artifacts/EXPERIMENT``: those of another manager.
    """
    beside = PurePosixPath(ARTIFACTS, experiment).parts
    if Path(local_file_uri_to_path(recorded)).parts[-len(beside) :] != beside:
        return None
    here = artifact_location(folder, experiment)
    return None if local_file_uri_to_path(recorded) == local_file_uri_to_path(here) else (recorded, here)


def as_it_lies_now(run: Run, experiment: Experiment, store: str) -> Run:
    """The run of an experiment with its files where they are beside the database of the store."""
    database = database_of(store)
    moved = database and moved_from(database.parent, experiment.name, experiment.artifact_location)
    if not moved or not run.info.artifact_uri.startswith(moved[0]):
        return run
    uri = moved[1] + run.info.artifact_uri.removeprefix(moved[0])
    return Run(RunInfo(**dict(run.info) | {"artifact_uri": uri}), run.data, run.inputs, run.outputs)


def follow_move(database: Path) -> None:
    """Let a database that was moved with its files name their new place, so that no run writes into the old one.

    mlflow has no call for it, so that the two columns are written here. Raises OutputError where that fails.
    """
    try:
        with closing(sqlite3.connect(database)) as connection, connection:
            experiments = connection.execute("SELECT experiment_id, name, artifact_location FROM experiments")
            for number, name, recorded in experiments.fetchall():
                if moved := moved_from(database.parent, name, recorded):
                    old, new = moved
                    connection.execute(
                        "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, number)
                    )
                    connection.execute(
                        "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                        "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                        (new, len(old) + 1, number, len(old), old),
                    )
    except sqlite3.Error as error:
        raise OutputError(
            f"{database} was moved, and where its files lie now cannot be written into it ({error}). Make it writable, "
            "or move the folder back."
        ) from error

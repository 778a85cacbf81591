"""FactorRecord of a run that has finished."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import qlib
from mlflow.entities import Run
from qlib.workflow import R

from qlib_ext.analysis.records import FactorRecord
from qlib_ext.checks.names import records_of
from qlib_ext.errors import DataError
from qlib_ext.provider.check import check_provider
from qlib_ext.recorder.checked import checked
from qlib_ext.recorder.location import database_of, follow_move
from qlib_ext.recorder.provider import provider_of
from qlib_ext.recorder.running import at_work_on
from qlib_ext.recorder.runs import artifacts_of, find_runs, load, store_of


def analyse(runs: str | Path, experiment: str, provider: str | None = None, **options: Any) -> Path:
    """Let FactorRecord analyse the last finished run of an experiment, or NAME@RUN; returns the page that it leaves.

    Options that are not given are those of the run's own FactorRecord, where its workflow has one. What an earlier
    analysis left is replaced. Qlib is initialised as the run's workflow does it, on ``provider`` where it is given.

    Raises DataError as ``find_runs`` does, and where the run does not say its provider; ProviderError for a provider
    that is none; WorkerError while another process works on the run; and as FactorRecord does.
    """
    store = store_of(runs)
    run = find_runs(store, experiment)[0]
    database = database_of(store)
    assert database is not None
    config = _initialisation(run, experiment, provider)
    uri = config["provider_uri"]
    check_provider(uri["day"] if isinstance(uri, Mapping) else uri)
    with at_work_on(database.parent, run.info.run_id):
        follow_move(database)
        manager = {"class": "MLflowExpManager", "module_path": "qlib.workflow.expm"}
        qlib.init(**config | {"exp_manager": manager | {"kwargs": {"uri": store, "default_exp_name": "none"}}})
        recorder = checked(R.get_recorder(recorder_id=run.info.run_id, experiment_id=run.info.experiment_id))
        dataset, _ = load(run, "dataset")
        record = FactorRecord(recorder, dataset=dataset, **_options(run) | options)
        record.generate()
    return artifacts_of(run) / record.artifact_path / "report.html"


def _initialisation(run: Run, experiment: str, provider: str | None) -> dict[str, Any]:
    """The keywords of ``qlib.init`` with which the run was made, or those of a provider."""
    config, _ = load(run, "config")
    own = dict(config["qlib_init"]) if isinstance(config, Mapping) and "qlib_init" in config else {"region": "cn"}
    if provider is not None:
        own["provider_uri"] = str(Path(provider).expanduser().absolute())
    elif "provider_uri" not in own:
        facts = provider_of(run)
        if facts is None:
            raise DataError(
                f"The run of {experiment!r} does not say which provider it was made of. Name its folder with --data."
            )
        own["provider_uri"] = facts.folder
    return {"logging_level": 30} | own


def _options(run: Run) -> dict[str, Any]:
    """The options of the FactorRecord of the run's own workflow; none where it has none."""
    task, _ = load(run, "task")
    for each in records_of(task) if isinstance(task, Mapping) else ():
        if isinstance(each, Mapping) and each.get("class") == FactorRecord.__name__:
            return {name: value for name, value in (each.get("kwargs") or {}).items() if not _filled_in(value)}
    return {}


def _filled_in(value: Any) -> bool:
    """Whether Qlib's trainer puts something in the place of a keyword's value, such as ``<DATASET>``."""
    return isinstance(value, str) and value.startswith("<")

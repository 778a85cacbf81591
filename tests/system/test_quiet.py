"""What helps nobody is left out, and shown to who asks for it."""

from __future__ import annotations

import logging
import warnings

import pytest
from gym_notices.notices import notices

from qlib_ext.system.quiet import VARIABLE, quieten, quieten_qlib


@pytest.fixture
def kept(monkeypatch):
    """What ``quieten`` changes in this process is as it was afterwards."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels, before = [logger.level for logger in loggers], dict(notices)
    notices["some version"] = "a notice"
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "true")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield seen
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    notices.clear()
    notices.update(before)


def warn():
    for module, kind in (
        ("qlib.data.data", FutureWarning),
        ("mlflow.store", DeprecationWarning),
        ("qlibrary", FutureWarning),
        ("qlib.contrib", UserWarning),
    ):
        warnings.warn_explicit(module, kind, f"{module}.py", 1, module=module)


@pytest.mark.parametrize("asked", [False, True])
def test_warnings_of_other_libraries(kept, asked, monkeypatch):
    if asked:
        monkeypatch.setenv(VARIABLE, "1")
    else:
        monkeypatch.delenv(VARIABLE, raising=False)
    quieten()
    warn()
    there = [str(each.message) for each in kept]
    helpful = ["qlibrary", "qlib.contrib"]
    assert there == (["qlib.data.data", "mlflow.store", *helpful] if asked else helpful)
    assert bool(notices) == asked


def test_a_line_of_every_run_of_qlibs_is_left_out_and_others_are_not(kept, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    handler = logging.NullHandler()
    monkeypatch.setattr(logging.getLogger("qlib"), "handlers", [handler])
    quieten_qlib()
    for message, shown in (("`common_infra` is not set for x", False), ("`infra` is not set", True)):
        record = logging.LogRecord("qlib.some", logging.WARNING, "f", 1, message, (), None)
        assert bool(handler.filter(record)) == shown

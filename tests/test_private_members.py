"""What others promise to nobody and we need: each is used in one file, and its end is noticed here."""

from __future__ import annotations

import re
from inspect import signature

import pytest
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader
from qlib.workflow.recorder import MLflowRecorder

from qlib_ext.data.views import put_raw_rows, raw_rows
from qlib_ext.testing.rows import random_rows
from tests.test_rooms import MODULES

PRIVATE = {
    r"\._data\b|\"_data\"": ["qlib_ext.data.views"],
    r"\._(infer|learn)\b": ["qlib_ext.data.views"],
    r"async_log": ["qlib_ext.analysis.report.page"],
    r"_log_uncommitted_code": ["qlib_ext.recorder.checked"],
    r"joblib\.externals": ["qlib_ext.system.vendored_loky"],
}


@pytest.mark.parametrize("member", PRIVATE)
def test_it_is_used_in_one_file(member):
    found = [name for name, path in MODULES.items() if re.search(member, path.read_text(encoding="utf-8"))]
    assert found == PRIVATE[member]


def test_a_handler_of_qlibs_still_processes_the_rows_that_we_put_into_it():
    changed = "Qlib no longer keeps raw rows in DataHandlerLP._data: qlib_ext/data/views.py must find them elsewhere"
    rows = random_rows()
    handler = DataHandlerLP(data_loader=StaticDataLoader(rows), learn_processors=[{"class": "DropnaLabel"}])
    assert raw_rows(handler) is not None, changed
    put_raw_rows(handler, rows.iloc[:7])
    handler.process_data()
    views = [len(handler.fetch(data_key=key)) for key in (DataHandlerLP.DK_R, DataHandlerLP.DK_I, DataHandlerLP.DK_L)]
    assert views == [7, 7, 7], changed
    handler.drop_raw = True
    handler.process_data()
    assert raw_rows(handler) is None, changed


def test_qlibs_recorder_still_logs_in_a_thread_that_can_be_waited_for():
    changed = "MLflowRecorder.async_log is gone: _finish_logging of qlib_ext/analysis/report/page.py waits for nothing"
    assert "async_log" in MLflowRecorder.start_run.__code__.co_names, changed


def test_qlibs_recorder_still_logs_code_in_one_method():
    changed = "MLflowRecorder._log_uncommitted_code is gone: qlib_ext/recorder/checked.py replaces nothing"
    assert "_log_uncommitted_code" in MLflowRecorder.start_run.__code__.co_names, changed


def test_joblib_still_ships_the_pool_and_the_tracker_that_we_take():
    changed = (
        "joblib ships another loky: qlib_ext/system/vendored_loky.py must take the two elsewhere, or joblib be pinned"
    )
    try:
        from qlib_ext.system.vendored_loky import ProcessPoolExecutor, resource_tracker
    except ImportError as error:
        pytest.fail(f"{changed} ({error})")
    assert {"initializer", "initargs", "env"} <= signature(ProcessPoolExecutor).parameters.keys(), changed
    assert "kill_workers" in signature(ProcessPoolExecutor.shutdown).parameters, changed
    assert "folder" in resource_tracker._CLEANUP_FUNCS, changed

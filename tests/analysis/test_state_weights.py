"""Each day has the weights of its window's nets, read from the recorder."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from qlib_ext.analysis.state_weights import state_weights
from qlib_ext.errors import DataError
from qlib_ext.models.network_gat import NetworkGAT
from qlib_ext.recorder.windows import MODEL, RUN, TEST_FROM, TEST_TO
from tests.analysis.recorders import Recorders, save

DAYS = pd.bdate_range("2020-01-01", "2020-02-28", name="datetime")


class Constant:
    """A model of two networks whose weights never change."""

    def __init__(self, first):
        self.first = first

    def state_weights(self, days):
        return pd.DataFrame({"a": self.first, "b": 1 - self.first}, days)


@pytest.fixture(scope="module")
def rolling(tmp_path_factory):
    """A rolling model of two windows, the first with two seeds, and the folders of its child runs."""
    recorders, folders, lines = Recorders(tmp_path_factory.mktemp("runs")), [], []
    spans = [("2020-01-01", "2020-01-31"), ("2020-01-01", "2020-01-31"), ("2020-02-03", "2020-02-28")]
    for first, (start, end) in zip((0.2, 0.4, 0.9), spans, strict=True):
        folders.append(recorders.run("windows"))
        save(folders[-1] / MODEL, Constant(first))
        lines.append({TEST_FROM: start, TEST_TO: end, RUN: folders[-1].parent.name})
    inner = {"class": "NetworkGAT", "module_path": "qlib_ext.models.network_gat"}
    return SimpleNamespace(windows_=pd.DataFrame(lines), model=inner), recorders.store, folders


def test_each_day_has_the_weights_of_its_window(rolling):
    model, store, _ = rolling
    found = state_weights(model, store, "rolling", DAYS)
    expected = pd.DataFrame({"a": np.where(DAYS < "2020-02-01", 0.3, 0.9)}, DAYS)
    pd.testing.assert_frame_equal(found, expected.assign(b=1 - expected["a"]), check_freq=False)


def test_a_net_that_the_recorder_lost_is_named(rolling):
    model, store, folders = rolling
    file = folders[2] / MODEL
    file.rename(file.with_name("elsewhere"))
    with pytest.raises(DataError, match=r"weights by the market's state are not known: the recorded model\.pkl"):
        state_weights(model, store, "rolling", DAYS)
    file.with_name("elsewhere").rename(file)


def test_other_models_have_none(rolling):
    model, store, _ = rolling
    other = {"class": "GRU", "module_path": "qlib_ext.models.gru"}
    assert state_weights(SimpleNamespace(windows_=model.windows_, model=other), store, "rolling", DAYS) is None
    assert state_weights(object(), store, "rolling", DAYS) is None
    assert state_weights(NetworkGAT(weights="equal"), store, "rolling", DAYS) is None

"""A handler whose rows are kept, and all that it gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from qlib.data.dataset.handler import DataHandlerLP

from qlib_ext.data import cache
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.window import Window

OURS = "qlib_ext.processors.normalise"
TIMES = {"start_time": "2014-12-15", "end_time": "2015-10-30"}
FIT = {"fit_start_time": "2014-12-15", "fit_end_time": "2015-03-31"}
ON_TIME = [
    {"class": "RobustZScoreNorm", "module_path": OURS, "kwargs": {"fields_group": "feature"}},
    {"class": "Fillna", "module_path": OURS, "kwargs": {"fields_group": "feature"}},
]
ACROSS = [{"class": "CSZScoreNorm", "module_path": OURS, "kwargs": {"fields_group": "feature"}}, ON_TIME[1]]
RANK = [{"class": "DropnaLabel"}, {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}}]
KEYS = (DataHandlerLP.DK_R, DataHandlerLP.DK_I, DataHandlerLP.DK_L)
SEGMENTS = {
    "train": ("2014-12-15", "2015-03-31"),
    "valid": ("2015-04-01", "2015-04-30"),
    "test": ("2015-05-04", "2015-10-30"),
}


class Returns(WindowHandler):
    window = Window(6)

    def __init__(self, **kwargs):
        features = (["$close/Ref($close, 1) - 1", "$turnover"], ["RETURN", "TURNOVER"])
        label = (["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"])
        defaults = {"instruments": "csi300", "infer_processors": ON_TIME, "learn_processors": RANK}
        super().__init__(features, label, **defaults | TIMES | FIT | kwargs)


def everything(handler: WindowHandler, segments: dict = SEGMENTS) -> list:
    """All that a handler gives: its views, its history, the panel, what its processors have learnt."""
    found = [
        handler.fetch(col_set=columns, data_key=key)
        for key in KEYS
        for columns in ("feature", "label", DataHandlerLP.CS_RAW)
        if not (handler.drop_raw and key == DataHandlerLP.DK_R and columns != "label")
    ]
    panel = CrossSectionDataset(handler, segments).panel()
    windows = panel.windows(*(panel.last_row[:60] >= 0).nonzero().T, 6)
    values = panel.values if panel.places is None else panel.values[panel.places.long()]
    whose = [values, panel.labels, panel.groups, panel.member, panel.last_row, panel.next_row]
    arrays = [own.numpy() for own in whose if own is not None]
    axes = [np.asarray(panel.days), np.asarray(panel.instruments), np.asarray(panel.fields)]
    learnt = [each.mean_train for each in handler.infer_processors if hasattr(each, "mean_train")]
    return [*found, handler.history(), pd.DataFrame(windows.flatten(1).numpy()), *arrays, *axes, *learnt]


def assert_same(mine: list, theirs: list) -> None:
    for own, other in zip(mine, theirs, strict=True):
        if isinstance(own, pd.DataFrame):
            pd.testing.assert_frame_equal(own, other, check_exact=True, check_column_type="exact", check_freq=True)
            for axis, others in ((own.index, other.index), (own.columns, other.columns)):
                assert axis.names == others.names
                if isinstance(axis, pd.MultiIndex):
                    assert all(map(pd.Index.equals, axis.levels, others.levels))
                    assert [level.dtype for level in axis.levels] == [level.dtype for level in others.levels]
            assert own.attrs == other.attrs
        else:
            np.testing.assert_array_equal(own, other)


def entries(folder: Path) -> list[str]:
    """The names of what lies in the folder of a cache."""
    return sorted(path.name for path in folder.iterdir() if path.name != cache.LOCK)

"""The raw, the inference and the learning view of a handler's rows, over one block of features where that is possible.

Qlib keeps them in attributes that it promises to nobody: ``_data``, ``_infer`` and ``_learn``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from qlib.data.dataset import processor as of_qlib
from qlib.data.dataset.handler import DataHandler, DataHandlerLP
from qlib.log import get_module_logger

from qlib_ext.cross_section.cells import cells_of
from qlib_ext.data.blocks import values_of
from qlib_ext.data.fitting import name_of, unwrapped
from qlib_ext.errors import DataError
from qlib_ext.processors import normalise
from qlib_ext.processors.neutralise import MADClip
from qlib_ext.processors.normal_scores import CSNormalScores
from qlib_ext.processors.normalise import between
from qlib_ext.processors.rows import KeepRows

FEATURES = "feature"
# they read and write the columns of their fields_group and no others; a subclass may do what it likes
OF_ONE_GROUP = (
    of_qlib.DropnaProcessor,
    of_qlib.DropnaLabel,
    of_qlib.Fillna,
    of_qlib.MinMaxNorm,
    of_qlib.ZScoreNorm,
    of_qlib.RobustZScoreNorm,
    of_qlib.CSZScoreNorm,
    of_qlib.CSRankNorm,
    of_qlib.CSZFillna,
    normalise.RobustZScoreNorm,
    normalise.Fillna,
    normalise.CSZScoreNorm,
    CSNormalScores,
    KeepRows,
    MADClip,
)

logger = get_module_logger("qlib_ext.data")


def raw_rows(handler: DataHandler) -> pd.DataFrame | None:
    """The rows as they were loaded, whatever ``drop_raw`` says; None where they are dropped already."""
    rows: pd.DataFrame | None = getattr(handler, "_data", None)
    return rows


def require_loaded(handler: DataHandler) -> None:
    """Raise DataError for a handler without rows: what Qlib's recorder saves of one, or one of ``init_data: false``."""
    if not {"_data", "_infer"} & vars(handler).keys():
        raise DataError(
            f"The {type(handler).__name__} of this data set has no rows, as the recorder keeps none. Load them, with "
            'processors as they were fitted: dataset.setup_data(handler_kwargs={"init_type": "load_state"}).'
        )


def put_raw_rows(handler: DataHandler, rows: pd.DataFrame) -> None:
    """Give a handler other rows; ``process_data`` makes its views of them."""
    handler._data = rows


class SharedViews(DataHandlerLP):
    """A DataHandlerLP whose views share their features where Qlib's copies them; what ``fetch`` gives is the same.

    The learning view keeps the columns beside the features alone; its features are those of the inference view, and
    are put beside them for the rows that are asked for. So it is with ``process_type: append`` and learn processors
    of ``OF_ONE_GROUP`` whose fields_group is not the features. Others are named in the log, and get a copy.

    With ``drop_raw: true`` infer processors write over the raw features, and no second block is needed. Of the raw
    view the columns beside the features stay, such as the labels that Qlib's records read.
    """

    shared_processors: list[of_qlib.Processor]
    infer_processors: list[of_qlib.Processor]
    learn_processors: list[of_qlib.Processor]
    _raw_beside: pd.DataFrame | None = None
    _learn_beside: pd.DataFrame | None = None
    _learn_whole: pd.DataFrame | None = None

    def make_views(self, own: pd.DataFrame, with_fit: bool) -> None:
        """Process the raw rows; ``own`` are these, or a copy, and may be written into."""
        self._raw_beside = beside_features(own).copy() if self.drop_raw else None
        if self.process_type != self.PTYPE_A:
            super().process_data(with_fit=with_fit)
            return
        self._infer = self._inferred(own, with_fit)
        unknown = [name_of(processor) for processor in self.learn_processors if not leaves_features(processor)]
        if unknown or not self._infer.index.is_monotonic_increasing:
            if unknown:
                logger.info(f"The learning view copies the features, which may be changed by {', '.join(unknown)}.")
            own = self._infer if self._is_proc_readonly(self.learn_processors) else self._infer.copy()
            self._learn = self._run_proc_l(own, self.learn_processors, with_fit=with_fit, check_for_infer=False)
        else:
            own = beside_features(self._infer).copy()
            beside = self._run_proc_l(own, self.learn_processors, with_fit=with_fit, check_for_infer=False)
            self._learn_beside, self._learn_whole = beside, None
        if self.drop_raw:
            del self._data

    def _inferred(self, rows: pd.DataFrame, with_fit: bool) -> pd.DataFrame:
        """The rows of the inference view; the processors that put them into another block are named in the log."""
        copying = []
        for processor in [*self.shared_processors, *self.infer_processors]:
            before = values_of(rows)
            rows = self._run_proc_l(rows, [processor], with_fit=with_fit, check_for_infer=True)
            after = values_of(rows)
            if before is not None and (after is None or not np.may_share_memory(before, after)):
                copying.append(name_of(processor))
        if copying:
            logger.info(
                f"The inference view copies the features, which {', '.join(copying)} did not write over; "
                "qlib_ext.processors has RobustZScoreNorm, CSZScoreNorm and Fillna that do."
            )
        return rows

    def views(self) -> tuple[pd.DataFrame, dict | None]:
        """The rows of the inference view, and what ``put_views`` needs beside them; None where that is a block, too."""
        if self._learn_beside is None:
            return self._infer, None
        fitted = [unwrapped(processor) for processor in self._processors()]
        return self._infer, {"raw": self._raw_beside, "learn": self._learn_beside, "processors": fitted}

    def put_views(self, infer: pd.DataFrame, beside: dict) -> None:
        """Take what ``views`` gave of a handler with the same rows and options; its own processors are fitted then."""
        self._infer, self._raw_beside = infer, beside["raw"]
        self._learn_beside, self._learn_whole = beside["learn"], None
        for own, fitted in zip(self._processors(), beside["processors"], strict=True):
            vars(unwrapped(own)).update(vars(fitted))
        if self.drop_raw:
            del self._data

    def _processors(self) -> list[of_qlib.Processor]:
        return [*self.shared_processors, *self.infer_processors, *self.learn_processors]

    @property
    def _learn(self) -> pd.DataFrame:
        return self._learn_whole if self._learn_beside is None else self._with_features(self._learn_beside)

    @_learn.setter
    def _learn(self, rows: pd.DataFrame) -> None:
        self._learn_whole, self._learn_beside = rows, None

    def fetch(
        self,
        selector: Any = slice(None, None),
        level: str | int = "datetime",
        col_set: Any = DataHandlerLP.CS_ALL,
        data_key: str = DataHandlerLP.DK_I,
        squeeze: bool = False,
        proc_func: Callable | None = None,
    ) -> Any:
        """As in Qlib; the rows between two days are a view and no copy. Raises DataError where there are none."""
        require_loaded(self)
        rows = self._beside(data_key)
        beside_only = rows is not None and not {FEATURES, self.CS_ALL, self.CS_RAW} & set(
            [col_set] if isinstance(col_set, str) else col_set
        )
        if rows is None or (data_key == self.DK_R and not beside_only):
            rows = self._get_df_by_key(data_key)
            beside_only = True
        if isinstance(selector, slice) and level == "datetime" and self.fetch_orig:
            rows, selector = between(rows, selector.start, selector.stop), slice(None)
        if not beside_only:
            rows = self._with_features(self._fetch_data(rows, selector, level, self.CS_RAW))
        return self._fetch_data(rows, selector, level, col_set, squeeze, proc_func)

    def get_cols(self, col_set: Any = DataHandlerLP.CS_ALL, data_key: str = DataHandlerLP.DK_I) -> list:
        """As in Qlib."""
        shared = data_key == self.DK_L and self._learn_beside is not None
        columns: list = super().get_cols(col_set, self.DK_I if shared else data_key)
        return columns

    def _beside(self, data_key: str) -> pd.DataFrame | None:
        """What is kept beside the features of a view that shares them, or has dropped them."""
        return {self.DK_L: self._learn_beside, self.DK_R: self._raw_beside}.get(data_key)

    def _with_features(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows of the learning view with the features of the inference view where these stand in it."""
        infer = self._infer
        days, names = (level.sort_values() for level in infer.index.levels)
        places = np.searchsorted(cells_of(infer.index, days, names), cells_of(rows.index, days, names))
        features = infer.loc[:, is_feature(infer)]
        gapless = len(places) > 0 and places[-1] - places[0] + 1 == len(places)
        features = features.iloc[places[0] : places[-1] + 1] if gapless else features.iloc[places]
        whole = pd.concat([features.set_axis(rows.index), rows], axis=1)
        return whole if whole.columns.equals(infer.columns) else whole[infer.columns]


def is_feature(rows: pd.DataFrame) -> np.ndarray:
    """True for each column that is a feature."""
    return np.asarray(rows.columns.get_level_values(0) == FEATURES)


def beside_features(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns that are no features."""
    return rows.loc[:, ~is_feature(rows)]


def leaves_features(processor: of_qlib.Processor) -> bool:
    """Whether a processor is known to neither read nor write features."""
    own = unwrapped(processor)
    groups = getattr(own, "fields_group", None)
    groups = groups if isinstance(groups, list) else [groups]
    return type(own) in OF_ONE_GROUP and all(isinstance(group, str) and group != FEATURES for group in groups)

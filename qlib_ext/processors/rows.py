"""Which rows are learnt from."""

from __future__ import annotations

import pandas as pd
from qlib.data.dataset.processor import Processor


class KeepRows(Processor):
    """The rows of the frame that are among given ones, by (datetime, instrument); a learn processor.

    What is left out stays part of other samples' windows, since features come from the inference view: so a net learns
    nothing from new listings and suspended days, whatever the handler's universe, or from every fifth day alone.
    """

    def __init__(self, rows: pd.MultiIndex, fields_group: str = "label") -> None:
        self.rows = rows
        self.fields_group = fields_group

    def __call__(self, df: pd.DataFrame) -> pd.DataFrame:
        order = [df.index.names.index(name) for name in self.rows.names]
        own = df.index if order == [0, 1] else df.index.reorder_levels(order)
        return df[own.isin(self.rows)]

    def is_for_infer(self) -> bool:
        """Rows to be scored are not known by what is learnt."""
        return False

    def readonly(self) -> bool:
        """The frame is not written into."""
        return True

"""CSI300 by data without $vwap, such as Qlib's public ones of Yahoo: label and deals at the close."""

from __future__ import annotations

from dataclasses import replace

from qlib_ext.workflows.table.csi300 import ONCE
from qlib_ext.workflows.table.data import ALPHA158_CLOSE
from qlib_ext.workflows.table.entry import Entry


def without_vwap(once: str, title: str) -> Entry:
    """The model of a workflow, its stocks bought and sold at the close."""
    return replace(ONCE[once], title=title, data=ALPHA158_CLOSE, deal_price="close")


ENTRIES = {
    "yahoo_csi300_gru": without_vwap(
        "csi300_gru", "GRU on CSI300 by data without $vwap: bought and sold at the close."
    ),
    "yahoo_csi300_lightgbm": without_vwap(
        "csi300_lightgbm", "LightGBM on CSI300 by data without $vwap: bought and sold at the close."
    ),
}

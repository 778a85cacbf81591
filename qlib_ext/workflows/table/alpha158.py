"""The whole market by Alpha158: the models of CSI300 at full width."""

from __future__ import annotations

from dataclasses import replace

from qlib_ext.workflows.table.csi300 import ONCE
from qlib_ext.workflows.table.data import NORMAL_SCORES
from qlib_ext.workflows.table.entry import INDICES, Entry

ABOUT = """\
Training, validation and test are those of csi300_{}.yaml; the label is learnt as normal scores of its ranks, see
market_day_gru.yaml. One block of float32 holds the features from the
expressions to the model; QLIB_EXT_CACHE names the folder where it is kept for the next run, or is off."""


def whole_market(name: str, title: str) -> Entry:
    """The model of a workflow of CSI300 over all stocks."""
    once = ONCE[f"csi300_{name}"]
    data = replace(once.data, options=once.data.options | {"drop_raw": True})
    analysis = once.analysis | INDICES
    wide = replace(once, data=data, label_norm=NORMAL_SCORES, universe="all", benchmark="SH000905", analysis=analysis)
    return replace(wide, title=title, about=ABOUT.format(name))


ENTRIES = {
    "market_alpha158_gru": whole_market("gru", "The whole market by Alpha158: a GRU, each stock on its own."),
    "market_alpha158_astgnn": whole_market(
        "astgnn", "The whole market by Alpha158: a GRU with an adaptive graph across the day's stocks."
    ),
    "market_alpha158_gats": whole_market(
        "gats_ts", "The whole market by Alpha158: graph attention across the day's stocks over an LSTM."
    ),
    "market_alpha158_lightgbm": whole_market("lightgbm", "The whole market by Alpha158: Qlib's own LGBModel."),
}

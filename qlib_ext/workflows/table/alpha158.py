"""The whole market by Alpha158: the models of CSI300 at full width."""

from __future__ import annotations

from dataclasses import replace

from qlib_ext.workflows.table.csi300 import ONCE
from qlib_ext.workflows.table.data import NORMAL_SCORES, TRADED
from qlib_ext.workflows.table.entry import INDICES, Entry, Options, variable
from qlib_ext.workflows.table.frequencies import added

ABOUT = """\
Training, validation, test and net are those of csi300_{}.yaml; rows and label are those of market_day_gru.yaml: the
return of ten days, as normal scores of its ranks, of stocks that have been listed for sixty days and have a close; a
net learns every fifth day. FACTORS names columns beside the 158. market_alpha158_day.yaml adds such scores. One block
of float32 holds the features from the expressions to the model; QLIB_EXT_CACHE names the folder where it is kept for
the next run, or is off."""
TEN_DAYS: Options = {"label": "[['Ref($vwap, -11)/Ref($vwap, -1) - 1'], [LABEL0]]"}
FOUND: Options = {"file": variable("FACTORS", "'null'")}


def whole_market(name: str, title: str) -> Entry:
    """The model of a workflow of CSI300 over all stocks."""
    once = ONCE[f"csi300_{name}"]
    return replace(
        once,
        title=title,
        about=ABOUT.format(name),
        data=replace(once.data, options=once.data.options | FOUND | {"drop_raw": True} | TRADED | TEN_DAYS),
        label_norm=NORMAL_SCORES,
        universe="all",
        benchmark="SH000905",
        # trees of a small market need all days to split
        dataset=(once.dataset or {}) | ({} if once.model.name == "LGBModel" else {"sample_every": 5}),
        strategy={"only_tradable": True},
        analysis={"groups": 20} | INDICES,
    )


ENTRIES = {
    "market_alpha158_gru": whole_market("gru", "The whole market by Alpha158: a GRU, each stock on its own."),
    "market_alpha158_astgnn": whole_market(
        "astgnn", "The whole market by Alpha158: a GRU with an adaptive graph across the day's stocks."
    ),
    "market_alpha158_gats": whole_market(
        "gats_ts", "The whole market by Alpha158: graph attention across the day's stocks over an LSTM."
    ),
    "market_alpha158_lightgbm": whole_market("lightgbm", "The whole market by Alpha158: Qlib's own LGBModel."),
    "market_alpha158_day": added(
        "The whole market by Alpha158 and by day bars: the scores of LightGBM and of a GRU on each, added.",
        """\
Nothing is trained here: the scores of the experiments' test days are z-scored over the stocks and added. Of the sums
that were compared on validation years the steadiest, see benchmarks/README.md.""",
        {"groups": 20},
        market_alpha158_lightgbm=1,
        market_alpha158_gru=1,
        market_day_gru=1,
    ),
}

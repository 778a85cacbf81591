"""Comments that stand behind options in the files of the workflows."""

from __future__ import annotations

NOTES = {
    "seasoned_days": "a new stock runs from limit to limit at first: nobody can buy it",
    "traded_only": "nobody can buy a suspended stock, and a net ranks its calm highest",
    "drop_raw": "features are processed in place, without a second copy",
    "calendar": "true: weeks and months of the calendar, not blocks of 5 and 20 days",
    "expanding": "no day of training is dropped as the windows move on",
    "num_layers_gat": "K: 2 or 3 hears the neighbours' neighbours, and theirs",
    "share_weight": "false: the neighbours' states have a weight of their own; true: one for both",
    "node_embedding": "by a vector a stock, or by the day's states",
    "relation": "uniform, weighted, explicit or implicit: how strong a relation is",
    "rank_weight": "of the pairs in the wrong order, beside the squared errors",
    "proximity": "how strongly vectors of a group are drawn together",
    "batch_size": "rows of a step, rounded to whole days",
    "only_tradable": "else what is suspended in the portfolio blocks the places of sales",
    "sample_every": "train on every fifth day: the labels of ten days overlap",
    "LATE_SKEW_RET": "minute bars, exhibit 6",
    "BIGORDER_AMT_PERC": "trades, exhibit 25",
    "SKEW_ORDER_DIFF": "orders, exhibit 36",
}

"""High and low frequency by one GRU each, together, and added up: Huatai's report 72 and its ablations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qlib_ext.workflows.table.data import HIGHFREQ, fused, multi_frequency, recorded
from qlib_ext.workflows.table.entry import INDICES, Entry, Kind, Options, seeds, training, windows

FIVE_DAYS: Options = {"label": '"Ref($vwap, -6)/Ref($vwap, -1) - 1"', "groups": 10, "rebalance": 5}
WEIGHTING = "qlib_ext.models.weighting"

# ------------------------------------------------------------------------------------------- the high-frequency factors

GRU_OF_FACTORS = Entry(
    title="The whole market by 40 days of 27 high-frequency factors: a GRU.",
    about="""\
Retrained every half year on all days since the first, four years before the first test; three seeds averaged. The
label is the return of ten days from the next day's average price on, the test that of five, as in the report
(Huatai Securities, artificial intelligence series 72, exhibits 43 to 48).""",
    data=HIGHFREQ,
    days={"START": "2013-01-01", "TEST": "2017-01-01", "END": "2023-11-30"},
    model=Kind(
        "GRU",
        "qlib_ext.models.gru",
        {"hidden_size": 30, "num_layers": 1, "num_factors": 1, "orthogonality": 0.0, "activation": "sigmoid"}
        | {"loss": "ic", "metric": "ic"}
        | training(100, 0.005, 0.99, 10, batch_size=5000),
    ),
    rolling=windows("4Y", 0.2, "6M", expanding=True, **seeds("[0, 1, 2]")),
    dataset={"sample_every": 5},
    analysis={"groups": 10, "label": FIVE_DAYS["label"]} | INDICES,
)
SIGNS = {
    "LATE_SKEW_RET": -1,
    "DOWN_VOL_PERC": 1,
    "CORR_RET_LASTRET": -1,
    "CORR_CLOSE_NEXTOPEN": 1,
    "VOLUME_PERC2": 1,
    "VOLUME_PERC3": 1,
    "VOLUME_PERC4": 1,
    "VOLUME_PERC5": 1,
    "VOLUME_PERC6": 1,
    "VOLUME_PERC7": 1,
    "CORR_VOLUME_ITEM": -1,
    "EARLY_CORR_VOLUME_RET": 1,
    "BIGORDER_RET": -1,
    "DOWN_SINGLE_AMT_PERC": 1,
    "CORR_VOLUME_AMPLITUDE": -1,
    "BIGORDER_AMT_PERC": 1,
    "EARLY_BIGORDER_BUY_PERC": 1,
    "BIGORDER_RET2": -1,
    "EARLY_ACTIVE_BIGORDER_RET": 1,
    "CONCENTRATION_DIFF": -1,
    "EARLY_ACTIVE_BUY_PERC": 1,
    "CORR_NETACTIVEBUY_LASTRET": -1,
    "CORR_NETACTIVEBUY_NEXTRET": -1,
    "SKEW_ORDER_DIFF": -1,
    "KURT_ORDER_DIFF": -1,
    "EARLY_KURT_ORDER": -1,
    "CORR_BUYORDER_VOLUME_PRICE": -1,
}
HIGH = {
    "market_highfreq_gru": GRU_OF_FACTORS,
    "market_highfreq_icir": replace(
        GRU_OF_FACTORS,
        title="The whole market by 27 high-frequency factors, weighted by their ICIR: what a GRU of them is to beat.",
        about="""\
A linear weighting of the day's factors, each neutral to industry and size. As the GRU it is found anew every half
year on all days since the first, four years before the first test, and its sign comes from there; the last fifth,
which stops the GRU, it does not read.""",
        model=Kind("ICIRWeight", WEIGHTING),
        rolling=windows("4Y", 0.2, "6M", expanding=True),
        dataset={},
    ),
    "market_highfreq_equal": replace(
        GRU_OF_FACTORS,
        title="The whole market by 27 high-frequency factors, equally weighted: what a GRU of them is to beat.",
        about="""\
Nothing is trained: the score is the mean of the day's factors, each neutral to industry and size, z-scored and with
the sign that the report found (Huatai Securities, artificial intelligence series 72, exhibits 6, 25 and 36; the
signs are of 2013 to 2023, so that this baseline knows of its test years what a user then did not).""",
        days={"TEST": "2017-01-01", "END": "2023-11-30"},
        model=Kind("Fusion", WEIGHTING, {"weights": SIGNS}),
        rolling=None,
        dataset={},
    ),
}

# ------------------------------------------------------------------------------------------- day, week and month bars

HALF_YEARS = """\
Training and validation are those of market_multitask_gru.yaml: four to one, from 2011 on, retrained every half
year; STEP=1Y retrains every year, at half the cost. The label is the return of ten days from the next day's average
price on; as in the report the Rank IC and the groups are of five days."""
CALENDAR: Options = {"calendar": False}


def multi_task(**options: Any) -> Kind:
    """The net, with options of its own before those of its training."""
    own = {"hidden_size": 30, "num_layers": 1} | options
    return Kind("MultiTaskGRU", "qlib_ext.models.multitask_gru", own | training(100, 0.005, 0.99, 10, batch_size=5000))


TOGETHER = Entry(
    title="The whole market by 40 days, 20 weeks and 12 months of bars: one GRU for the three of them.",
    about="""\
Training and validation, four to one, begin in 2011 and grow by half a year with every retraining; the year before
completes the windows of twelve months. STEP=1Y retrains every year, at half the cost. The label is the return of
ten days from the next day's average price on; as in the report the Rank IC and the groups are of five days.

Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibits 50 to 52.""",
    data=multi_frequency("{day: 40, week: 20, month: 12}", **CALENDAR),
    days={"START": "2011-01-01", "TEST": "2017-01-01", "END": "2021-12-31"},
    model=multi_task(correlation_penalty=0.01),
    rolling=windows("6Y", 0.2, "6M", expanding=True, **seeds("[0, 1, 2]")),
    dataset={"sample_every": 5},
    strategy={"only_tradable": True},
    analysis=FIVE_DAYS | INDICES,
)
LOW = {
    "market_multitask_gru": TOGETHER,
    "market_multitask_unshared": replace(
        TOGETHER,
        title="The ablation of market_multitask_gru.yaml without sharing: a GRU for each of days, weeks and months.",
        about=HALF_YEARS,
        model=multi_task(share_gru=False, correlation_penalty=0.01),
    ),
    "market_multitask_day": replace(
        TOGETHER,
        title="The ablation of market_multitask_gru.yaml to one task: 40 days of bars alone.",
        about=HALF_YEARS,
        data=multi_frequency("{day: 40}"),
        model=multi_task(),
    ),
    "market_multitask_week": replace(
        TOGETHER,
        title="20 weeks of bars alone: what market_multitask_separate.yaml adds to market_multitask_day.yaml.",
        about=HALF_YEARS,
        data=multi_frequency("{week: 20}", **CALENDAR),
        model=multi_task(),
    ),
    "market_multitask_month": replace(
        TOGETHER,
        title="12 months of bars alone: what market_multitask_separate.yaml adds to market_multitask_day.yaml.",
        about=HALF_YEARS,
        data=multi_frequency("{month: 12}", **CALENDAR),
        model=multi_task(),
    ),
    "market_multitask_highfreq": replace(
        TOGETHER,
        title="The whole market by day, week and month bars and 40 days of high-frequency factors, learnt together.",
        about="""\
Four tasks: those of market_multitask_gru, and that of the factors, which have a GRU of their own. The factors begin
in 2013 and so does the training, two years later than on bars alone. The report found the joint training weaker
than the sum of the two scores, market_fusion. STEP=1Y retrains every year, at half the cost. The label is the
return of ten days from the next day's average price on; as in the report the Rank IC and the groups are of five
days.

Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), the text before exhibit 57.""",
        data=fused("{day: 40, week: 20, month: 12, highfreq: 40}"),
        days=TOGETHER.days | {"START": "2013-01-01"},
        model=multi_task(correlation_penalty=0.01),
        rolling=windows("4Y", 0.2, "6M", expanding=True, **seeds("[0, 1, 2]")),
        strategy={},
    ),
}

# ------------------------------------------------------------------------------------------- scores added up


def added(title: str, about: str, analysis: Options, **weights: int) -> Entry:
    """The scores of experiments, z-scored over the stocks of the day and added with weights."""
    return Entry(
        title=title,
        about=about,
        data=recorded(*weights, kind="score"),
        days={"TEST": "2017-01-01", "END": "2021-12-31"},
        model=Kind("Fusion", WEIGHTING, {"weights": "{" + ", ".join(f"{k}: {w}" for k, w in weights.items()) + "}"}),
        dataset=None,
        strategy={"only_tradable": True},
        analysis=analysis | INDICES,
    )


ADDED = {
    "market_multitask_separate": added(
        "The ablation of market_multitask_gru.yaml to three trainings: the scores of days, weeks and months, added.",
        """\
Nothing is trained here: the scores of the experiments' test days are z-scored over the stocks and added. As in the
report the Rank IC and the groups are of five days.""",
        FIVE_DAYS,
        market_multitask_day=1,
        market_multitask_week=1,
        market_multitask_month=1,
    ),
    "market_fusion": added(
        "High and low frequency, one to three: the fusion of two recorded scores.",
        """\
Nothing is trained here: the scores of the experiments' test days are z-scored over the stocks and added with the
weights.""",
        {"groups": 10, "label": FIVE_DAYS["label"]},
        market_highfreq_gru=1,
        market_multitask_gru=3,
    ),
}

ENTRIES = HIGH | LOW | ADDED

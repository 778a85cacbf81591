"""The whole market: nets on several data sets, and weightings of the weak factors that they leave."""

from __future__ import annotations

from dataclasses import replace

from qlib_ext.workflows.table.data import (
    BARS_WITH_FUNDAMENTALS,
    DAY,
    FLOWS,
    FOUND,
    FUNDAMENTALS,
    L2,
    MS,
    MSNEW,
    NORMAL_SCORES,
    TECHNICAL,
    WEEK,
    graph,
    of_families,
    recorded,
    related,
)
from qlib_ext.workflows.table.entry import INDICES, DataSet, Entry, Kind, Options, seeds, training, variable, windows

MARKET_TRAINING = training(20, 0.001, 0.995, 5, metric="rank_ic", days_per_batch=1)
MARKET_GRU = {"hidden_size": 64, "num_layers": 1, "num_factors": 32, "orthogonality": 1.0}
IMAGES = {"channels": [16, 32], "kernel_size": 3}
GRAPH = {
    "embedding_size": 16,
    "node_embedding": "{{ 'instrument' if GRAPH_GROUP else 'state' }}",
    "share_weight": "{{ not GRAPH_GROUP }}",
    "proximity": "{{ 10.0 if GRAPH_GROUP else 0.0 }}",
}
GRU = Kind("GRU", "qlib_ext.models.gru", MARKET_GRU | MARKET_TRAINING)
ASTGNN = Kind("ASTGNN", "qlib_ext.models.astgnn", MARKET_GRU | GRAPH | MARKET_TRAINING)
LIGHTGBM = Kind(
    "LGBModel",
    "qlib.contrib.model.gbdt",
    {
        "loss": "mse",
        "learning_rate": 0.05,
        "max_depth": 6,
        "num_leaves": 48,
        "colsample_bytree": 0.8,
        "subsample": 0.8,
        "subsample_freq": 1,
        "num_boost_round": 500,
        "early_stopping_rounds": 30,
    },
)
RSR = Kind(
    "RSR",
    "qlib_ext.models.rsr",
    {"relation": "implicit", "base_model": "LSTM", "hidden_size": 64, "num_layers": 1, "rank_weight": 1.0}
    | MARKET_TRAINING,
)
NETWORK_GAT = Kind(
    "NetworkGAT",
    "qlib_ext.models.network_gat",
    MARKET_GRU
    | {
        "weights": "{{ 'state' if STATE else 'equal' }}",
        "risk": variable("STATE", "'null'"),
        "num_heads": 4,
        "head_size": 16,
        "indicators": True,
    }
    | MARKET_TRAINING,
)
RESNET_GRU = Kind("ResNetGRU", "qlib_ext.models.resnet_gru", MARKET_GRU | IMAGES | MARKET_TRAINING)
RESNET_ASTGNN = replace(RESNET_GRU, options=MARKET_GRU | IMAGES | {"graph": True} | GRAPH | MARKET_TRAINING)


def data_set(title: str, data: DataSet, model: Kind, analysis: Options | None = None) -> Entry:
    """A net on one data set, whose weak factors are weighted later; analysis: further options of FactorRecord."""
    return Entry(
        title=title,
        about="""\
Six years of training, stopped by the seventh, score the five years after; STEP=1Y retrains every year as the
reports do, at five times the cost. The runs of the windows keep the weak factors of validation and test days, which
market_model1.yaml and its kin weight. The label is the return of ten days from the next day's average price on,
learnt as normal scores of its ranks: better than ranks and z-scores on each validation year, 2013 to 2016.\
""",
        data=data,
        days={"START": "2010-01-01", "TEST": "2017-01-01", "END": "2021-12-31"},
        model=model,
        label_norm=NORMAL_SCORES,
        rolling=windows("6Y", "1Y", "5Y", **seeds()),
        dataset={"sample_every": 5},
        strategy={"only_tradable": True} if "traded_only" in data.options else {},
        analysis={"groups": 20} | INDICES | (analysis or {}),
    )


DATA_SETS = {
    "market_day_gru": data_set("The whole market by 30 days of bars: a GRU.", DAY, GRU),
    "market_day_astgnn": data_set(
        "The whole market by 30 days of bars: a GRU with an adaptive graph across the day's stocks.",
        graph(DAY),
        ASTGNN,
    ),
    "market_rsr": data_set(
        "The whole market by 30 days of bars: an LSTM whose stocks hear of those of their industry.",
        related(DAY),
        RSR,
    ),
    "market_week_resnet_gru": data_set(
        "The whole market by 150 days as 30 images of five days: a residual net and a GRU.", WEEK, RESNET_GRU
    ),
    "market_week_astgnn": data_set(
        "The whole market by 150 days as 30 images of five days: a residual net, a GRU and an adaptive graph.",
        graph(WEEK),
        RESNET_ASTGNN,
    ),
    "market_msnew_resnet_gru": data_set(
        "The whole market by 30 days as images of eight half-hours: a residual net and a GRU.", MSNEW, RESNET_GRU
    ),
    "market_msnew_astgnn": data_set(
        "The whole market by 30 days as images of eight half-hours: a residual net, a GRU and an adaptive graph.",
        graph(MSNEW),
        RESNET_ASTGNN,
    ),
    "market_technical_gru": data_set(
        "The whole market by 30 days of technical indicators and candle states: a GRU.", TECHNICAL, GRU
    ),
    "market_fundamentals_gru": data_set(
        "The whole market by what companies report, as percentiles of the day: a GRU that sees one day.",
        FUNDAMENTALS,
        GRU,
    ),
    "market_network_gat": data_set(
        "The whole market by 30 days of bars and what companies report: a GRU whose stocks hear of those related.",
        related(BARS_WITH_FUNDAMENTALS),
        NETWORK_GAT,
        {"model": "<MODEL>"},
    ),
    "market_flows_gru": data_set(
        "The whole market by 30 days of flows of money by the size of orders: a GRU.", FLOWS, GRU
    ),
    "market_dp_gru": data_set(
        "The whole market by 30 days of factors that qlib-ext search has found: a GRU.", FOUND, GRU
    ),
    "market_dp_lightgbm": data_set(
        "The whole market by factors that qlib-ext search has found: LightGBM.", FOUND, LIGHTGBM
    ),
    "market_ms_gru": data_set("The whole market by 40 days of 15 factors of minute bars: a GRU.", MS, GRU),
    "market_l2_gru": data_set("The whole market by 40 days of 12 factors of trades and orders: a GRU.", L2, GRU),
}

# ----------------------------------------------------------------------------------------- weightings of what they left

EQUAL = Kind("EqualWeight", "qlib_ext.models.weighting")
ICIR = Kind("ICIRWeight", "qlib_ext.models.weighting")


STATE = Kind(
    "StateWeight", "qlib_ext.models.state_weighting", {"risk": variable("STATE", "'null'"), "start": "long_only"}
)


def weighting(title: str, model: Kind, data: DataSet, combination: str) -> Entry:
    """What other experiments left, weighted anew every 20 days."""
    return Entry(
        title=title,
        about=f"""\
{combination}

Each 20 test days have a weighting of their own, found on the 240 days before them: test days of the experiments, on
which no net was trained and by which none was stopped. The year after the experiments' first test day is history.\
""",
        days={"TEST": "2017-01-01", "MODEL_TEST": "2018-01-01", "END": "2021-12-31"},
        data=data,
        model=model,
        rolling={
            "train": variable("MODEL_TRAIN", "'240D'"),
            "valid": 0.2,
            "step": variable("MODEL_STEP", "'20D'"),
            **(seeds() if model in (LIGHTGBM, STATE) else {}),
            "n_jobs": 1,
        },
        strategy={"only_tradable": True},
        analysis={"groups": 20} | INDICES | ({"model": "<MODEL>"} if model is STATE else {}),
    )


def of_report(number: int, data: str, *experiments: str) -> Entry:
    return weighting(
        f"The weak factors of the data sets {data}, weighted: LightGBM.",
        LIGHTGBM,
        recorded(*experiments),
        f"The combination that report 96 of the series calls model {number}.",
    )


OWN = "Not one of the reports' combinations: all that day bars alone allow."
WEAK_FACTORS = {
    "market_model0": weighting(
        "The weak factors of the data sets day and week, weighted: LightGBM.",
        LIGHTGBM,
        recorded("market_day_gru", "market_week_resnet_gru"),
        OWN,
    ),
    "market_model0_equal": weighting(
        "The weak factors of the data sets day and week, weighted: all count the same.",
        EQUAL,
        recorded("market_day_gru", "market_week_resnet_gru"),
        OWN,
    ),
    "market_model0_icir": weighting(
        "The weak factors of the data sets day and week, weighted: by their ICIR.",
        ICIR,
        recorded("market_day_gru", "market_week_resnet_gru"),
        OWN,
    ),
    "market_model0_astgnn": weighting(
        "The weak factors of the data sets day and week by nets with a graph, weighted: LightGBM.",
        LIGHTGBM,
        recorded("market_day_astgnn", "market_week_astgnn"),
        OWN,
    ),
    "market_model1": of_report(1, "day, ms and l2", "market_day_gru", "market_ms_gru", "market_l2_gru"),
    "market_model2": of_report(2, "day, msnew and l2", "market_day_gru", "market_msnew_resnet_gru", "market_l2_gru"),
    "market_model3": of_report(
        3, "week, day, ms and l2", "market_week_resnet_gru", "market_day_gru", "market_ms_gru", "market_l2_gru"
    ),
    "market_model4": of_report(
        4,
        "week, day, msnew and l2",
        "market_week_resnet_gru",
        "market_day_gru",
        "market_msnew_resnet_gru",
        "market_l2_gru",
    ),
}

ML_C = """\
The composite that report 32 of the series on market microstructure calls ML_C. Its families are PV, G, C, HF and DP:
FAMILIES='[market_network_gat, market_technical_gru, market_flows_gru, market_highfreq_gru, market_dp_gru]'; the two by
default are what day bars alone allow.\
"""


def of_scores(how: str, model: Kind) -> Entry:
    return weighting(f"The scores of families of factors, weighted: {how}.", model, of_families(), ML_C)


FAMILIES = {
    "market_families": of_scores("LightGBM", LIGHTGBM),
    "market_families_equal": of_scores("all count the same", EQUAL),
    "market_families_icir": of_scores("by their ICIR", ICIR),
    "market_families_state": of_scores("by long-only returns and the market's state", STATE),
}

ENTRIES = DATA_SETS | WEAK_FACTORS | FAMILIES

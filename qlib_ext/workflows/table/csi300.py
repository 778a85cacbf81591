"""CSI300 by Alpha158, models of the reports beside the Model Zoo's: trained once, and every year."""

from __future__ import annotations

from dataclasses import replace

from qlib_ext.workflows.table.data import ALPHA158, RANKED, related
from qlib_ext.workflows.table.entry import DataSet, Entry, Kind, seeds, training, windows

CSI300_TRAINING = training(15, 0.0003, 0.998, 4, metric="rank_ic", days_per_batch=1) | seeds()
CSI300_GRU = {"hidden_size": 64, "num_layers": 2, "num_factors": 32, "orthogonality": 1.0, "dropout": 0.5}


def csi300(
    title: str,
    model: Kind,
    about: str = "GPU 0 is used where CUDA is at hand, else the CPU.",
    data: DataSet = ALPHA158,
) -> Entry:
    """A model that is trained once."""
    return Entry(
        title=title,
        about=about,
        data=data,
        days={
            "START": "2010-01-01",
            "TRAIN": "2010-01-01, 2015-12-31",
            "VALID": "2016-01-01, 2016-12-31",
            "TEST": "2017-01-01",
            "END": "2021-12-31",
        },
        model=model,
        label_norm=RANKED,
        universe="csi300",
        benchmark="SH000300",
        dataset={} if model.name == "LGBModel" else {"step_len": 20},
    )


ONCE = {
    "csi300_gru": csi300(
        "GRU on CSI300: the reports' baseline, each stock on its own.",
        Kind("GRU", "qlib_ext.models.gru", CSI300_GRU | CSI300_TRAINING),
    ),
    "csi300_lstm": csi300(
        "LSTM on CSI300: the Model Zoo's other recurrent net, each stock on its own.",
        Kind("GRU", "qlib_ext.models.gru", {"base_model": "LSTM"} | CSI300_GRU | CSI300_TRAINING),
    ),
    "csi300_astgnn": csi300(
        "ASTGNN on CSI300: a GRU with an adaptive graph across the day's stocks.",
        Kind(
            "ASTGNN",
            "qlib_ext.models.astgnn",
            CSI300_GRU | {"embedding_size": 16, "share_weight": False} | CSI300_TRAINING,
        ),
    ),
    "csi300_gats_ts": csi300(
        "GATs on CSI300: the Model Zoo's graph attention over an LSTM, on the true cross-sections of the day's stocks.",
        Kind(
            "GATs",
            "qlib_ext.models.gats",
            {"base_model": "LSTM", "hidden_size": 64, "num_layers": 2, "num_layers_gat": 1, "dropout": 0.5}
            | CSI300_TRAINING,
        ),
        about="""\
GPU 0 is used where CUDA is at hand, else the CPU. The model's option model_path: lstm.pkl starts the encoder from
an LSTM that was trained before, as the Zoo does.""",
    ),
    "csi300_rsr": csi300(
        "RSR on CSI300: Relational Stock Ranking, an LSTM whose stocks hear of those of their industry.",
        Kind(
            "RSR",
            "qlib_ext.models.rsr",
            {
                "relation": "implicit",
                "base_model": "LSTM",
                "hidden_size": 64,
                "num_layers": 2,
                "dropout": 0.5,
                "rank_weight": 1.0,
            }
            | CSI300_TRAINING,
        ),
        data=related(ALPHA158),
    ),
    "csi300_lightgbm": csi300(
        "LightGBM on CSI300: Qlib's own LGBModel with the Model Zoo's parameters.",
        Kind(
            "LGBModel",
            "qlib.contrib.model.gbdt",
            {
                "loss": "mse",
                "colsample_bytree": 0.8879,
                "learning_rate": 0.2,
                "subsample": 0.8789,
                "lambda_l1": 205.6999,
                "lambda_l2": 580.9768,
                "max_depth": 8,
                "num_leaves": 210,
            },
        ),
        about="""\
The data set is that of the nets: same rows, same label, same purging of the training years. LightGBM takes all
cores.""",
    ),
}


def every_year(once: str, title: str) -> Entry:
    """The model of a workflow that trains it once, trained anew every year."""
    entry = ONCE[once]
    options = dict(entry.model.options)
    seeded = seeds() if options.pop("seeds", None) else {}
    return replace(
        entry,
        title=title,
        about="""\
Each test year has a model of its own, trained on the five years before and stopped by the sixth. A run that was
stopped goes on where it was when it is started again. n_jobs trains several years at the same time.""",
        days={"START": "2010-01-01", "TEST": "2016-01-01", "END": "2021-12-31"},
        model=replace(entry.model, options=options),
        rolling=windows("5Y", "1Y", "1Y", **seeded),
    )


ROLLING = {
    "csi300_lstm_rolling": every_year("csi300_lstm", "LSTM on CSI300, retrained every year: the report's baseline."),
    "csi300_astgnn_rolling": every_year(
        "csi300_astgnn", "ASTGNN on CSI300, retrained every year: a GRU with an adaptive graph across the day's stocks."
    ),
    "csi300_gats_ts_rolling": every_year(
        "csi300_gats_ts",
        "GATs on CSI300, retrained every year: the report's twelve YAML files and its merge by hand, in one.",
    ),
    "csi300_lightgbm_rolling": every_year(
        "csi300_lightgbm",
        "LightGBM on CSI300, retrained every year: Qlib's own LGBModel with the Model Zoo's parameters.",
    ),
}


ENTRIES = ONCE | ROLLING

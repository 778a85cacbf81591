"""Do graphs help? Nets without and with a graph on the same samples, each with four settings, paired day by day.

A net is trained with each of its four settings and the first seed; the setting of the best validation Rank IC is
trained with the other seeds, too. What the test days gave is compared with the GRU of the same seed: the mean over
days of the difference in Rank IC, and its standard error by Newey and West with as many lags as the label has days,
since the labels of neighbouring days overlap.

markets: csi300, the data set of workflows/csi300_rsr.yaml; all, that of market_rsr.yaml, both 2010-2015, 2016 and
2017-2021; simulated, the former with three fifths, a fifth and a fifth of the days of a simulated market.

A training is one row of benchmarks/graphs.csv; one that stands there is not repeated. What the test days gave is kept
beside it, day by day, in --days.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import qlib
import torch
from qlib.data.dataset.handler import DataHandlerLP
from qlib.utils import init_instance_by_config

from benchmarks.measure import newey_west, table
from qlib_ext.cross_section.ic import daily_rank_ic
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.expressions.reach import label_reach
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.base import NeuralModel
from qlib_ext.models.gats import GATs
from qlib_ext.models.graph_gru import GraphGRU
from qlib_ext.models.gru import GRU
from qlib_ext.models.rsr import RSR
from qlib_ext.workflows.reading import read_workflow

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "graphs.csv"
FILES = {"csi300": "csi300_rsr", "all": "market_rsr", "simulated": "csi300_rsr"}
REAL = {"train": ("2010-01-01", "2015-12-31"), "valid": ("2016-01-01", "2016-12-31"), "test": ("2017-01-01", None)}
TRAINING = {"n_epochs": 15, "early_stop": 4, "metric": "rank_ic", "ema_decay": 0.998, "dropout": 0.5, "GPU": 0}
SIZE = {"hidden_size": 64, "num_layers": 2}
RATES = {"lr": [0.0003, 0.001]}
MEAN = {"temperature": float("inf")}
VECTORS = {"node_embedding": "instrument", "share_weight": False}
BASELINE = "GRU"
# each net has two rates and two values of one option of its own: the same number of trainings
MODELS: dict[str, tuple[type[NeuralModel], dict[str, Any], dict[str, list]]] = {
    BASELINE: (GRU, {}, {"dropout": [0.0, 0.5]}),
    "ASTGNN": (ASTGNN, {}, {"share_weight": [True, False]}),
    "ASTGNN, industry prior": (ASTGNN, VECTORS, {"proximity": [1.0, 10.0]}),
    "GraphGRU": (GraphGRU, {}, {"neighbours": [None, 20]}),
    "GraphGRU, mean of the market": (GraphGRU, MEAN, {"dropout": [0.0, 0.5]}),
    "RSR implicit": (RSR, {"relation": "implicit", "base_model": "GRU"}, {"rank_weight": [0.1, 1.0]}),
    "RSR explicit": (RSR, {"relation": "explicit", "base_model": "GRU"}, {"rank_weight": [0.1, 1.0]}),
    "GATs": (GATs, {}, {"num_layers_gat": [1, 2]}),
}


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    if not options.table:
        run_market(options)
    print(summary(pd.read_csv(RESULTS)))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.graphs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  python -m benchmarks.graphs simulated --data .data/simulated
  python -m benchmarks.graphs csi300 --data .data/real/cn_2010_2021
  TURNOVER='$turnover' python -m benchmarks.graphs all --data .data/real/cn_2010_2021
  python -m benchmarks.graphs --table                     only the table of what has been run
""",
    )
    parser.add_argument("market", nargs="?", choices=FILES, help="csi300, all or simulated")
    parser.add_argument("--data", default=os.environ.get("QLIB_DATA"), metavar="DIR", help="provider with $industry")
    parser.add_argument("--days", default=".data/graphs", metavar="DIR", help="where the days' Rank IC are kept")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="seeds (default: 0 1 2)")
    parser.add_argument("--epochs", type=int, default=TRAINING["n_epochs"], help="at most so many (default: 15)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    if not options.table and not (options.market and options.data):
        parser.error("name a market, and a provider folder with --data or QLIB_DATA")
    return options


def run_market(options: argparse.Namespace) -> None:
    """Every training of one market that is not recorded yet, the baseline first."""
    workflow = read_workflow(HERE.parent / "workflows" / f"{FILES[options.market]}.yaml", os.environ)
    qlib.init(provider_uri=options.data, region="cn", logging_level=30)
    dataset = dataset_of(workflow.config["task"]["dataset"], options.market)
    label = dataset.handler.fetch(col_set="label", data_key=DataHandlerLP.DK_R).iloc[:, 0]
    lags = label_reach(dataset.handler, "auto")
    names = [BASELINE, *(name for name in options.models if name != BASELINE)]
    for seed, name in product(options.seeds, names):
        settings = list(settings_of(name)) if seed == options.seeds[0] else [chosen(options.market, name)]
        for setting in settings:
            run = {"market": options.market, "model": name, "setting": str(setting), "seed": seed}
            if recorded(run):
                continue
            start = time.perf_counter()
            model, valid = fit(name, setting, seed, options.epochs, dataset)
            ic = daily_rank_ic(model.predict(dataset), label).dropna()
            minutes = (time.perf_counter() - start) / 60
            record(run | {"valid_rank_ic": valid, "minutes": round(minutes, 1)}, ic, lags, Path(options.days))


def dataset_of(config: dict, market: str) -> CrossSectionDataset:
    """The workflow's data set with industries as groups, too, and the segments of the market."""
    kwargs = config["kwargs"]
    kwargs["handler"]["kwargs"]["group"] = "$industry"
    kwargs["segments"] = REAL
    if market == "simulated":
        from qlib.data import D

        days = D.calendar()
        first, second = days[len(days) * 3 // 5], days[len(days) * 4 // 5]
        kwargs["handler"]["kwargs"] |= {"start_time": days[0], "end_time": days[-1]}
        kwargs["handler"]["kwargs"] |= {"fit_start_time": days[0], "fit_end_time": first}
        kwargs["segments"] = {"train": (days[0], first), "valid": (_after(days, first), second)}
        kwargs["segments"]["test"] = (_after(days, second), days[-1])
    return init_instance_by_config(config)


def _after(days: np.ndarray, day: pd.Timestamp) -> pd.Timestamp:
    return days[days > day][0]


def settings_of(name: str) -> Iterator[dict[str, Any]]:
    """The four settings of a model."""
    grid = RATES | MODELS[name][2]
    for values in product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def chosen(market: str, name: str) -> dict[str, Any]:
    """The setting of the best validation Rank IC among those trained with the first seed."""
    known = pd.read_csv(RESULTS)
    known = known[(known.market == market) & (known.model == name)]
    first = known[known.seed == known.seed.iloc[0]]
    best = first.loc[first.valid_rank_ic.idxmax(), "setting"]
    return next(setting for setting in settings_of(name) if str(setting) == best)


def fit(name: str, setting: dict, seed: int, epochs: int, dataset: CrossSectionDataset) -> tuple[NeuralModel, float]:
    """A trained model and the validation Rank IC that its weights were kept for."""
    kind, own, _ = MODELS[name]
    model = kind(**SIZE | TRAINING | {"n_epochs": epochs} | own | setting | {"seed": seed})
    model.fit(dataset)
    return model, max(model.curves_[0]["valid_rank_ic"])


def record(run: dict, ic: pd.Series, lags: int, folder: Path) -> None:
    """Append one training, and keep its test days."""
    folder.mkdir(parents=True, exist_ok=True)
    ic.rename("rank_ic").to_frame().to_parquet(days_file(run, folder))
    row = run | {"rank_ic": ic.mean(), "icir": ic.mean() / ic.std(), "days": len(ic)}
    row |= {"difference": np.nan, "standard_error": np.nan}
    if run["model"] != BASELINE:
        setting = str(chosen(run["market"], BASELINE))
        baseline = days_file(run | {"model": BASELINE, "setting": setting}, folder)
        if not baseline.exists():
            sys.exit(f"{baseline} is not there: delete the rows of {BASELINE} in {RESULTS}, or give its --days")
        difference = (ic - pd.read_parquet(baseline)["rank_ic"]).dropna()
        row |= {"difference": difference.mean(), "standard_error": newey_west(difference.to_numpy(), lags)}
    pd.DataFrame([row]).to_csv(RESULTS, mode="a", header=not RESULTS.exists(), index=False, float_format="%.6g")


def days_file(run: dict, folder: Path) -> Path:
    name = "_".join(str(run[key]) for key in ("market", "model", "seed", "setting"))
    return folder / ("".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name) + ".parquet")


def recorded(run: dict) -> bool:
    if not RESULTS.exists():
        return False
    known = pd.read_csv(RESULTS)
    return bool((known[list(run)] == pd.Series(run)).all(axis=1).any())


def summary(results: pd.DataFrame) -> str:
    """One line a model and market: its chosen setting, means over the seeds, and the difference from the GRU.

    The standard error of the mean difference takes the seeds' errors as one and the same: they share their days.
    """
    lines = []
    for (market, name), runs in results.groupby(["market", "model"], sort=False):
        first = runs[runs.seed == runs.seed.iloc[0]]
        setting = first.loc[first.valid_rank_ic.idxmax(), "setting"]
        own = runs[runs.setting == setting]
        mean = own.mean(numeric_only=True)
        spread = f" ± {own.rank_ic.std():.4f}" if len(own) > 1 else ""
        difference = "" if np.isnan(mean.difference) else f"{mean.difference:+.4f} ± {mean.standard_error:.4f}"
        figures = (f"{mean.valid_rank_ic:.4f}", f"{mean.rank_ic:.4f}{spread}", f"{mean.icir:.2f}", difference)
        lines.append(
            (market, name, setting.strip("{}").replace("'", ""), str(len(own)), *figures, f"{mean.minutes:.0f}")
        )
    head = ("market", "model", "setting", "seeds", "validation", "Rank IC", "ICIR", "minus GRU", "minutes a run")
    return table(head, lines)


if __name__ == "__main__":
    main()

"""Our models beside the Model Zoo's on the same real data: CSI300, same rows, label, dates, backtest.

Every run is a ``qrun`` of its own: ours of the files in workflows/, the Zoo's of the same file with task.model and
task.dataset put in its place, with the parameters of the Zoo's own Alpha158 workflows. What a run came to is kept in
benchmarks/zoo.csv; a run that stands there with the same configuration is not repeated, so a benchmark that was
stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks.measure import machine, table
from qlib_ext.analysis.compare.runs import METRICS, PERCENT, read_runs
from qlib_ext.recorder.runs import store_of
from qlib_ext.workflows.reading import read_workflow

HERE = Path(__file__).resolve().parent
WORKFLOWS = HERE.parent / "workflows"
RESULTS = HERE / "zoo.csv"

# the features and parameters of examples/benchmarks/*/workflow_config_*_Alpha158.yaml of Qlib 0.9.7
FEATURES = ["RESI5", "WVMA5", "RSQR5", "KLEN", "RSQR10", "CORR5", "CORD5", "CORR10", "ROC60", "RESI10"]
FEATURES += ["VSTD5", "RSQR60", "CORR60", "WVMA60", "STD5", "RSQR20", "CORD60", "CORD10", "CORR20", "KLOW"]
NET = {"d_feat": 20, "hidden_size": 64, "num_layers": 2, "batch_size": 800, "metric": "loss", "loss": "mse", "GPU": 0}
SHORT = {"n_epochs": 5, "early_stop": 5, "n_jobs": 0}  # the Zoo's 200 and 10 take days on two cores
GATS = NET | SHORT | {"dropout": 0.7, "lr": 1e-4, "base_model": "LSTM"}
del GATS["batch_size"]
MLP = {"loss": "mse", "lr": 0.002, "optimizer": "adam", "max_steps": 8000, "batch_size": 8192, "weight_decay": 0.0002}
MLP |= {"GPU": 0, "scheduler": None}  # its default one fails with torch >= 2.10: Qlib compares versions as text
ZOO: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Linear": ("linear.LinearModel", "rows", {"estimator": "ols"}),
    "MLP": ("pytorch_nn.DNNModelPytorch", "rows", MLP | {"pt_model_kwargs": {"input_dim": 158}}),
    "GRU": ("pytorch_gru_ts.GRU", "windows", NET | SHORT | {"dropout": 0.0, "lr": 2e-4}),
    "LSTM": ("pytorch_lstm_ts.LSTM", "windows", NET | SHORT | {"dropout": 0.0, "lr": 1e-3}),
    "ALSTM": ("pytorch_alstm_ts.ALSTM", "windows", NET | SHORT | {"dropout": 0.0, "lr": 1e-3, "rnn_type": "GRU"}),
    "GATs, leaking": ("pytorch_gats_ts.GATs", "windows", GATS),
}
ENSEMBLE = {"base_model": "gbm", "loss": "mse", "num_models": 3, "sub_weights": [1, 1, 1], "epochs": 28, "decay": 0.5}
ENSEMBLE |= {"enable_sr": True, "enable_fs": True, "alpha1": 1, "alpha2": 1, "bins_sr": 10, "bins_fs": 5}
ENSEMBLE |= {"sample_ratios": [0.8, 0.7, 0.6, 0.5, 0.4], "colsample_bytree": 0.8879, "subsample": 0.8789}
ENSEMBLE |= {"learning_rate": 0.2, "lambda_l1": 205.6999, "lambda_l2": 580.9768, "max_depth": 8, "num_leaves": 210}
ENSEMBLE |= {"verbosity": -1, "num_threads": 1}
TREES: dict[str, dict[str, Any]] = {  # what stands in the workflow csi300_lightgbm in its model's place
    "Zoo LightGBM": {},
    "Zoo DoubleEnsemble": {
        "class": "DEnsembleModel",
        "module_path": "qlib.contrib.model.double_ensemble",
        "kwargs": ENSEMBLE,
    },
}
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "GRU": ("csi300_gru", {}),
    "LSTM": ("csi300_lstm", {}),
    "GATs K=1": ("csi300_gats_ts", {}),
    "GATs K=2": ("csi300_gats_ts", {"num_layers_gat": 2}),
    "GATs K=3": ("csi300_gats_ts", {"num_layers_gat": 3}),
    "ASTGNN": ("csi300_astgnn", {}),
    "GRU, three seeds": ("csi300_gru", {"seeds": [0, 1, 2]}),
    "ASTGNN, three seeds": ("csi300_astgnn", {"seeds": [0, 1, 2]}),
}
NAMES = [*TREES, *(f"Zoo {name}" for name in ZOO), *OURS]
UNSEEDED = {"Zoo Linear", *(name for name, (_, changes) in OURS.items() if "seeds" in changes)}  # run once


def main() -> None:
    options = parse_arguments()
    if not options.table:
        run_all(options)
    print(machine(options.threads), end="\n\n")
    print(summary(pd.read_csv(RESULTS)))


def run_all(options: argparse.Namespace) -> None:
    """Every run that is not recorded yet; one that fails does not stop the others."""
    environment = os.environ | {
        "QLIB_DATA": str(Path(options.data).expanduser().resolve()),
        "QLIB_RUNS": str(Path(options.runs).resolve()),
        "OMP_NUM_THREADS": str(options.threads),
    }
    for name, seed in jobs(options.models, options.seeds):
        workflow = configuration(name, seed, environment)
        if not recorded(name, seed, workflow):
            try:
                record(name, seed, workflow, run(name, workflow, environment))
            except subprocess.CalledProcessError as error:
                print(f"{name}, seed {seed}: {error}", file=sys.stderr)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.zoo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""example:
  python ../shared/market/build_provider.py --out .data/real --which daily
  python -m benchmarks.zoo --data .data/real/cn_2010_2021
  python -m benchmarks.zoo --table                        only the table of what has been run

Several processes may share the work: give each its own --runs and other --models.
""",
    )
    parser.add_argument(
        "--data", default=os.environ.get("QLIB_DATA"), metavar="DIR", help="provider (default: $QLIB_DATA)"
    )
    parser.add_argument("--runs", default="mlruns", metavar="DIR", help="the recorder's folder (default: mlruns)")
    parser.add_argument("--models", nargs="+", default=NAMES, choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="seeds (default: 0 1 2)")
    parser.add_argument("--threads", type=int, default=1, help="threads of one run (default: 1)")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    if not options.table and not options.data:
        parser.error("name a provider folder with --data or QLIB_DATA")
    return options


def jobs(models: list[str], seeds: list[int]) -> Iterator[tuple[str, int]]:
    """Every model with the first seed, then with the next."""
    for place, seed in enumerate(seeds):
        for name in models:
            if place == 0 or name not in UNSEEDED:
                yield name, seed


def configuration(name: str, seed: int, environment: dict[str, str]) -> dict:
    """The workflow of one run."""
    if name in OURS:
        file, changes = OURS[name]
        workflow = read_workflow(WORKFLOWS / f"{file}.yaml", environment | {"SEEDS": f"[{seed}]"}).config
        workflow["task"]["model"]["kwargs"].update(changes)
        return workflow
    seeded = {} if name in UNSEEDED else {"seed": seed}
    if name in TREES:
        workflow = read_workflow(WORKFLOWS / "csi300_lightgbm.yaml", environment).config
        workflow["task"]["model"] |= copy.deepcopy(TREES[name])
        workflow["task"]["model"]["kwargs"].update(seeded)
        return workflow
    workflow = read_workflow(WORKFLOWS / "csi300_gru.yaml", environment).config
    path, reads, kwargs = ZOO[name.removeprefix("Zoo ")]
    module, _, kind = path.rpartition(".")
    model = {"class": kind, "module_path": f"qlib.contrib.model.{module}", "kwargs": kwargs | seeded}
    workflow["task"]["model"] = copy.deepcopy(model)
    workflow["task"]["dataset"] = zoo_dataset(workflow["task"]["dataset"], reads)
    return workflow


def zoo_dataset(ours: dict, reads: str) -> dict:
    """Qlib's dataset over our handler: all 158 columns as rows, or windows of the Zoo's 20 columns."""
    kwargs = copy.deepcopy(ours["kwargs"])
    if reads == "rows":
        del kwargs["step_len"]
        return {"class": "DatasetH", "module_path": "qlib.data.dataset", "kwargs": kwargs}
    columns = {"class": "FilterCol", "kwargs": {"fields_group": "feature", "col_list": FEATURES}}
    kwargs["handler"]["kwargs"]["infer_processors"].insert(0, columns)
    return {"class": "TSDatasetH", "module_path": "qlib.data.dataset", "kwargs": kwargs}


def run(name: str, workflow: dict, environment: dict[str, str]) -> dict[str, Any]:
    """Run a workflow; its metrics and the minutes it took."""
    experiment = "zoo_" + "".join(letter if letter.isalnum() else "_" for letter in name).lower()
    folder = Path(environment["QLIB_RUNS"])
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{experiment}.yaml"
    file.write_text(yaml.safe_dump(workflow | {"experiment_name": experiment, "sys": {"rel_path": [str(HERE.parent)]}}))
    print(f"{datetime.datetime.now():%H:%M} {name}: qrun {file}", file=sys.stderr, flush=True)
    start = time.perf_counter()
    with open(file.with_suffix(".log"), "a") as log:
        subprocess.run(
            [Path(sys.executable).with_name("qrun"), file], env=environment, stdout=log, stderr=log, check=True
        )
    minutes = (time.perf_counter() - start) / 60
    summary = read_runs(store_of(folder), experiment)[0]
    metrics = summary.metrics | summary.logged  # by Qlib's year, as the Zoo's
    return {**{column: metrics[column] for column in METRICS}, "minutes": round(minutes, 1)}


def digest(workflow: dict) -> str:
    """What tells one configuration of a model from another: its parameters but for the seeds, and the dates."""
    model, dataset = workflow["task"]["model"], workflow["task"]["dataset"]
    kwargs = {key: value for key, value in model["kwargs"].items() if key not in ("seed", "seeds")}
    what = [model | {"kwargs": kwargs}, dataset["kwargs"]["segments"]]
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:12]


def recorded(name: str, seed: int, workflow: dict) -> bool:
    if not RESULTS.exists():
        return False
    known = pd.read_csv(RESULTS)
    return bool(((known.model == name) & (known.seed == seed) & (known.configuration == digest(workflow))).any())


def record(name: str, seed: int, workflow: dict, metrics: dict[str, Any]) -> None:
    """Append one run."""
    row = {
        "model": name,
        "seed": seed,
        "configuration": digest(workflow),
        "date": f"{datetime.date.today()}",
        **metrics,
    }
    pd.DataFrame([row]).to_csv(RESULTS, mode="a", header=not RESULTS.exists(), index=False)


def summary(results: pd.DataFrame) -> str:
    """One line a model: mean ± standard deviation over its seeds, the best mean of each column in bold.

    Of a model that was run with several configurations the last one counts.
    """
    results = results[results.configuration == results.groupby("model").configuration.transform("last")]
    order = [name for name in NAMES if name in set(results.model)]
    columns = [*METRICS, "minutes"]
    mean, spread = (results.groupby("model")[columns].agg(how).loc[order] for how in ("mean", "std"))
    fair = [name for name in order if "leaking" not in name]
    lines = []
    for name in order:
        cells = [name, str((results.model == name).sum())]
        for column in METRICS:
            text = cell(mean.at[name, column], spread.at[name, column], column in PERCENT)
            cells.append(
                f"**{text}**" if name in fair and mean.at[name, column] == mean.loc[fair, column].max() else text
            )
        lines.append((*cells, f"{mean.at[name, 'minutes']:.0f}"))
    return table(("model", "runs", *METRICS, "minutes a run"), lines)


def cell(mean: float, spread: float, percent: bool) -> str:
    figures = [mean] if np.isnan(spread) else [mean, spread]
    return " ± ".join(f"{figure:.2%}" if percent else f"{figure:.4f}" for figure in figures)


if __name__ == "__main__":
    main()

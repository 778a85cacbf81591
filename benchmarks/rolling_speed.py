"""Twelve windows by one rolling qrun, against twelve qruns of the Model Zoo's way. Prints one table.

The Zoo's way is a workflow for each window, with Qlib's own handler, processors and dataset, and the windows' pred.pkl
merged by hand afterwards. Ours is one workflow with RollingModel. Both run as their user runs them, ``qrun FILE``, on
the same provider, with the same windows and the same inner net or trees; neither runs a backtest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from qlib.contrib.model.gbdt import LGBModel
from qlib.contrib.model.pytorch_gru_ts import GRU as ZooGRU

from benchmarks.measure import machine, table, target, times
from qlib_ext.models.gru import GRU
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.rolling.windows import RollingWindow, plan
from qlib_ext.simulator.simulate import write_market

HERE = Path(__file__).resolve().parent
LOG = "ROLLING_SPEED_LOG"  # names the file that every fit adds its seconds to
TREES = {"loss": "mse", "learning_rate": 0.2, "max_depth": 8, "num_leaves": 210, "num_threads": 1}
NET = {"hidden_size": 64, "num_layers": 2, "lr": 2e-4, "n_epochs": 2, "batch_size": 800, "GPU": -1, "seed": 0}
INNER: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "LightGBM": {"ours": ("TimedLGBModel", TREES), "zoo": ("TimedLGBModel", TREES)},
    "GRU": {
        "ours": ("TimedGRU", NET | {"num_factors": 1, "orthogonality": 0.0}),
        "zoo": ("TimedZooGRU", NET | {"d_feat": 158, "n_jobs": 0}),
    },
}
TARGETS = {"LightGBM": 2.0, "GRU": 3.0}
AROUND_TARGET = 8.0
LENGTHS = {"train": "2Y", "valid": "6M", "step": "2M"}
WINDOWS = 12


class Timed:
    """Beside a model: its fit writes down how long it took."""

    def fit(self, *args: Any, **kwargs: Any) -> None:
        start = time.perf_counter()
        super().fit(*args, **kwargs)  # type: ignore[misc]
        with open(os.environ[LOG], "a") as log:
            log.write(json.dumps(time.perf_counter() - start) + "\n")


class TimedLGBModel(Timed, LGBModel):
    """Qlib's LightGBM."""


class TimedZooGRU(Timed, ZooGRU):
    """The Zoo's GRU."""


class TimedGRU(Timed, GRU):
    """Our GRU."""


def main() -> None:
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        provider = Path(folder) / "market"
        write_market(provider, stocks=options.stocks, days=options.days, start="2012-01-04")
        days = read_calendar(provider)
        start = pd.Timestamp("2014-09-01")
        test = (start, start + pd.DateOffset(months=2 * WINDOWS) - pd.Timedelta(days=1))
        windows = plan(days, test, **LENGTHS, reach=2)
        assert len(windows) == WINDOWS, f"{len(windows)} windows; give more --days"
        lines = []
        for name in options.models:
            lines += compared(name, provider, windows, test, Path(folder), options.jobs)
    print(machine(1), end="\n\n")
    seconds = ("whole, seconds", "Zoo", "ratio", "target", "all but the fits, seconds", "Zoo", "ratio", "target")
    print(table(("inner model", *seconds, "peak GB", "Zoo, one window"), lines))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rolling_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stocks", type=int, default=300, help="stocks of the simulated market (300)")
    parser.add_argument("--days", type=int, default=1250, help="its trading days from 2012 on (1250)")
    parser.add_argument("--models", nargs="+", default=list(INNER), choices=list(INNER), help="inner models")
    parser.add_argument("--jobs", type=int, default=1, help="another line with so many windows at a time (1: none)")
    return parser.parse_args()


def compared(
    name: str, provider: Path, windows: list[RollingWindow], test: tuple, folder: Path, jobs: int
) -> list[tuple[str, ...]]:
    """Both ways once, a line of the table; another of ours with several windows at a time, on as many cores."""
    ours = run([our_workflow(name, provider, test, 1)], folder / f"{name}_ours")
    zoo = run([zoo_workflow(name, provider, window) for window in windows], folder / f"{name}_zoo")
    figures = [*gain("whole", ours, zoo, TARGETS[name]), *gain("around", ours, zoo, AROUND_TARGET)]
    lines = [(name, *figures, f"{ours['peak']:.2f}", f"{zoo['peak']:.2f}")]
    if jobs > 1:
        several = run([our_workflow(name, provider, test, jobs)], folder / f"{name}_several")
        figures = [*gain("whole", several, zoo, TARGETS[name]), *[""] * 4]  # fits overlap: nothing is left around them
        lines.append((f"{name}, {jobs} windows at a time", *figures, f"{several['peak']:.2f}", f"{zoo['peak']:.2f}"))
    return lines


def gain(what: str, ours: dict[str, float], zoo: dict[str, float], goal: float) -> list[str]:
    """Four cells: our seconds, the Zoo's, the ratio, and whether it is as high as asked."""
    ratio = zoo[what] / ours[what]
    return [f"{ours[what]:.0f}", f"{zoo[what]:.0f}", times(ratio), target(goal, ratio, at_least=True)]


def run(workflows: list[dict], folder: Path) -> dict[str, float]:
    """Seconds of all qruns together, those outside of the fits, and the highest memory of any one process tree."""
    folder.mkdir()
    log = folder / "fits"
    environment = os.environ | {LOG: str(log), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
    whole, peak = 0.0, 0.0
    for number, workflow in enumerate(workflows):
        manager = {"uri": f"sqlite:///{folder}/runs/mlflow.db", "default_exp_name": "rolling_speed"}
        workflow["qlib_init"]["exp_manager"]["kwargs"] = manager
        file = folder / f"{number}.yaml"
        file.write_text(yaml.safe_dump(workflow))
        start = time.perf_counter()
        with open(folder / "log", "a") as output:
            qrun = subprocess.Popen(
                [Path(sys.executable).with_name("qrun"), file], env=environment, stdout=output, stderr=output
            )
            peak = max(peak, highest_memory(qrun))
        whole += time.perf_counter() - start
        if qrun.returncode:
            raise RuntimeError(f"{file} failed:\n{(folder / 'log').read_text()[-2000:]}")
    fits = sum(json.loads(line) for line in log.read_text().splitlines())
    return {"whole": whole, "around": whole - fits, "peak": peak / 1e9}


def highest_memory(process: subprocess.Popen) -> float:
    """Wait for a process; the most bytes that it and its children held together, pages they share counted once."""
    highest = 0.0
    while process.poll() is None:
        highest = max(highest, sum(proportional_bytes(pid) for pid in (process.pid, *children(process.pid))))
        time.sleep(0.2)
    return highest


def children(pid: int) -> list[int]:
    try:
        own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return own + [below for child in own for below in children(child)]


def proportional_bytes(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:")), 0)


def our_workflow(name: str, provider: Path, test: tuple, jobs: int) -> dict:
    kind, kwargs = INNER[name]["ours"]
    inner = {"class": kind, "module_path": "benchmarks.rolling_speed", "kwargs": kwargs}
    windows = LENGTHS | {"model": inner, "n_jobs": jobs}
    model = {"class": "RollingModel", "module_path": "qlib_ext.rolling", "kwargs": windows}
    segments = {"test": [str(day.date()) for day in test]}
    handler = handler_of("Alpha158vwap", "handlers.alpha158vwap", segments["test"], "qlib_ext.processors.normalise")
    dataset = {"class": "CrossSectionDataset", "module_path": "qlib_ext.data.dataset"}
    return workflow(provider, model, dataset | {"kwargs": {"handler": handler, "segments": segments, "step_len": 20}})


def zoo_workflow(name: str, provider: Path, window: RollingWindow) -> dict:
    kind, kwargs = INNER[name]["zoo"]
    segments = {part: [str(day.date()) for day in days] for part, days in window.segments().items()}
    handler = handler_of("Alpha158vwap", "qlib.contrib.data.handler", segments["train"], "qlib.data.dataset.processor")
    handler["kwargs"] |= {"start_time": segments["train"][0], "end_time": segments["test"][1]}
    own: dict[str, Any] = {"handler": handler, "segments": segments}
    dataset = {"class": "DatasetH", "module_path": "qlib.data.dataset", "kwargs": own}
    if name == "GRU":
        dataset["class"] = "TSDatasetH"
        own["step_len"] = 20
    return workflow(provider, {"class": kind, "module_path": "benchmarks.rolling_speed", "kwargs": kwargs}, dataset)


def handler_of(kind: str, module: str, fitted: list[str], processors: str) -> dict:
    def processor(name: str, **kwargs: Any) -> dict:
        return {"class": name, "module_path": processors, "kwargs": kwargs}

    kwargs = {
        "instruments": "csi300",
        "fit_start_time": fitted[0],
        "fit_end_time": fitted[1],
        "infer_processors": [
            processor("RobustZScoreNorm", fields_group="feature", clip_outlier=True),
            processor("Fillna", fields_group="feature"),
        ],
        "learn_processors": [{"class": "DropnaLabel"}, {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}}],
    }
    return {"class": kind, "module_path": module, "kwargs": kwargs}


def workflow(provider: Path, model: dict, dataset: dict) -> dict:
    signal = {"model": "<MODEL>", "dataset": "<DATASET>"}
    manager = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder.store"}
    return {
        "qlib_init": {"provider_uri": str(provider), "region": "cn", "kernels": 1, "exp_manager": manager},
        "experiment_name": "rolling_speed",
        "task": {
            "model": model,
            "dataset": dataset,
            "record": [{"class": "SignalRecord", "module_path": "qlib.workflow.record_temp", "kwargs": signal}],
        },
    }


if __name__ == "__main__":
    main()

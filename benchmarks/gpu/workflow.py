"""Part 4: ``qrun workflows/csi300_astgnn.yaml`` on the simulated market, on the GPU and on the same machine's cores."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jinja2
import yaml

from benchmarks.gpu.results import main_of, record
from qlib_ext.recorder.runs import find_runs, store_of
from qlib_ext.simulator.simulate import write_market

WORKFLOWS = Path(__file__).parents[2] / "workflows"
MARKET = {False: {"stocks": 300, "days": 750}, True: {"stocks": 12, "days": 600}}
NO_CUDA = {"CUDA_VISIBLE_DEVICES": ""}


def workflow(options: argparse.Namespace) -> None:
    """The GPU first; that the other is cut off costs nothing else."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_market(folder / "market", **MARKET[options.small], seed=0)
        for device, environment in (("GPU", {}), ("CPU", NO_CUDA)):
            if options.small and device == "GPU":
                continue
            given = {"QLIB_DATA": str(folder / "market"), "QLIB_RUNS": str(folder / device)} | environment
            figures = qrun("csi300_astgnn", folder, given | ({"EPOCHS": "1"} if options.small else {}))
            record(options.out, "workflow", device=device, **figures)


def qrun(name: str, folder: Path, given: Mapping[str, str], records: Sequence[str] = ()) -> dict[str, Any]:
    """Seconds and headline figures of one workflow, without the page of pictures; with these records alone, if any.

    ``given`` are variables of its environment. Raises CalledProcessError where the workflow fails.
    """
    environment = os.environ | given
    text = (WORKFLOWS / f"{name}.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(jinja2.Template(text).render(environment))
    task = config["task"]
    task["record"] = [one for one in task["record"] if not records or one["class"] in records]
    for one in task["record"]:
        one["kwargs"] |= {"report": False} if one["class"] == "FactorRecord" else {}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "qlib.cli.run", str(path)], env=environment, check=True)
    seconds = time.perf_counter() - start
    (run,) = find_runs(store_of(environment["QLIB_RUNS"]), config["experiment_name"])
    metrics = {name.removeprefix("factor."): value for name, value in run.data.metrics.items()}
    return {"seconds": seconds} | {name: metrics.get(name) for name in ("rank_ic", "rank_icir", "top_excess_return")}


if __name__ == "__main__":
    main_of(workflow)
